//! The steps of `extend-key-policy`: admits, and takes out.

use std::collections::BTreeSet;

use ami_share_domain::ids::KeyArn;
use ami_share_domain::image::desired::{DesiredState, Share};
use ami_share_domain::key::decision::{KeyDecision, unread};
use ami_share_domain::key::ledger::KeyLedger;
use ami_share_domain::key::lockout::unreadable;
use ami_share_domain::key::plan::KeyPlan;
use ami_share_domain::key::request::{Excluded, KeyAction, KeyOutcome, KeyRequest};
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::targets::target::KeyPrincipal;

use super::{Fixture, Running};
use crate::world::{Lease, World};

#[derive(Debug, Clone)]
pub(super) enum KeyStep {
    Ledger,
    Policy(KeyLedger),
    Release(BTreeSet<KeyPrincipal>),
    Lease,
    Put(Box<ReviewedKeyState>),
    Conclude(Box<ReviewedKeyState>),
}

/// A key as a look has seen it.
#[derive(Debug, Clone)]
pub(super) struct ReviewedKeyState {
    ledger: KeyLedger,
    decision: KeyDecision,
}

impl Running {
    fn key_arn(&self) -> KeyArn {
        self.share.desired.keys.first().unwrap().clone()
    }

    fn request(&self, action: KeyAction) -> KeyRequest {
        let Share { desired: DesiredState { image, targets, retained, .. }, run } = &self.share;
        KeyRequest {
            key: self.key_arn(),
            image_id: image.id.clone(),
            action,
            intent: run.intent,
            targets: targets.clone(),
            retained: retained.clone(),
            triggered_by: Some(run.triggered_by.clone()),
            dry_run: false,
        }
    }

    fn see(&self, action: KeyAction, ledger: KeyLedger, world: &World) -> ReviewedKeyState {
        let decision = KeyDecision::of(&self.request(action), &ledger, &world.key.read());
        ReviewedKeyState { ledger, decision }
    }

    pub(super) fn key(&mut self, action: KeyAction, fixture: KeyStep, world: &mut World) -> Fixture {
        match fixture {
            KeyStep::Ledger => {
                let is_leased = world.leases.contains_key(&Lease::Key);
                Fixture::Key(action, KeyStep::Policy(KeyLedger { is_leased, ..world.needs.clone() }))
            }
            KeyStep::Policy(ledger) if world.key_is_unreadable => self.begin_unread(action, &ledger),
            KeyStep::Policy(ledger) => self.begin_key(action, ledger, world),
            KeyStep::Release(released) => self.release_principals(action, &released, world),
            KeyStep::Lease if world.key_is_unreadable => self.begin_unread(action, &world.needs),
            KeyStep::Lease if !self.takes(Lease::Key, world) => Fixture::Key(action, KeyStep::Lease),
            KeyStep::Lease => {
                let seen = Box::new(self.see(action, world.needs.clone(), world));
                Fixture::Key(action, KeyStep::Put(seen))
            }
            KeyStep::Put(seen) => {
                put(&seen.decision.plan, world);
                Fixture::Key(action, KeyStep::Conclude(seen))
            }
            KeyStep::Conclude(seen) => {
                let outcome = self.conclude(action, &seen, world);
                world.leases.remove(&Lease::Key);
                self.after_key(action, outcome)
            }
        }
    }

    fn begin_key(&mut self, action: KeyAction, ledger: KeyLedger, world: &World) -> Fixture {
        let seen = self.see(action, ledger, world);
        match action {
            KeyAction::Grant => {
                let is_settled =
                    seen.decision.plan.document.is_none() && seen.decision.plan.no_room.is_empty();
                match is_settled && !seen.ledger.is_leased {
                    true => self.after_key(action, self.extended(&seen, Vec::new())),
                    false => Fixture::Key(action, KeyStep::Lease),
                }
            }
            KeyAction::Revoke if seen.decision.to_revoke().is_empty() => Fixture::Tell,
            KeyAction::Revoke => {
                let released = seen.decision.released;
                let next = if released.is_empty() { KeyStep::Lease } else { KeyStep::Release(released) };
                Fixture::Key(action, next)
            }
        }
    }

    fn begin_unread(&mut self, action: KeyAction, ledger: &KeyLedger) -> Fixture {
        let request = self.request(action);
        let released = ledger.released_by(&request.image_id, &request.desired());
        if action == KeyAction::Revoke && !released.is_empty() {
            return Fixture::Key(action, KeyStep::Release(released));
        }
        let refusal = unreadable(&request.key, "it is not readable in this test");
        self.after_key(action, unread(&request, ledger, refusal))
    }

    fn release_principals(
        &self,
        action: KeyAction,
        released: &BTreeSet<KeyPrincipal>,
        world: &mut World,
    ) -> Fixture {
        if self.managed(world).ledger.supersedes(&self.share) {
            return Fixture::Tell;
        }
        let need = world.needs.needed_by.entry(self.share.desired.image.id.clone()).or_default();
        need.principals.retain(|principal| !released.contains(principal));
        need.excluded.retain(|principal| !released.contains(principal));
        need.pending_revocation.extend(released.iter().cloned());
        Fixture::Key(action, KeyStep::Lease)
    }

    fn conclude(&self, action: KeyAction, seen: &ReviewedKeyState, world: &mut World) -> KeyOutcome {
        let added = seen.decision.plan.added.iter();
        let rejected: Vec<KeyPrincipal> =
            added.filter(|principal| world.rejected.contains(*principal)).cloned().collect();
        let outcome = self.extended(seen, rejected);
        let tried = match action {
            KeyAction::Grant => seen.decision.desired.clone(),
            KeyAction::Revoke => {
                for need in world.needs.needed_by.values_mut() {
                    need.pending_revocation
                        .retain(|principal| !seen.decision.pending_revocation.contains(principal));
                }
                world
                    .needs
                    .needed_by
                    .retain(|_, need| !(need.principals.is_empty() && need.pending_revocation.is_empty()));
                BTreeSet::new()
            }
        };
        let excluded = outcome.excluded.iter().map(|excluded| excluded.principal.clone()).collect();
        for change in seen.ledger.excluded_changes(&tried, &excluded) {
            let need = world.needs.needed_by.entry(change.image).or_default();
            need.excluded.extend(change.add);
            need.excluded.retain(|principal| !change.remove.contains(principal));
        }
        outcome
    }

    fn extended(&self, seen: &ReviewedKeyState, rejected: Vec<KeyPrincipal>) -> KeyOutcome {
        let excluded = |principal: &KeyPrincipal| Excluded {
            principal: principal.clone(),
            code: RefusalCode::RejectedByAws,
            reason: format!("{principal} is left out in this test"),
        };
        KeyOutcome {
            added: seen
                .decision
                .plan
                .added
                .iter()
                .filter(|principal| !rejected.contains(principal))
                .cloned()
                .collect(),
            pending_revocation: seen.decision.to_revoke().into_iter().collect(),
            excluded: seen.decision.plan.no_room.iter().chain(&rejected).map(excluded).collect(),
            ..KeyOutcome::unchanged(&self.key_arn())
        }
    }

    fn after_key(&mut self, action: KeyAction, outcome: KeyOutcome) -> Fixture {
        match action {
            KeyAction::Grant => {
                self.keys = vec![outcome];
                Fixture::Image
            }
            KeyAction::Revoke => Fixture::Tell,
        }
    }
}

/// Puts the plan's policy, without those whom KMS does not take.
fn put(plan: &KeyPlan, world: &mut World) {
    world.key.apply(plan);
    let rejected: BTreeSet<KeyPrincipal> =
        plan.added.iter().filter(|principal| world.rejected.contains(*principal)).cloned().collect();
    world.key.revoke(&rejected);
}
