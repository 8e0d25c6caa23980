//! The steps of `extend-key-policy`: admits, and takes out.

use std::collections::BTreeSet;

use ami_share_domain::ids::KeyArn;
use ami_share_domain::key_decision::{KeyDecision, unread};
use ami_share_domain::key_guard::unreadable;
use ami_share_domain::key_ledger::KeyLedger;
use ami_share_domain::key_plan::KeyPlan;
use ami_share_domain::key_request::{KeyAction, KeyOutcome, KeyRequest, LeftOut};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::share::Share;

use super::{Running, Stage};
use crate::world::{Turn, World};

#[derive(Debug, Clone)]
pub(super) enum KeyStage {
    Ledger,
    Policy(KeyLedger),
    GiveUp(BTreeSet<KeyPrincipal>),
    Turn,
    Put(Box<SeenKey>),
    Conclude(Box<SeenKey>),
}

/// A key as a look has seen it.
#[derive(Debug, Clone)]
pub(super) struct SeenKey {
    ledger: KeyLedger,
    decision: KeyDecision,
}

impl Running {
    fn key_arn(&self) -> KeyArn {
        self.share.keys.first().unwrap().clone()
    }

    fn request(&self, action: KeyAction) -> KeyRequest {
        let Share { image, intent, targets, kept, asked, .. } = &self.share;
        KeyRequest {
            key: self.key_arn(),
            image_id: image.id.clone(),
            action,
            intent: *intent,
            targets: targets.clone(),
            kept: kept.clone(),
            asked: Some(asked.clone()),
            dry_run: false,
        }
    }

    fn see(&self, action: KeyAction, ledger: KeyLedger, world: &World) -> SeenKey {
        let decision = KeyDecision::of(&self.request(action), &ledger, &world.key.read());
        SeenKey { ledger, decision }
    }

    pub(super) fn key(&mut self, action: KeyAction, stage: KeyStage, world: &mut World) -> Stage {
        match stage {
            KeyStage::Ledger => {
                let is_taken = world.turns.contains_key(&Turn::Key);
                Stage::Key(action, KeyStage::Policy(KeyLedger { is_taken, ..world.needs.clone() }))
            }
            KeyStage::Policy(ledger) if world.key_is_unreadable => self.begin_unread(action, &ledger),
            KeyStage::Policy(ledger) => self.begin_key(action, ledger, world),
            KeyStage::GiveUp(given_up) => self.give_up(action, &given_up, world),
            KeyStage::Turn if world.key_is_unreadable => self.begin_unread(action, &world.needs),
            KeyStage::Turn if !self.takes(Turn::Key, world) => Stage::Key(action, KeyStage::Turn),
            KeyStage::Turn => {
                let seen = Box::new(self.see(action, world.needs.clone(), world));
                Stage::Key(action, KeyStage::Put(seen))
            }
            KeyStage::Put(seen) => {
                put(&seen.decision.plan, world);
                Stage::Key(action, KeyStage::Conclude(seen))
            }
            KeyStage::Conclude(seen) => {
                let outcome = self.conclude(action, &seen, world);
                world.turns.remove(&Turn::Key);
                self.after_key(action, outcome)
            }
        }
    }

    fn begin_key(&mut self, action: KeyAction, ledger: KeyLedger, world: &World) -> Stage {
        let seen = self.see(action, ledger, world);
        match action {
            KeyAction::Extend => {
                let is_settled =
                    seen.decision.plan.document.is_none() && seen.decision.plan.no_room.is_empty();
                match is_settled && !seen.ledger.is_taken {
                    true => self.after_key(action, self.extended(&seen, Vec::new())),
                    false => Stage::Key(action, KeyStage::Turn),
                }
            }
            KeyAction::Retract if seen.decision.to_retract().is_empty() => Stage::Tell,
            KeyAction::Retract => {
                let given_up = seen.decision.given_up;
                let next = if given_up.is_empty() { KeyStage::Turn } else { KeyStage::GiveUp(given_up) };
                Stage::Key(action, next)
            }
        }
    }

    fn begin_unread(&mut self, action: KeyAction, ledger: &KeyLedger) -> Stage {
        let request = self.request(action);
        let given_up = ledger.given_up_by(&request.image_id, &request.wanted());
        if action == KeyAction::Retract && !given_up.is_empty() {
            return Stage::Key(action, KeyStage::GiveUp(given_up));
        }
        let refusal = unreadable(&request.key, "it is not readable in this test");
        self.after_key(action, unread(&request, ledger, refusal))
    }

    fn give_up(&self, action: KeyAction, given_up: &BTreeSet<KeyPrincipal>, world: &mut World) -> Stage {
        if self.managed(world).ledger.supersedes(&self.share) {
            return Stage::Tell;
        }
        let need = world.needs.needed_by.entry(self.share.image.id.clone()).or_default();
        need.principals.retain(|principal| !given_up.contains(principal));
        need.left_out.retain(|principal| !given_up.contains(principal));
        need.leaving.extend(given_up.iter().cloned());
        Stage::Key(action, KeyStage::Turn)
    }

    fn conclude(&self, action: KeyAction, seen: &SeenKey, world: &mut World) -> KeyOutcome {
        let added = seen.decision.plan.added.iter();
        let rejected: Vec<KeyPrincipal> =
            added.filter(|principal| world.rejected.contains(*principal)).cloned().collect();
        let outcome = self.extended(seen, rejected);
        let tried = match action {
            KeyAction::Extend => seen.decision.wanted.clone(),
            KeyAction::Retract => {
                for need in world.needs.needed_by.values_mut() {
                    need.leaving.retain(|principal| !seen.decision.leaving.contains(principal));
                }
                world
                    .needs
                    .needed_by
                    .retain(|_, need| !(need.principals.is_empty() && need.leaving.is_empty()));
                BTreeSet::new()
            }
        };
        let left_out = outcome.left_out.iter().map(|left_out| left_out.principal.clone()).collect();
        for change in seen.ledger.left_out_changes(&tried, &left_out) {
            let need = world.needs.needed_by.entry(change.image).or_default();
            need.left_out.extend(change.add);
            need.left_out.retain(|principal| !change.remove.contains(principal));
        }
        outcome
    }

    fn extended(&self, seen: &SeenKey, rejected: Vec<KeyPrincipal>) -> KeyOutcome {
        let left_out = |principal: &KeyPrincipal| LeftOut {
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
            leaving: seen.decision.to_retract().into_iter().collect(),
            left_out: seen.decision.plan.no_room.iter().chain(&rejected).map(left_out).collect(),
            ..KeyOutcome::unchanged(&self.key_arn())
        }
    }

    fn after_key(&mut self, action: KeyAction, outcome: KeyOutcome) -> Stage {
        match action {
            KeyAction::Extend => {
                self.keys = vec![outcome];
                Stage::Image
            }
            KeyAction::Retract => Stage::Tell,
        }
    }
}

/// Puts the plan's policy, without those whom KMS does not take.
fn put(plan: &KeyPlan, world: &mut World) {
    world.key.apply(plan);
    let rejected: BTreeSet<KeyPrincipal> =
        plan.added.iter().filter(|principal| world.rejected.contains(*principal)).cloned().collect();
    world.key.retract(&rejected);
}
