//! Makes the calls of a plan in their order, and records what AWS answered.

use std::cell::Cell;
use std::collections::BTreeSet;

use ami_share_aws::clock::Clock;
use ami_share_aws::ec2::permissions::{Applied, PermissionWriter, RejectedPermission};
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::leases::Lease;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image::decision::ImageDecision;
use ami_share_domain::image::desired::Run;
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::{ImagePlan, ImageStep, ObservedImage};
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::targets::target::{LaunchPermission, Target};
use ami_share_lambda::Failure;
use futures::future::ready;
use futures::{StreamExt, stream};

/// Snapshots that are changed at the same time.
const CONCURRENT_WRITES: usize = 4;

/// Writes one image while this invocation holds its lease.
pub(crate) struct ImageWriter<'a> {
    pub(crate) request: &'a ImageRequest,
    pub(crate) observed: &'a ObservedImage,
    pub(crate) lease: &'a Lease,
    pub(crate) permissions: PermissionWriter,
    pub(crate) ledger: LedgerWriter,
    pub(crate) clock: Clock,
    pub(crate) invocation: &'a str,
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

    /// Makes the calls, and returns what EC2 rejected.
    pub(crate) async fn apply(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        if plan.revokes_first {
            let rejected = self.revoke(plan).await?;
            return Ok([rejected, self.grant(plan).await?].concat());
        }
        let rejected = self.grant(plan).await?;
        Ok([rejected, self.revoke(plan).await?].concat())
    }

    /// Grants the snapshots, then the image.
    async fn grant(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.grants.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.apply_all(snapshots).await?;
        // An account whose snapshots EC2 rejects gets no launch permission either.
        let excluded: BTreeSet<LaunchPermission> =
            rejected.iter().map(|rejected| rejected.permission.clone()).collect();
        let image = image.into_iter().filter_map(|step| step.without(&excluded)).collect();
        rejected.extend(self.apply_all(image).await?);
        Ok(rejected)
    }

    /// Revokes the image, then the snapshots.
    async fn revoke(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.revocations.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.apply_all(image).await?;
        rejected.extend(self.apply_all(snapshots).await?);
        Ok(rejected)
    }

    /// Applies steps, some of them at once. What AWS accepted goes into the audit log also when another step fails: it
    /// is done, so no later run does it again, and none would record it.
    async fn apply_all(&self, steps: Vec<ImageStep>) -> Result<Vec<RejectedPermission>, Failure> {
        let results = apply_until_failure(&steps, |step| self.apply_step(step)).await;
        let rows: Vec<AuditRow> =
            results.iter().flat_map(|(step, applied)| self.audit_rows(step, applied)).collect();
        self.append(&rows).await?;
        for (step, applied) in &results {
            self.forget_snapshot_accounts(step, applied).await?;
        }
        let mut rejected = Vec::new();
        for (_, applied) in results {
            match applied.failure {
                Some(failure) => return Err(failure.into()),
                None => rejected.extend(applied.rejected),
            }
        }
        Ok(rejected)
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

    /// Forgets the accounts of a snapshot once the audit log has their revocation. After an interruption in between,
    /// the next run revokes, and records, once more.
    async fn forget_snapshot_accounts(&self, step: &ImageStep, applied: &Applied) -> Result<(), AwsError> {
        let Some(snapshot) = step.snapshot() else { return Ok(()) };
        let gone = step.forgets(self.observed, |account| applied.verdict(account));
        if !gone.is_empty() {
            self.lease.renew().await?;
            self.ledger.remove_snapshot_accounts(self.image(), snapshot, &gone).await?;
        }
        Ok(())
    }

    /// One row of the audit log for each call that AWS accepted.
    fn audit_rows(&self, step: &ImageStep, applied: &Applied) -> Vec<AuditRow> {
        let Run { triggered_by, intent, .. } = &self.request.share.run;
        let rows = applied.accepted.iter().map(|accepted| {
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

    async fn append(&self, rows: &[AuditRow]) -> Result<(), Failure> {
        Ok(self.ledger.append(self.image(), rows, self.invocation).await?)
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
