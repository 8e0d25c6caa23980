//! Makes the calls of a plan in their order, and records what AWS answered.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use ami_share_aws::clock::Clock;
use ami_share_aws::ec2::permissions::{
    AcceptedPermissions, Applied, PermissionReader, PermissionWriter, RejectedPermission,
};
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::leases::Lease;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::decision::ImageDecision;
use ami_share_domain::image::desired::Run;
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::{ImagePlan, ImageStep, ObservedImage};
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::targets::target::{LaunchPermission, Target};
use ami_share_lambda::Failure;
use futures::future::ready;
use futures::{StreamExt, stream};

use crate::other_images::OtherImages;
use crate::revoked::{Revoked, revoked};

/// Snapshots that are changed at the same time.
const CONCURRENT_WRITES: usize = 4;

/// Writes one image while this invocation holds its lease.
pub(crate) struct ImageWriter<'a> {
    pub(crate) request: &'a ImageRequest,
    pub(crate) observed: &'a ObservedImage,
    pub(crate) lease: &'a Lease,
    pub(crate) reader: &'a PermissionReader,
    pub(crate) others: &'a OtherImages,
    pub(crate) permissions: PermissionWriter,
    pub(crate) ledger: LedgerWriter,
    pub(crate) clock: Clock,
    pub(crate) invocation: &'a str,
    /// How many parts of the audit log were appended.
    pub(crate) appended: AtomicUsize,
}

/// What became of the calls of a plan.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The names of the targets whose launch permission EC2 accepted.
    pub(crate) granted: BTreeSet<String>,
    /// The names of the targets that were to lose the image, and may still have it.
    pub(crate) not_revoked: BTreeSet<String>,
    /// What EC2 rejected.
    pub(crate) rejected: Vec<RejectedPermission>,
    failures: Vec<AwsError>,
}

impl Done {
    /// The failure that ends the function: one that a retry may remove before one that it does not, and the first of
    /// them.
    pub(crate) fn failure(self) -> Option<AwsError> {
        let mut failures = self.failures;
        failures.sort_by_key(|failure| !failure.fault().is_retryable());
        failures.into_iter().next()
    }
}

impl ImageWriter<'_> {
    /// Records what is about to be granted, so that it is managed wherever this run is interrupted; and what an
    /// interrupted run did and could not record.
    pub(crate) async fn write_ahead(
        &self,
        decision: &ImageDecision<'_>,
        ledger: &mut ImageLedger,
    ) -> Result<(), Failure> {
        self.lease.renew().await?;
        let share = &self.request.share;
        let adopted = &decision.adopted;
        let mut found = ledger.unrecorded(share, self.observed);
        found.extend(adopted.rows(share));
        self.append(&found).await?;
        let added = decision.plan.launch_permissions();
        let is_new = |target: &Target| {
            added.contains(&target.launch_permission()) || adopted.targets.contains(target.name())
        };
        let rows = ledger.rows_before(share, &decision.shared, is_new, self.clock.now());
        self.ledger.write_shares(self.image(), &rows, &[], self.lease).await?;
        ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
        for (snapshot, accounts) in &adopted.snapshots {
            self.lease.renew().await?;
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok(())
    }

    /// Makes the calls. Whatever fails in granting, what must be revoked is revoked. A failure is part of the result: the
    /// caller records first what was done.
    pub(crate) async fn apply(&self, decision: &ImageDecision<'_>) -> Done {
        let plan = &decision.plan;
        let mut done = Done::default();
        if !plan.revokes_first {
            self.grant(plan, &mut done).await;
        }
        let forgotten = self.forget_gone_snapshots(decision).await;
        done.failures.extend(forgotten.err());
        self.revoke(plan, &mut done).await;
        // The image has room for the new targets only once the others are revoked.
        if plan.revokes_first && done.failures.is_empty() {
            self.grant(plan, &mut done).await;
        }
        done
    }

    /// Grants the snapshots, then the image. After a failure, nothing more is granted.
    async fn grant(&self, plan: &ImagePlan, done: &mut Done) {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.grants.iter().cloned().partition(ImageStep::is_of_image);
        self.grant_all(snapshots, done).await;
        if !done.failures.is_empty() {
            return;
        }
        // An account whose snapshots EC2 rejects gets no launch permission either.
        let excluded: BTreeSet<LaunchPermission> =
            done.rejected.iter().map(|rejected| rejected.permission.clone()).collect();
        let image = image.into_iter().filter_map(|step| step.without(&excluded)).collect();
        self.grant_all(image, done).await;
    }

    /// Makes calls that grant access, some of them at once. What AWS accepted goes into the audit log also when another
    /// step fails: it is done, so no later run does it again, and none would record it.
    async fn grant_all(&self, steps: Vec<ImageStep>, done: &mut Done) {
        let results = apply_until_failure(&steps, |step| self.apply_step(step)).await;
        for (step, applied) in results {
            let rows = self.audit_rows(step, &applied.accepted);
            let gone = step.forgets(self.observed, |account| applied.verdict(account));
            done.rejected.extend(applied.rejected);
            done.failures.extend(applied.failure);
            let concluded = self.conclude(step, &rows, &gone).await;
            // What the audit log lacks stays about to be granted: the next run finds it granted, and records it.
            if step.is_of_image() && concluded.is_ok() {
                let accepted =
                    applied.accepted.iter().flat_map(|accepted| accepted.principals.iter().cloned());
                done.granted.extend(accepted);
            }
            done.failures.extend(concluded.err());
        }
    }

    /// Revokes the image, then the snapshots. One that cannot be revoked does not hold up the others.
    async fn revoke(&self, plan: &ImagePlan, done: &mut Done) {
        let (image, snapshots): (Vec<&ImageStep>, Vec<&ImageStep>) =
            plan.revocations.iter().partition(|step| step.is_of_image());
        for step in image {
            let revoked = self.revoke_step(step).await;
            self.conclude_revocation(step, revoked, done).await;
        }
        let snapshots = stream::iter(snapshots).map(|step| self.revoke_snapshot(step));
        let revoked: Vec<_> = snapshots.buffered(CONCURRENT_WRITES).collect().await;
        for result in revoked {
            match result {
                Ok(Some((step, revoked))) => self.conclude_revocation(&step, revoked, done).await,
                Ok(None) => {}
                Err(failure) => done.failures.push(failure),
            }
        }
    }

    /// Revokes a snapshot from the accounts that no other image of the hub needs on it. The others are only forgotten
    /// here. Both sides write their row before they call EC2, so a row that is there after the call is honoured.
    async fn revoke_snapshot(&self, step: &ImageStep) -> Result<Option<(ImageStep, Revoked)>, AwsError> {
        let ImageStep::RevokeSnapshot { snapshot, accounts } = step else {
            return Ok(Some((step.clone(), self.revoke_step(step).await)));
        };
        let needed = self.others.keeping(self.image(), snapshot).await;
        let (mut kept, mut revoked): (Vec<_>, Vec<_>) =
            accounts.iter().cloned().partition(|account| needed.contains(account));
        if !kept.is_empty() {
            self.conclude(step, &[], &kept).await?;
            // The other image may have been revoked at the same moment, and have left the account to this one.
            let needed = self.others.keeping(self.image(), snapshot).await;
            kept.retain(|account| !needed.contains(account));
            self.lease.renew().await?;
            self.ledger.add_snapshot_accounts(self.image(), snapshot, &kept).await?;
            revoked.append(&mut kept);
        }
        if revoked.is_empty() {
            return Ok(None);
        }
        let step = ImageStep::RevokeSnapshot { snapshot: snapshot.clone(), accounts: revoked };
        let revoked = self.revoke_step(&step).await;
        self.grant_again(&step, snapshot).await?;
        Ok(Some((step, revoked)))
    }

    /// Grants a snapshot again to accounts that another image has come to need while they were revoked.
    async fn grant_again(&self, step: &ImageStep, snapshot: &SnapshotId) -> Result<(), AwsError> {
        let needed = self.others.keeping(self.image(), snapshot).await;
        let revoked = step.principals();
        let accounts: Vec<AccountId> = needed
            .into_iter()
            .filter(|account| revoked.iter().any(|name| name == account.as_str()))
            .collect();
        if accounts.is_empty() {
            return Ok(());
        }
        let grant = ImageStep::GrantSnapshot { snapshot: snapshot.clone(), accounts };
        let applied = self.permissions.apply(self.lease, self.image(), &grant).await;
        applied.failure.map_or(Ok(()), Err)
    }

    /// Makes the calls of a revocation, and reads what EC2 shows then.
    async fn revoke_step(&self, step: &ImageStep) -> Revoked {
        let applied = self.permissions.apply(self.lease, self.image(), step).await;
        if let Some(AwsError::Busy(_)) = applied.failure {
            return Revoked { failure: applied.failure, ..Revoked::default() };
        }
        let accepted = applied.accepted.iter().flat_map(|accepted| accepted.principals.iter().cloned());
        let shown = self.reader.after_revocation(self.image(), step.snapshot(), &accepted.collect()).await;
        revoked(step, applied, shown)
    }

    async fn conclude_revocation(&self, step: &ImageStep, revoked: Revoked, done: &mut Done) {
        let is_snapshot = |principal: &String| principal.parse().ok().filter(|_| !step.is_of_image());
        let accounts: Vec<AccountId> = revoked.ended.iter().filter_map(is_snapshot).collect();
        let mut rows = self.audit_rows(step, &revoked.accepted);
        rows.extend(self.found_ended(step, &revoked.without_call));
        let concluded = self.conclude(step, &rows, &accounts).await;
        if step.is_of_image() {
            // What the audit log lacks stays pending: the next run revokes, and records, it once more.
            let is_recorded = |name: &String| concluded.is_ok() && revoked.ended.contains(name);
            done.not_revoked.extend(step.principals().into_iter().filter(|name| !is_recorded(name)));
        }
        done.rejected.extend(revoked.rejected);
        done.failures.extend(revoked.failure);
        done.failures.extend(concluded.err());
    }

    /// Appends to the audit log what was done, and then forgets the accounts of a snapshot that have no access any more.
    /// After an interruption in between, the next run does, and records, it once more.
    async fn conclude(
        &self,
        step: &ImageStep,
        rows: &[AuditRow],
        accounts: &[AccountId],
    ) -> Result<(), AwsError> {
        self.append(rows).await?;
        let Some(snapshot) = step.snapshot().filter(|_| !accounts.is_empty()) else { return Ok(()) };
        self.lease.renew().await?;
        self.ledger.remove_snapshot_accounts(self.image(), snapshot, accounts).await
    }

    /// Forgets the accounts of snapshots that do not exist any more. The audit log has them already.
    async fn forget_gone_snapshots(&self, decision: &ImageDecision<'_>) -> Result<(), AwsError> {
        for (snapshot, accounts) in &decision.forgotten {
            self.lease.renew().await?;
            let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
            self.ledger.remove_snapshot_accounts(self.image(), snapshot, &accounts).await?;
        }
        Ok(())
    }

    async fn apply_step(&self, step: &ImageStep) -> Applied {
        match self.record_snapshot_accounts(step).await {
            Ok(()) => self.permissions.apply(self.lease, self.image(), step).await,
            Err(failure) => Applied::failed(failure),
        }
    }

    /// Records the accounts of a snapshot before they are granted it, so that their access is managed wherever this
    /// run is interrupted.
    async fn record_snapshot_accounts(&self, step: &ImageStep) -> Result<(), AwsError> {
        if let ImageStep::GrantSnapshot { snapshot, accounts } = step {
            self.lease.renew().await?;
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok(())
    }

    /// One row of the audit log for each call that AWS accepted.
    fn audit_rows(&self, step: &ImageStep, accepted: &[AcceptedPermissions]) -> Vec<AuditRow> {
        let Run { triggered_by, intent, .. } = &self.request.share.run;
        let rows = accepted.iter().map(|accepted| {
            let principals = accepted.principals.clone();
            let row = AuditRow::new(step.action(), self.resource(step), principals, triggered_by, *intent);
            let row = row.done(self.clock.now(), accepted.request_id.clone());
            match (step.action(), accepted.principals.as_slice()) {
                (AuditAction::ImageRevoked | AuditAction::SnapshotRevoked, [first, ..]) => {
                    row.caused_by(self.request.share.desired.why_revoked(first))
                }
                _ => row,
            }
        });
        rows.collect()
    }

    /// A row on access that EC2 does not show any more, although it accepted no call that removes it.
    fn found_ended(&self, step: &ImageStep, principals: &[String]) -> Option<AuditRow> {
        let Run { triggered_by, intent, .. } = &self.request.share.run;
        let resource = self.resource(step);
        let row = AuditRow::new(AuditAction::Recovered, resource, principals.to_vec(), triggered_by, *intent);
        let row = row.done(self.clock.now(), None).because("found revoked already");
        (!row.principals.is_empty()).then_some(row)
    }

    /// Each part has a number, so that rows of the same moment differ in their key.
    async fn append(&self, rows: &[AuditRow]) -> Result<(), AwsError> {
        let part = self.appended.fetch_add(1, Ordering::Relaxed);
        self.ledger.append(self.image(), rows, &format!("{}-{part}", self.invocation)).await
    }

    /// What the plan makes private: the image, snapshots.
    pub(crate) fn made_private(&self, plan: &ImagePlan) -> Vec<String> {
        let private = plan.revocations.iter().filter(|step| step.action() == AuditAction::MadePrivate);
        private.map(|step| self.resource(step)).collect()
    }

    fn resource(&self, step: &ImageStep) -> String {
        step.snapshot().map_or_else(|| self.image().to_string(), ToString::to_string)
    }

    fn image(&self) -> &ImageId {
        &self.request.share.desired.image.id
    }
}

/// Applies the steps, some of them at once, and returns the results in the order of the steps: the refusal of an
/// account quotes the first snapshot that it was rejected for, and another quote would be notified again. After a
/// failure no step starts; started ones are awaited, because a call that is dropped may have been made.
async fn apply_until_failure<'step, F>(
    steps: &'step [ImageStep],
    apply: impl Fn(&'step ImageStep) -> F,
) -> Vec<(&'step ImageStep, Applied)>
where
    F: Future<Output = Applied>,
{
    let has_failed = &Cell::new(false);
    let started = stream::iter(steps).take_while(|_| ready(!has_failed.get())).map(|step| {
        let result = apply(step);
        async move {
            let applied = result.await;
            has_failed.set(has_failed.get() || applied.failure.is_some());
            (step, applied)
        }
    });
    started.buffered(CONCURRENT_WRITES).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that differ in the number of their snapshot.
    fn steps(count: usize) -> Vec<ImageStep> {
        let snapshots = (0..count).map(|number| format!("snap-{number:017}").parse().unwrap());
        snapshots.map(|snapshot| ImageStep::MakeSnapshotPrivate { snapshot }).collect()
    }

    /// Applies eight steps, each of which yields to the executor as often as `yields` says; the third fails. Returns
    /// the numbers of the steps that have a result.
    async fn numbers_of_results(yields: impl Fn(usize) -> usize) -> Vec<usize> {
        let steps = steps(8);
        let number = |step: &ImageStep| steps.iter().position(|other| other == step).unwrap();
        let results = apply_until_failure(&steps, |step| {
            let (number, yields) = (number(step), yields(number(step)));
            async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                match number {
                    2 => Applied::failed(AwsError::Busy("it".to_owned())),
                    _ => Applied::default(),
                }
            }
        });
        results.await.iter().map(|(step, _)| number(step)).collect()
    }

    #[tokio::test]
    async fn started_steps_finish_when_another_step_fails_and_no_further_step_starts() {
        assert_eq!(numbers_of_results(|number| if number == 2 { 0 } else { 9 }).await, [0, 1, 2, 3]);
        assert_eq!(numbers_of_results(|number| if number == 2 { 9 } else { 0 }).await, [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn the_results_are_in_the_order_of_the_steps_whichever_step_ends_first() {
        assert_eq!(numbers_of_results(|number| 9 - number).await, [0, 1, 2, 3]);
    }
}
