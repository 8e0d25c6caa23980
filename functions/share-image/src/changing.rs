//! Makes the calls of a plan in their order, and writes down what AWS answered.

use std::cell::Cell;
use std::collections::BTreeSet;

use ami_share_aws::ec2::permissions::{Applied, PermissionWriter, RejectedPermission};
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::leases::Lease;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_domain::audit_log::{AuditAction, AuditRow};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::{ImagePlan, ImageStep, ObservedImage};
use ami_share_domain::image::request::ImageRequest;
use ami_share_domain::targets::target::LaunchPermission;
use ami_share_domain::targets::target::Target;
use ami_share_lambda::Failure;
use futures::future::ready;
use futures::{StreamExt, stream};
use jiff::Timestamp;

/// Snapshots that are changed at the same time.
const CONCURRENT_WRITES: usize = 4;

/// One image whose turn we have, as it was observed since.
pub(crate) struct Changing<'a> {
    pub(crate) request: &'a ImageRequest,
    pub(crate) observed: &'a ObservedImage,
    pub(crate) lease: &'a Lease,
    pub(crate) permissions: PermissionWriter,
    pub(crate) ledger: LedgerWriter,
    pub(crate) invocation: &'a str,
}

impl Changing<'_> {
    /// Writes down what is about to be given, so that it is ours wherever this look dies; and what an earlier
    /// look did without living to write it down.
    pub(crate) async fn write_ahead(
        &self,
        targets: &[&Target],
        plan: &ImagePlan,
        ledger: &mut ImageLedger,
    ) -> Result<(), Failure> {
        self.lease.renew().await?;
        let share = &self.request.share;
        let adopted = self.request.adopted(targets, self.observed, ledger);
        let mut found = ledger.unrecorded(share, self.observed);
        found.extend(adopted.rows(share));
        self.append(&found).await?;
        let added = plan.launch_permissions();
        let is_new = |target: &Target| {
            added.contains(&target.launch_permission()) || adopted.targets.contains(target.name())
        };
        let rows = ledger.rows_before(share, targets, is_new, Timestamp::now());
        self.ledger.write_shares(self.image(), &rows, &[], self.lease).await?;
        ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
        for (snapshot, accounts) in &adopted.snapshots {
            self.lease.renew().await?;
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok(())
    }

    /// Makes the calls: all snapshots are opened before the image, and closed after it.
    pub(crate) async fn apply(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        if plan.revokes_first {
            let rejected = self.close(plan).await?;
            return Ok([rejected, self.open(plan).await?].concat());
        }
        let rejected = self.open(plan).await?;
        Ok([rejected, self.close(plan).await?].concat())
    }

    async fn open(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.opening.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.apply_all(snapshots).await?;
        // An account whose snapshots EC2 rejects gets no half of a share.
        let out: BTreeSet<LaunchPermission> =
            rejected.iter().map(|rejected| rejected.permission.clone()).collect();
        rejected
            .extend(self.apply_all(image.into_iter().filter_map(|step| step.without(&out)).collect()).await?);
        Ok(rejected)
    }

    async fn close(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.closing.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.apply_all(image).await?;
        rejected.extend(self.apply_all(snapshots).await?);
        Ok(rejected)
    }

    /// Takes steps, some of them at once. What AWS accepted goes into the history also when another step fails: it is
    /// done, so no later look does it, and none would write it down.
    async fn apply_all(&self, steps: Vec<ImageStep>) -> Result<Vec<RejectedPermission>, Failure> {
        let applied_steps = until_one_fails(&steps, |step| self.take(step)).await;
        let rows: Vec<AuditRow> =
            applied_steps.iter().flat_map(|(step, applied)| self.audit_log(step, applied)).collect();
        self.append(&rows).await?;
        for (step, applied) in &applied_steps {
            self.forget(step, applied).await?;
        }
        let mut rejected = Vec::new();
        for (_, applied) in applied_steps {
            match applied.failure {
                Some(failure) => return Err(failure.into()),
                None => rejected.extend(applied.rejected),
            }
        }
        Ok(rejected)
    }

    async fn take(&self, step: &ImageStep) -> Applied {
        match self.remember(step).await {
            Ok(()) => self.permissions.apply(self.lease, self.image(), step).await,
            Err(failure) => Applied::failed(failure),
        }
    }

    /// Who is let copy a snapshot is written down before that, so that it is ours wherever this look dies.
    async fn remember(&self, step: &ImageStep) -> Result<(), AwsError> {
        if let ImageStep::GrantSnapshot { snapshot, accounts } = step {
            self.lease.renew().await?;
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok(())
    }

    /// Who may copy a snapshot no more is forgotten once that is in the history: a look that dies in between is
    /// followed by one that closes the snapshot, and writes that down, once more.
    async fn forget(&self, step: &ImageStep, applied: &Applied) -> Result<(), AwsError> {
        let Some(snapshot) = step.snapshot() else { return Ok(()) };
        let gone = step.forgets(self.observed, |account| applied.verdict(account));
        if !gone.is_empty() {
            self.lease.renew().await?;
            self.ledger.remove_snapshot_accounts(self.image(), snapshot, &gone).await?;
        }
        Ok(())
    }

    /// One row of history for each call that AWS accepted.
    fn audit_log(&self, step: &ImageStep, applied: &Applied) -> Vec<AuditRow> {
        let Share { triggered_by, intent, .. } = &self.request.share;
        let resource = step.snapshot().map_or_else(|| self.image().to_string(), ToString::to_string);
        let rows = applied.accepted.iter().map(|accepted| {
            let row =
                AuditRow::new(step.action(), &resource, accepted.principals.clone(), triggered_by, *intent);
            let row = row.done(Timestamp::now(), accepted.request_id.clone());
            match (step.action(), accepted.principals.as_slice()) {
                (AuditAction::ImageRevoked | AuditAction::SnapshotRevoked, [first, ..]) => {
                    row.because(self.request.share.why_revoked(first))
                }
                _ => row,
            }
        });
        rows.collect()
    }

    async fn append(&self, rows: &[AuditRow]) -> Result<(), Failure> {
        Ok(self.ledger.append(self.image(), rows, self.invocation).await?)
    }

    /// What was public and is so no more.
    pub(crate) fn made_private(&self, plan: &ImagePlan) -> Vec<String> {
        let private = plan.closing.iter().filter(|step| step.action() == AuditAction::MadePrivate);
        private
            .map(|step| step.snapshot().map_or_else(|| self.image().to_string(), ToString::to_string))
            .collect()
    }

    fn image(&self) -> &ImageId {
        &self.request.share.image.id
    }
}

/// Takes the steps, some of them at once, and answers in their order: the refusal of an account quotes the first
/// snapshot that it was rejected for, and is news when it quotes another one at the next look. None is begun after one
/// has failed; those that were begun by then are waited for, because a call that is dropped may have been made.
async fn until_one_fails<'step, F>(
    steps: &'step [ImageStep],
    take: impl Fn(&'step ImageStep) -> F,
) -> Vec<(&'step ImageStep, Applied)>
where
    F: Future<Output = Applied>,
{
    let has_failed = &Cell::new(false);
    let taking = stream::iter(steps).take_while(|_| ready(!has_failed.get())).map(|step| {
        let taking = take(step);
        async move {
            let applied = taking.await;
            has_failed.set(has_failed.get() || applied.failure.is_some());
            (step, applied)
        }
    });
    taking.buffered(CONCURRENT_WRITES).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that are told apart by the number of their snapshot.
    fn steps(count: usize) -> Vec<ImageStep> {
        let snapshots = (0..count).map(|number| format!("snap-{number:017}").parse().unwrap());
        snapshots.map(|snapshot| ImageStep::MakeSnapshotPrivate { snapshot }).collect()
    }

    /// Takes eight steps, of which each needs so many turns of the executor as `leases` says; the third fails.
    async fn applied_steps(leases: impl Fn(usize) -> usize) -> Vec<usize> {
        let steps = steps(8);
        let number = |step: &ImageStep| steps.iter().position(|other| other == step).unwrap();
        let applied_steps = until_one_fails(&steps, |step| {
            let (number, leases) = (number(step), leases(number(step)));
            async move {
                for _ in 0..leases {
                    tokio::task::yield_now().await;
                }
                match number {
                    2 => Applied::failed(AwsError::Busy("it".to_owned())),
                    _ => Applied::default(),
                }
            }
        });
        applied_steps.await.iter().map(|(step, _)| number(step)).collect()
    }

    #[tokio::test]
    async fn started_steps_finish_when_another_step_fails_and_no_further_step_starts() {
        assert_eq!(applied_steps(|number| if number == 2 { 0 } else { 9 }).await, [0, 1, 2, 3]);
        assert_eq!(applied_steps(|number| if number == 2 { 9 } else { 0 }).await, [0, 1, 2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn whichever_step_is_over_first_what_came_of_them_is_in_their_order() {
        assert_eq!(applied_steps(|number| 9 - number).await, [0, 1, 2, 3]);
    }
}
