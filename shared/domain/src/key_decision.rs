//! What a look makes of one key: whom it must admit, whom it may still admit for nothing, and the plan for
//! what is asked, to admit or to take out.

use std::collections::BTreeSet;

use crate::key_plan::{self, KeyPlan};
use crate::key_policy::KeyPolicy;
use crate::key_statements::KeyPrincipal;
use crate::ledger::KeyLedger;
use crate::share::{KeyAction, KeyRequest, Target};

/// One key as a look sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDecision {
    /// Whom our statements admit now.
    pub live: BTreeSet<KeyPrincipal>,
    /// Whom the key must admit.
    pub wanted: BTreeSet<KeyPrincipal>,
    /// Whom the image needs no more, and has not given up on record yet.
    pub given_up: BTreeSet<KeyPrincipal>,
    /// Whom the key may still admit although no live share needs them. Only these are ever taken out: of whom
    /// the ledger does not know, it cannot know that nobody needs them.
    pub leaving: BTreeSet<KeyPrincipal>,
    /// What to put.
    pub plan: KeyPlan,
}

impl KeyDecision {
    /// Decides by the ledger and the live policy.
    pub fn of(request: &KeyRequest, ledger: &KeyLedger, policy: &KeyPolicy) -> Self {
        let own = request.wanted();
        let mut wanted = ledger.wanted_by(&request.image_id, &own);
        if request.dry_run {
            // A dry run has recorded no intent for the ledger to tell of.
            wanted.extend(request.targets.iter().map(Target::key_principal));
        }
        let given_up = ledger.given_up_by(&request.image_id, &own);
        let leaving = match request.action {
            // What the image gives up is on record before the key's turn is taken. In the turn it must not be
            // reckoned with again: a later intent may have asked for it since, and found it admitted.
            KeyAction::Retract if !request.dry_run => ledger.leaving(),
            _ => &ledger.leaving() | &(&given_up - &ledger.wanted_by_others(&request.image_id)),
        };
        let partition = request.key.partition();
        let plan = match request.action {
            KeyAction::Extend => key_plan::extend(policy, &wanted, partition),
            KeyAction::Retract => key_plan::retract(policy, &leaving, partition),
        };
        Self { live: key_plan::admitted(policy, partition), wanted, given_up, leaving, plan }
    }

    /// Whom a retraction is about: those to take out, and those whom only this image gives up.
    pub fn to_retract(&self) -> BTreeSet<KeyPrincipal> {
        &self.leaving | &self.given_up
    }

    /// Whom the policy admits once the plan is put, newcomers left aside.
    pub fn staying(&self) -> BTreeSet<KeyPrincipal> {
        let is_removed = |principal: &&KeyPrincipal| self.plan.removed.contains(*principal);
        self.live.iter().filter(|principal| !is_removed(principal)).cloned().collect()
    }
}
