//! The steps of `share-image`: opens and closes.

use std::collections::VecDeque;

use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image::decision::{ImageDecision, PlanSettings};
use ami_share_domain::image::desired::Run;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::plan::{ImageStep, ObservedImage};
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::key::request::KeyAction;
use ami_share_domain::targets::target::Target;

use super::key::KeyStep;
use super::{Fixture, Running};
use crate::world::{Managed, World, apply};

/// One write of `share-image`.
#[derive(Debug, Clone)]
pub(super) enum Change {
    History(Vec<AuditRow>),
    Rows(Vec<ShareRow>),
    Remember(SnapshotId, Vec<AccountId>),
    Call(ImageStep),
    Forget(SnapshotId, Vec<AccountId>),
    Record,
}

impl Running {
    /// Sees the image and decides what to do with it.
    pub(super) fn image(&mut self, world: &mut World) -> Fixture {
        if !self.takes(self.image_lease(), world) {
            return Fixture::Image;
        }
        let (limit, makes_private) = (world.limit, world.makes_private);
        let Managed { mut observed, ledger, .. } = self.managed(world).clone();
        let share = &self.share;
        for snapshot in share.desired.snapshots.iter().chain(ledger.snapshots.keys()) {
            observed.snapshots.entry(snapshot.clone()).or_default();
        }
        if ledger.supersedes(share) || (observed.is_gone && share.desired.revocation_reason.is_none()) {
            self.result = Some(ShareResult::superseded(share.clone()));
            world.leases.remove(&self.image_lease());
            return Fixture::Over;
        }
        let request = ImageRequest { share: share.clone(), keys: self.keys.clone(), failed: None };
        let decision = ImageDecision::of(&request, &observed, &ledger, PlanSettings { limit, makes_private });
        let changes = self.changes(&decision, &observed, &ledger);
        let private =
            decision.plan.revocations.iter().filter(|step| step.action() == AuditAction::MadePrivate);
        let made_private = private.map(|step| self.resource(step)).collect();
        let revoke =
            self.keys.iter().filter(|key| !key.pending_revocation.is_empty()).map(|key| key.key.clone());
        let result = ShareResult {
            revoked: decision.pending_revocation.into_iter().collect(),
            restored: decision.restored,
            unmanaged: decision.unmanaged,
            made_private,
            keys_to_revoke: revoke.collect(),
            ..ShareResult::of(share.clone(), &decision.shared, decision.refused)
        };
        Fixture::Changes(Box::new(result), changes)
    }

    fn changes(
        &self,
        decision: &ImageDecision<'_>,
        observed: &ObservedImage,
        ledger: &ImageLedger,
    ) -> VecDeque<Change> {
        let share = &self.share;
        let ImageDecision { shared, plan, adopted, .. } = decision;
        let mut found = ledger.unrecorded(share, observed);
        found.extend(adopted.rows(share));
        let added = plan.launch_permissions();
        let is_new = |target: &Target| {
            added.contains(&target.launch_permission()) || adopted.targets.contains(target.name())
        };
        let rows = ledger.rows_before(share, shared, is_new, self.now);
        let mut changes = VecDeque::from([Change::History(found), Change::Rows(rows)]);
        changes.extend(
            adopted
                .snapshots
                .clone()
                .into_iter()
                .map(|(snapshot, accounts)| Change::Remember(snapshot, accounts)),
        );
        let grants = [false, true].map(|is_of_image| (&plan.grants, is_of_image));
        let revocations = [true, false].map(|is_of_image| (&plan.revocations, is_of_image));
        let rounds = if plan.revokes_first { [revocations, grants] } else { [grants, revocations] };
        for (steps, is_of_image) in rounds.into_iter().flatten() {
            let steps: Vec<&ImageStep> =
                steps.iter().filter(|step| step.is_of_image() == is_of_image).collect();
            changes.extend(steps.iter().flat_map(|step| calls(step)));
            changes.push_back(Change::History(steps.iter().map(|step| self.audit_log(step)).collect()));
            changes.extend(steps.iter().filter_map(|step| forgetting(step)));
        }
        changes.push_back(Change::Record);
        changes.retain(|change| !matches!(change, Change::History(rows) if rows.is_empty()));
        changes.retain(|change| !matches!(change, Change::Rows(rows) if rows.is_empty()));
        changes
    }

    fn audit_log(&self, step: &ImageStep) -> AuditRow {
        let Run { triggered_by, intent, .. } = &self.share.run;
        let row = AuditRow::new(step.action(), self.resource(step), step.principals(), triggered_by, *intent);
        row.done(self.now, None)
    }

    fn resource(&self, step: &ImageStep) -> String {
        step.snapshot().map_or_else(|| self.share.desired.image.id.to_string(), ToString::to_string)
    }

    pub(super) fn change(
        &mut self,
        result: Box<ShareResult>,
        mut changes: VecDeque<Change>,
        world: &mut World,
    ) -> Fixture {
        let now = world.clock;
        let managed = self.managed(world);
        match changes.pop_front() {
            Some(Change::History(rows)) => managed.audit_log.extend(rows),
            Some(Change::Rows(rows)) => managed.store(rows),
            Some(Change::Remember(snapshot, accounts)) => {
                managed.ledger.snapshots.entry(snapshot).or_default().extend(accounts);
            }
            Some(Change::Call(step)) => apply(&mut managed.observed, &step),
            Some(Change::Forget(snapshot, accounts)) => {
                let recorded = managed.ledger.snapshots.entry(snapshot).or_default();
                recorded.retain(|account| !accounts.contains(account));
            }
            Some(Change::Record) | None => {
                let (rows, gone) = managed.ledger.rows_after(&result, now);
                managed.store(rows);
                managed.ledger.shares.retain(|name, _| !gone.contains(name));
                world.leases.remove(&self.image_lease());
                let must_revoke = !result.keys_to_revoke.is_empty();
                self.result = Some(*result);
                return match must_revoke {
                    true => Fixture::Key(KeyAction::Revoke, KeyStep::Ledger),
                    false => Fixture::Tell,
                };
            }
        }
        Fixture::Changes(result, changes)
    }
}

/// A snapshot's account is written down before it is let in.
fn calls(step: &ImageStep) -> Vec<Change> {
    let call = Change::Call(step.clone());
    match step {
        ImageStep::GrantSnapshot { snapshot, accounts } => {
            vec![Change::Remember(snapshot.clone(), accounts.clone()), call]
        }
        _ => vec![call],
    }
}

/// It is forgotten once the history says that it was shut out.
fn forgetting(step: &ImageStep) -> Option<Change> {
    match step {
        ImageStep::RevokeSnapshot { snapshot, accounts } => {
            Some(Change::Forget(snapshot.clone(), accounts.clone()))
        }
        _ => None,
    }
}
