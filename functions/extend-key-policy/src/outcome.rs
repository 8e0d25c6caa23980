//! What is answered, from what was observed and what KMS said; pure.

use ami_share_domain::key_guard::still_admitted;
use ami_share_domain::key_policy::SIZE_LIMIT;
use ami_share_domain::key_request::{KeyAction, KeyOutcome, KeyRequest, LeftOut};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::refusal::{Refusal, RefusalCode};

use crate::Observed;

/// What extending came to; `rejected` are those whom KMS did not take, and `bytes` is the size of the policy.
pub(crate) fn extended(
    request: &KeyRequest,
    observed: &Observed,
    rejected: &[LeftOut],
    bytes: usize,
) -> KeyOutcome {
    let name = request.key.short();
    let no_room = observed.decision.plan.no_room.iter().map(|principal| LeftOut {
        principal: principal.clone(),
        code: RefusalCode::PolicyTooLarge,
        reason: format!("the policy of {name} has no room for {principal} ({SIZE_LIMIT} bytes); share with an OU or `org` instead of accounts, or use another key"),
    });
    let is_rejected =
        |principal: &&KeyPrincipal| rejected.iter().any(|left_out| left_out.principal == **principal);
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
        leaving: observed.decision.to_retract().into_iter().collect(),
        bytes,
        refused: None,
        left_out: no_room.chain(rejected.iter().cloned()).collect(),
    }
}

/// What retracting came to; `bytes` is the size of the policy.
pub(crate) fn retracted(request: &KeyRequest, observed: &Observed, bytes: usize) -> KeyOutcome {
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
        KeyAction::Extend => refusal,
        KeyAction::Retract => still_admitted(key, &observed.decision.plan.removed, refusal),
    };
    tracing::warn!(%key, reason = refusal.reason, "refused");
    KeyOutcome {
        leaving: observed.decision.to_retract().into_iter().collect(),
        refused: Some(refusal),
        bytes: observed.policy.bytes(),
        ..KeyOutcome::unchanged(key)
    }
}
