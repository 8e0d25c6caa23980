//! The outcome, from what was observed and what KMS answered, and the report of what was changed out of band.

use ami_share_domain::ids::KeyArn;
use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::key::request::{Excluded, KeyAction, KeyOutcome, KeyRequest};
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::targets::target::KeyPrincipal;

use crate::Observed;

/// The outcome of a grant; `rejected` is what KMS rejected, and `bytes` the size of the policy.
pub(crate) fn granted(
    request: &KeyRequest,
    observed: &Observed,
    rejected: &[Excluded],
    bytes: usize,
) -> KeyOutcome {
    let no_room = observed.decision.plan.no_room.iter().map(|principal| Excluded {
        subject: principal.clone(),
        reason: RefusalReason::PolicyTooLarge { key: request.key.clone(), limit: SIZE_LIMIT },
    });
    let is_rejected =
        |principal: &&KeyPrincipal| rejected.iter().any(|excluded| excluded.subject == **principal);
    KeyOutcome {
        key: request.key.clone(),
        added: observed
            .decision
            .plan
            .added
            .iter()
            .filter(|principal| !is_rejected(principal))
            .cloned()
            .collect(),
        removed: Vec::new(),
        pending_revocation: observed.decision.to_revoke().into_iter().collect(),
        bytes,
        refused: None,
        failed: None,
        excluded: no_room
            .chain(rejected.iter().cloned())
            .chain(observed.decision.denied.iter().cloned())
            .collect(),
    }
}

/// The outcome of a revocation; `bytes` is the size of the policy.
pub(crate) fn revoked(request: &KeyRequest, observed: &Observed, bytes: usize) -> KeyOutcome {
    let still_named = observed.decision.still_named.first();
    let refused = still_named.map(|(statement, principals)| RefusalReason::StillGranted {
        key: request.key.clone(),
        principals: principals.iter().map(ToString::to_string).collect(),
        because: Box::new(RefusalReason::ChangedStatement {
            key: request.key.clone(),
            statement: statement.to_string(),
        }),
    });
    KeyOutcome {
        removed: observed.decision.plan.removed.clone(),
        refused,
        bytes,
        ..KeyOutcome::unchanged(&request.key)
    }
}

/// The outcome when the policy was not changed.
pub(crate) fn refused(request: &KeyRequest, observed: &Observed, reason: RefusalReason) -> KeyOutcome {
    let key = &request.key;
    let reason = match request.action {
        KeyAction::Grant => reason,
        KeyAction::Revoke => RefusalReason::StillGranted {
            key: key.clone(),
            principals: observed.decision.plan.removed.iter().map(ToString::to_string).collect(),
            because: Box::new(reason),
        },
    };
    tracing::warn!(%key, %reason, "refused");
    KeyOutcome {
        pending_revocation: observed.decision.to_revoke().into_iter().collect(),
        refused: Some(reason),
        bytes: observed.policy.bytes(),
        ..KeyOutcome::unchanged(key)
    }
}

/// Reports what was changed out of band in the statements of ami-share and stays as it is.
pub(crate) fn report_drift(key: &KeyArn, observed: &Observed) {
    let unmanaged = &observed.decision.unmanaged_in_part;
    if !unmanaged.is_empty() {
        let principals: Vec<String> = unmanaged.iter().map(ToString::to_string).collect();
        tracing::warn!(%key, ?principals, "added out of band to a statement of ami-share; gets nothing more");
    }
    for (statement, _) in observed.policy.changed_out_of_band() {
        tracing::warn!(%key, %statement, "has a Sid of ami-share and was changed out of band; stays as it is");
    }
}
