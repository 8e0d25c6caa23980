//! Makes the calls of a plan in their order, and writes down what AWS answered.

use std::collections::BTreeSet;

use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::LedgerWriter;
use ami_share_aws::permissions::{Applied, PermissionWriter, RejectedPermission};
use ami_share_aws::turns::Turn;
use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image_plan::{ImagePlan, ImageStep};
use ami_share_domain::share::{ImageRequest, LaunchPermission, Share, Target};
use ami_share_lambda::Failure;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::Observed;

/// Snapshots that are changed at the same time.
const CONCURRENT_WRITES: usize = 4;

/// One image whose turn we have.
pub(crate) struct Changing<'a> {
    pub(crate) request: &'a ImageRequest,
    pub(crate) turn: &'a Turn,
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
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        self.turn.renew().await?;
        let share = &self.request.share;
        let adopted = self.request.adopted(targets, &observed.image, &observed.ledger);
        let mut found = observed.ledger.unrecorded(share, &observed.image);
        found.extend(adopted.rows(share));
        self.append(&found).await?;
        let added = plan.launch_permissions();
        let is_new = |target: &Target| {
            added.contains(&target.launch_permission()) || adopted.targets.contains(target.name())
        };
        let rows = observed.ledger.rows_before(share, targets, is_new, Timestamp::now());
        self.ledger.write_shares(self.image(), &rows, &[]).await?;
        observed.ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
        for (snapshot, accounts) in &adopted.snapshots {
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok(())
    }

    /// Makes the calls: all snapshots are opened before the image, and closed after it.
    pub(crate) async fn apply(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        if plan.closes_first {
            let rejected = self.close(plan).await?;
            return Ok([rejected, self.open(plan).await?].concat());
        }
        let rejected = self.open(plan).await?;
        Ok([rejected, self.close(plan).await?].concat())
    }

    async fn open(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.opening.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.take_all(snapshots).await?;
        // An account whose snapshots EC2 rejects gets no half of a share.
        let out: BTreeSet<LaunchPermission> =
            rejected.iter().map(|rejected| rejected.permission.clone()).collect();
        rejected
            .extend(self.take_all(image.into_iter().filter_map(|step| step.without(&out)).collect()).await?);
        Ok(rejected)
    }

    async fn close(&self, plan: &ImagePlan) -> Result<Vec<RejectedPermission>, Failure> {
        let (image, snapshots): (Vec<_>, Vec<_>) =
            plan.closing.iter().cloned().partition(ImageStep::is_of_image);
        let mut rejected = self.take_all(image).await?;
        rejected.extend(self.take_all(snapshots).await?);
        Ok(rejected)
    }

    async fn take_all(&self, steps: Vec<ImageStep>) -> Result<Vec<RejectedPermission>, Failure> {
        let taken = stream::iter(&steps).map(|step| self.take(step)).buffer_unordered(CONCURRENT_WRITES);
        let taken: Vec<(&ImageStep, Applied)> = taken.try_collect().await?;
        let rows: Vec<AuditRow> =
            taken.iter().flat_map(|(step, applied)| self.history(step, applied)).collect();
        self.append(&rows).await?;
        Ok(taken.into_iter().flat_map(|(_, applied)| applied.rejected).collect())
    }

    async fn take<'step>(&self, step: &'step ImageStep) -> Result<(&'step ImageStep, Applied), AwsError> {
        self.turn.renew().await?;
        if let ImageStep::OpenSnapshot { snapshot, accounts } = step {
            self.ledger.add_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        let applied = self.permissions.apply(self.image(), step).await?;
        if let ImageStep::CloseSnapshot { snapshot, accounts } = step {
            self.ledger.remove_snapshot_accounts(self.image(), snapshot, accounts).await?;
        }
        Ok((step, applied))
    }

    /// One row of history for each call that AWS accepted.
    fn history(&self, step: &ImageStep, applied: &Applied) -> Vec<AuditRow> {
        let Share { asked, intent, .. } = &self.request.share;
        let resource = step.snapshot().map_or_else(|| self.image().to_string(), ToString::to_string);
        let rows = applied.accepted.iter().map(|accepted| {
            let row = AuditRow::new(step.deed(), &resource, accepted.whom.clone(), asked, *intent);
            let row = row.done(Timestamp::now(), accepted.request_id.clone());
            match (step.deed(), accepted.whom.as_slice()) {
                (Deed::ImageClosed | Deed::SnapshotClosed, [first, ..]) => {
                    row.because(self.request.share.why_withdrawn(first))
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
        let private = plan.closing.iter().filter(|step| step.deed() == Deed::MadePrivate);
        private
            .map(|step| step.snapshot().map_or_else(|| self.image().to_string(), ToString::to_string))
            .collect()
    }

    fn image(&self) -> &ImageId {
        &self.request.share.image.id
    }
}
