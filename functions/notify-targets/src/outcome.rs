//! Notifies target accounts and hub of what a reconciliation did, and concludes it: status tag and ledger.

use std::collections::BTreeMap;

use ami_share_aws::ledger::leases::Lease;
use ami_share_domain::ids::ImageId;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::request::{NotifyResult, Outcome, ShareResult};
use ami_share_domain::metrics;
use ami_share_domain::notify;
use ami_share_domain::notify::notification::Notification;
use ami_share_domain::notify::plan::{Conclusion, HubNotification, NotificationPlan};
use ami_share_domain::notify::status::Summary;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_lambda::{Failure, Invocation};

use crate::NotifyTargets;

/// Notifications that are sent before the ledger records them: if the function is interrupted in between, at most so
/// many are sent again.
const NOTIFICATIONS_AT_ONCE: usize = 100;

impl NotifyTargets {
    /// A dry run: the notifications that would be sent.
    pub(crate) async fn describe(&self, result: &ShareResult) -> Result<NotifyResult, Failure> {
        let ledger = self.ledger.image(&result.share.desired.image.id).await?;
        let plan = notify::plan::plan(result, &ledger, self.clients.clock().now());
        Ok(NotifyResult { plan: lines(&plan), ..notified(result, status(result, &ledger), 0) })
    }

    /// Observes what was notified before, decides what is still to be sent, sends and records it.
    pub(crate) async fn notify_of_outcome(
        &self,
        result: &ShareResult,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<NotifyResult, Failure> {
        let image = &result.share.desired.image;
        let ledger = self.ledger.image(&image.id).await?;
        if ledger.supersedes(&result.share) {
            return Ok(superseded(result));
        }
        let plan = notify::plan::plan(result, &ledger, self.clients.clock().now());
        let status = status(result, &ledger);
        self.notify_target_accounts(result, &plan, lease).await?;
        self.notify_hub(&image.id, &plan.hub, lease, invocation).await?;
        self.conclude(result, &ledger, &plan, &status, lease).await?;
        if is_over(result, &ledger) {
            self.writer(lease).await?.unmanage(&image.id, result.share.run.intent).await?;
        }
        tracing::info!(
            target_accounts = plan.target_accounts.len(),
            former_accounts = plan.former_accounts.len(),
            hub_notifications = plan.hub.len(),
            status,
            "notified"
        );
        Ok(notified(result, status, plan.target_accounts.len() + plan.former_accounts.len()))
    }

    /// Notifies accounts of access, of its revocation and of its end, some at a time, and records each part before an
    /// error ends the function: the next try must not notify them again.
    async fn notify_target_accounts(
        &self,
        result: &ShareResult,
        plan: &NotificationPlan,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let image = &result.share.desired.image.id;
        for notifications in plan.former_accounts.chunks(NOTIFICATIONS_AT_ONCE) {
            let (deliveries, outcome) = self.sender.notify_target_accounts(notifications, lease).await;
            self.writer(lease).await?.forget_notified(image, &deliveries.all()).await?;
            outcome?;
        }
        if !plan.forgotten.is_empty() {
            self.writer(lease).await?.forget_notified(image, &plan.forgotten).await?;
        }
        for notifications in plan.target_accounts.chunks(NOTIFICATIONS_AT_ONCE) {
            let (deliveries, outcome) = self.sender.notify_target_accounts(notifications, lease).await;
            self.writer(lease)
                .await?
                .add_notified(image, &deliveries.delivered, &deliveries.without_bus)
                .await?;
            outcome?;
        }
        // Without an end there is nothing to warn of.
        let Some(end) = result.share.desired.until else { return Ok(()) };
        for notifications in plan.warned.chunks(NOTIFICATIONS_AT_ONCE) {
            let (deliveries, outcome) = self.sender.notify_target_accounts(notifications, lease).await;
            self.writer(lease).await?.add_warned(image, &deliveries.all(), end).await?;
            outcome?;
        }
        Ok(())
    }

    /// Sends some at a time, and records and counts each part, so that no part is sent or counted twice.
    async fn notify_hub(
        &self,
        image: &ImageId,
        mut remaining: &[HubNotification],
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<(), Failure> {
        while !remaining.is_empty() {
            let part = notify::plan::leading(remaining, NOTIFICATIONS_AT_ONCE);
            let notifications: Vec<Notification> = part.iter().map(|hub| hub.notification.clone()).collect();
            let (count, outcome) = self.sender.notify_hub(&notifications, lease).await;
            let notified = notify::plan::leading(remaining, count);
            let rows = rows(notified);
            self.clients.ledger_writer(&self.table).write_shares(image, &rows, &[], lease).await?;
            invocation.measure(&metrics::of_notifications(notified));
            outcome?;
            remaining = remaining.get(notified.len()..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes the status, and records what was notified of the whole image: also when the status could not be written,
    /// since the notifications were sent.
    async fn conclude(
        &self,
        result: &ShareResult,
        ledger: &ImageLedger,
        plan: &NotificationPlan,
        status: &str,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let image = &result.share.desired.image;
        let can_carry_status =
            result.share.desired.revocation_reason.as_ref().is_none_or(RevocationReason::leaves_image);
        let needs_status =
            can_carry_status && ledger.notified.needs_status(status, &result.share.run.observed);
        let written = match needs_status {
            true => self.write_status(&image.id, status, lease).await,
            false => Ok(()),
        };
        let status = Some(status.to_owned()).filter(|_| needs_status && written.is_ok());
        let conclusion = Conclusion { status, ..notify::plan::conclusion(result, ledger, plan) };
        if *plan != NotificationPlan::default() || conclusion != Conclusion::default() {
            self.writer(lease).await?.conclude(&image.id, &conclusion, self.clients.clock().now()).await?;
        }
        written
    }
}

/// The rows that record these notifications, each target's last one.
fn rows(notified: &[HubNotification]) -> Vec<ShareRow> {
    let rows = notified.iter().filter_map(|hub| hub.row.as_ref());
    let rows: BTreeMap<&str, &ShareRow> = rows.map(|row| (row.target.as_str(), row)).collect();
    rows.into_values().cloned().collect()
}

fn status(result: &ShareResult, ledger: &ImageLedger) -> String {
    let has_access = |target: &&Target| ledger.shares.get(target.name()).is_some_and(ShareRow::has_access);
    let summary = Summary {
        shared: result.shared_targets().collect(),
        retained: result.share.desired.retained.iter().filter(has_access).collect(),
        is_public: result
            .unmanaged
            .iter()
            .any(|grant| grant.is_public() && !result.made_private.contains(&grant.resource)),
        revocation_reason: result.share.desired.revocation_reason.as_ref(),
        refused: &result.all_refused(),
        until: result.share.desired.until,
    };
    summary.status()
}

/// Whether the image needs no review any more: it is gone or untagged, and no managed access to it is left.
fn is_over(result: &ShareResult, ledger: &ImageLedger) -> bool {
    let has_ended = matches!(
        result.share.desired.revocation_reason,
        Some(RevocationReason::ImageGone | RevocationReason::Untagged)
    );
    has_ended && ledger.has_no_access() && result.all_refused().is_empty()
}

/// The answer when a later reconciliation does all that there is to do.
pub(crate) fn superseded(result: &ShareResult) -> NotifyResult {
    notified(result, String::new(), 0)
}

fn notified(result: &ShareResult, status: String, notified: usize) -> NotifyResult {
    let outcome = if result.all_refused().is_empty() { Outcome::Complete } else { Outcome::Incomplete };
    NotifyResult { outcome, status, failed: result.first_failed().cloned(), notified, plan: Vec::new() }
}

/// The notifications of a dry run, for people to read.
fn lines(plan: &NotificationPlan) -> Vec<String> {
    let target_accounts = [&plan.former_accounts, &plan.target_accounts, &plan.warned].into_iter().flatten();
    let target_accounts = target_accounts.map(|(account, notification)| {
        format!("{} to the bus of {account}", notification.kind.detail_type())
    });
    let hub = plan.hub.iter().map(|HubNotification { notification, row: _ }| {
        let of = notification.detail.target.as_deref().unwrap_or("the image");
        format!("{} of {of} to the hub", notification.kind.detail_type())
    });
    target_accounts.chain(hub).collect()
}
