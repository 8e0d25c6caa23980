//! What a look makes of one key: whom it must admit, whom it may still admit for nothing, and the plan for
//! what is asked, to admit or to take out. Of a key that cannot be read only the ledger speaks.

use std::collections::BTreeSet;

use crate::key;
use crate::key::ledger::KeyLedger;
use crate::key::lockout::perhaps_granted;
use crate::key::plan::KeyPlan;
use crate::key::policy::KeyPolicy;
use crate::key::request::{KeyAction, KeyOutcome, KeyRequest};
use crate::refusal::Refusal;
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;

/// One key as a look sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDecision {
    /// Whom our statements admit now.
    pub actual: BTreeSet<KeyPrincipal>,
    /// Whom the key must admit.
    pub desired: BTreeSet<KeyPrincipal>,
    /// Whom the image needs no more, and has not given up on record yet.
    pub released: BTreeSet<KeyPrincipal>,
    /// Whom the key may still admit although no live share needs them. Only these are ever taken out: of whom
    /// the ledger does not know, it cannot know that nobody needs them.
    pub pending_revocation: BTreeSet<KeyPrincipal>,
    /// What to put.
    pub plan: KeyPlan,
}

impl KeyDecision {
    /// Decides by the ledger and the live policy.
    pub fn of(request: &KeyRequest, ledger: &KeyLedger, policy: &KeyPolicy) -> Self {
        let own = request.desired();
        let mut desired = ledger.required_by(&request.image_id, &own);
        if request.dry_run {
            // A dry run has recorded no intent for the ledger to tell of.
            desired.extend(request.targets.iter().map(Target::key_principal));
        }
        let Departing { released, pending_revocation } = Departing::of(request, ledger);
        let partition = request.key.partition();
        let plan = match request.action {
            KeyAction::Grant => key::plan::grant(policy, &desired, partition),
            KeyAction::Revoke => key::plan::revoke(policy, &pending_revocation, partition),
        };
        Self { actual: key::plan::granted(policy, partition), desired, released, pending_revocation, plan }
    }

    /// Whom a retraction is about: those to take out, and those whom only this image gives up.
    pub fn to_revoke(&self) -> BTreeSet<KeyPrincipal> {
        &self.pending_revocation | &self.released
    }

    /// Whom the policy admits once the plan is put, newcomers left aside.
    pub fn staying(&self) -> BTreeSet<KeyPrincipal> {
        let is_removed = |principal: &&KeyPrincipal| self.plan.removed.contains(*principal);
        self.actual.iter().filter(|principal| !is_removed(principal)).cloned().collect()
    }
}

/// Whom a key may let go, by the ledger alone.
struct Departing {
    released: BTreeSet<KeyPrincipal>,
    pending_revocation: BTreeSet<KeyPrincipal>,
}

impl Departing {
    fn of(request: &KeyRequest, ledger: &KeyLedger) -> Self {
        let released = ledger.released_by(&request.image_id, &request.desired());
        let pending_revocation = match request.action {
            // What the image gives up is on record before the key's turn is taken. In the turn it must not be
            // reckoned with again: a later intent may have asked for it since, and found it admitted.
            KeyAction::Revoke if !request.dry_run => ledger.pending_revocation(),
            _ => &ledger.pending_revocation() | &(&released - &ledger.required_by_others(&request.image_id)),
        };
        Self { released, pending_revocation }
    }
}

/// What a look makes of a key that cannot be read, as `refusal` says. Nobody new gets access by it, and it holds up no
/// withdrawal: the image is closed all the same, and the key keeps its place in the ledger until it can be read again.
pub fn unread(request: &KeyRequest, ledger: &KeyLedger, refusal: Refusal) -> KeyOutcome {
    let Departing { released, pending_revocation } = Departing::of(request, ledger);
    let refused = match request.action {
        KeyAction::Grant => Some(refusal),
        KeyAction::Revoke if pending_revocation.is_empty() => None,
        KeyAction::Revoke => Some(perhaps_granted(&request.key, &pending_revocation, refusal)),
    };
    KeyOutcome {
        pending_revocation: pending_revocation.union(&released).cloned().collect(),
        refused,
        ..KeyOutcome::unchanged(&request.key)
    }
}
