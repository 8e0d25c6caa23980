//! Notifies the hub of an execution that failed, timed out or was aborted.

use ami_share_aws::ledger::leases::Lease;
use ami_share_domain::image::request::{NotifyResult, Outcome};
use ami_share_domain::metrics::{Measurements, Metric};
use ami_share_domain::notify::notification;
use ami_share_domain::notify::plan::Conclusion;
use ami_share_domain::notify::status;
use ami_share_lambda::events::FailedExecution;
use ami_share_lambda::{Failure, Invocation};

use crate::NotifyTargets;

impl NotifyTargets {
    /// Notifies the hub, and writes the status. A failure that ended before the last notified outcome is out of date:
    /// the status keeps the later truth. A later reconciliation that had nothing to notify of left no trace, so the
    /// status of the failure then stays until the next reconciliation or review.
    pub(crate) async fn notify_of_failure(
        &self,
        failed: &FailedExecution,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<NotifyResult, Failure> {
        let image = &failed.trigger.image;
        let ledger = self.ledger.image(image).await?;
        let region = failed.region.clone().unwrap_or_else(|| self.clients.region());
        let notification = notification::failed(image.as_str(), &region, &failed.execution, &failed.cause);
        let (_, outcome) = self.sender.notify_hub(&[notification], lease).await;
        outcome?;
        let status = status::failed(&failed.cause);
        if !ledger.notified.is_newer_than(failed.ended) {
            self.write_status(image, &status, lease).await?;
            let conclusion = Conclusion { status: Some(status.clone()), ..Conclusion::default() };
            self.writer(lease).await?.conclude(image, &conclusion, self.clients.clock().now()).await?;
        }
        invocation.measure(&Measurements::default().counting(Metric::ExecutionsFailed, 1));
        tracing::warn!(status, "notified of a failed execution");
        Ok(described(failed))
    }
}

/// The answer for a failed execution. Nobody is notified of a dry run, and no target account of a failure.
pub(crate) fn described(failed: &FailedExecution) -> NotifyResult {
    let status = status::failed(&failed.cause);
    NotifyResult { outcome: Outcome::Incomplete, status, failed: None, notified: 0, plan: Vec::new() }
}
