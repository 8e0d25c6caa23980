//! What is answered, from what was observed and what KMS said; pure.

use ami_share_domain::key::lockout::still_granted_on_key;
use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::key::request::{Excluded, KeyAction, KeyOutcome, KeyRequest};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::targets::target::KeyPrincipal;

use crate::Observed;

/// What extending came to; `rejected` are those whom KMS did not take, and `bytes` is the size of the policy.
pub(crate) fn granted(
    request: &KeyRequest,
    observed: &Observed,
    rejected: &[Excluded],
    bytes: usize,
) -> KeyOutcome {
    let name = request.key.short();
    let no_room = observed.decision.plan.no_room.iter().map(|principal| Excluded {
        principal: principal.clone(),
        code: RefusalCode::PolicyTooLarge,
        reason: format!("the policy of {name} has no room for {principal} ({SIZE_LIMIT} bytes); share with an OU or `org` instead of accounts, or use another key"),
    });
    let is_rejected =
        |principal: &&KeyPrincipal| rejected.iter().any(|excluded| excluded.principal == **principal);
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
        excluded: no_room.chain(rejected.iter().cloned()).collect(),
    }
}

/// What retracting came to; `bytes` is the size of the policy.
pub(crate) fn revoked(request: &KeyRequest, observed: &Observed, bytes: usize) -> KeyOutcome {
    KeyOutcome {
        removed: observed.decision.plan.removed.clone(),
        bytes,
        ..KeyOutcome::unchanged(&request.key)
    }
}

/// The key was not touched.
pub(crate) fn refused(request: &KeyRequest, observed: &Observed, refusal: Refusal) -> KeyOutcome {
    let key = &request.key;
    let refusal = match request.action {
        KeyAction::Grant => refusal,
        KeyAction::Revoke => still_granted_on_key(key, &observed.decision.plan.removed, refusal),
    };
    tracing::warn!(%key, reason = refusal.reason, "refused");
    KeyOutcome {
        pending_revocation: observed.decision.to_revoke().into_iter().collect(),
        refused: Some(refusal),
        bytes: observed.policy.bytes(),
        ..KeyOutcome::unchanged(key)
    }
}
