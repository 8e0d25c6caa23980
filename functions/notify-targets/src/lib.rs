//! `notify-targets`: tells everybody who should know what came of a share or of its end, once.
//!
//! The bus of each target account, the hub's bus and topic, and the status tag. It also takes the event of
//! an execution that failed, which could not tell of itself.

mod failed_execution;

use std::collections::BTreeMap;

use ami_share_aws::leases::{Lease, Leases};
use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_aws::ledger_writer::LedgerWriter;
use ami_share_aws::notifications::{Addresses, NotificationSender};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::request::{NotifyResult, Outcome, ShareResult};
use ami_share_domain::metrics::{self, Measurements, Metric};
use ami_share_domain::notify;
use ami_share_domain::notify::notification::Notification;
use ami_share_domain::notify::plan::{Conclusion, HubNotification, NotificationPlan};
use ami_share_domain::notify::status::Summary;
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_domain::targets::target::Target;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::failed_execution::FailedExecution;

/// Notices that are sent before it is written down that they were: so many are sent again at the most when the
/// function is killed half-way.
const NOTIFICATIONS_AT_ONCE: usize = 100;

/// The function.
pub struct NotifyTargets {
    ledger: LedgerReader,
    leases: Leases,
    sender: NotificationSender,
    clients: Clients,
    table: String,
}

/// What it is invoked with.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub enum NotifyRequest {
    /// The output of `share-image`.
    Result(Box<ShareResult>),
    /// The output of `share-image`, or so it seems; but it cannot be read.
    Garbled {
        /// The image, where that can be read.
        image: Option<ImageId>,
        /// What is wrong.
        reason: String,
    },
    /// EventBridge's `Step Functions Execution Status Change`, or something that we do not understand.
    Event(Value),
}

/// Whatever has a share is no event: of what is wrong with it, an untagged enum would say nothing.
impl From<Value> for NotifyRequest {
    fn from(request: Value) -> Self {
        let Some(share) = request.get("share") else { return Self::Event(request) };
        match ShareResult::deserialize(&request) {
            Ok(result) => Self::Result(Box::new(result)),
            Err(error) => {
                let image = share.pointer("/image/id").and_then(Value::as_str);
                Self::Garbled { image: image.and_then(|id| id.parse().ok()), reason: error.to_string() }
            }
        }
    }
}

impl Function for NotifyTargets {
    type Request = NotifyRequest;
    type Response = NotifyResult;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        let topic = environment.text("NOTIFICATION_TOPIC_ARN")?;
        let addresses = Addresses {
            hub_bus: environment.text("HUB_BUS_NAME")?,
            target_bus: environment.text("TARGET_BUS_NAME")?,
            region: clients.region(),
            partition: topic.split(':').nth(1).unwrap_or("aws").to_owned(),
            topic,
        };
        Ok(Self {
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            sender: clients.notification_sender(addresses),
            clients: clients.clone(),
            table,
        })
    }

    fn about(request: &NotifyRequest) -> About {
        match request {
            NotifyRequest::Result(result) => About::image(&result.share.image.id),
            NotifyRequest::Garbled { image, reason: _ } => About { image: image.clone(), ..About::default() },
            NotifyRequest::Event(event) => {
                let failed = FailedExecution::read(event, "");
                let about = |failed: FailedExecution| About {
                    execution: Some(failed.execution),
                    ..About::image(&failed.image)
                };
                failed.map(about).unwrap_or_default()
            }
        }
    }

    async fn handle(&self, request: NotifyRequest, invocation: &Invocation) -> Result<NotifyResult, Failure> {
        match request {
            NotifyRequest::Result(result) if result.superseded => Ok(notified(&result, String::new(), 0)),
            NotifyRequest::Result(result) if result.share.dry_run => self.describe(&result).await,
            NotifyRequest::Result(result) => {
                let lease = self.leases.of_image(&result.share.image.id, invocation.id()).await?;
                let notified = self.notify(&result, &lease, invocation).await;
                lease.release().await;
                notified
            }
            NotifyRequest::Garbled { image: _, reason } => {
                Err(Failure::BadRequest(format!("in the output of share-image, {reason}")))
            }
            NotifyRequest::Event(event) => {
                let failed =
                    FailedExecution::read(&event, &self.clients.region()).map_err(Failure::BadRequest)?;
                if failed.dry_run {
                    return Ok(not_notified(failed.status()));
                }
                let lease = self.leases.of_image(&failed.image, invocation.id()).await?;
                let notified = self.notify_failure(&failed, &lease, invocation).await;
                lease.release().await;
                notified
            }
        }
    }
}

impl NotifyTargets {
    /// A dry run: what would be told.
    async fn describe(&self, result: &ShareResult) -> Result<NotifyResult, Failure> {
        let ledger = self.ledger.image(&result.share.image.id).await?;
        let plan = notify::plan::plan(result, &ledger, Timestamp::now());
        Ok(NotifyResult { plan: lines(&plan), ..notified(result, status(result, &ledger), 0) })
    }

    async fn notify(
        &self,
        result: &ShareResult,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<NotifyResult, Failure> {
        let image = &result.share.image;
        let ledger = self.ledger.image(&image.id).await?;
        if ledger.supersedes(&result.share) {
            return Ok(notified(result, String::new(), 0));
        }
        let plan = notify::plan::plan(result, &ledger, Timestamp::now());
        let status = status(result, &ledger);
        self.notify_target_accounts(result, &plan, lease).await?;
        self.notify_hub(&image.id, &plan.hub, lease, invocation).await?;
        self.conclude(result, &ledger, &plan, &status, lease).await?;
        if is_over(result, &ledger) {
            self.writer(lease).await?.unmanage(&image.id, result.share.intent).await?;
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

    /// Tells accounts of access and of its end, each time a few, and writes down that they know. Who was told is
    /// written down before a failure ends it, or the next try would tell them again.
    async fn notify_target_accounts(
        &self,
        result: &ShareResult,
        plan: &NotificationPlan,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let image = &result.share.image.id;
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
        // Without an end nobody is warned of it.
        let Some(end) = result.share.until else { return Ok(()) };
        for notifications in plan.warned.chunks(NOTIFICATIONS_AT_ONCE) {
            let (deliveries, outcome) = self.sender.notify_target_accounts(notifications, lease).await;
            self.writer(lease).await?.add_warned(image, &deliveries.all(), end).await?;
            outcome?;
        }
        Ok(())
    }

    async fn notify_hub(
        &self,
        image: &ImageId,
        mut hub_notifications: &[HubNotification],
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<(), Failure> {
        while !hub_notifications.is_empty() {
            let part = notify::plan::leading(hub_notifications, NOTIFICATIONS_AT_ONCE);
            let notifications: Vec<Notification> =
                part.iter().map(|hub_notifications| hub_notifications.notification.clone()).collect();
            let (count, outcome) = self.sender.notify_hub(&notifications, lease).await;
            let notified = notify::plan::leading(hub_notifications, count);
            let rows: BTreeMap<&str, &ShareRow> = notified
                .iter()
                .filter_map(|hub_notifications| hub_notifications.row.as_ref())
                .map(|row| (row.target.as_str(), row))
                .collect();
            let rows: Vec<ShareRow> = rows.into_values().cloned().collect();
            self.clients.ledger_writer(&self.table).write_shares(image, &rows, &[], lease).await?;
            // Each part by itself: what is on record as told is not told, and not counted, again.
            invocation.measure(&metrics::of_notifications(notified));
            outcome?;
            hub_notifications = hub_notifications.get(notified.len()..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes the status, and writes down what has been told of the whole image, whether the status could be written
    /// or not: that was told.
    async fn conclude(
        &self,
        result: &ShareResult,
        ledger: &ImageLedger,
        plan: &NotificationPlan,
        status: &str,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let image = &result.share.image;
        let can_carry_status =
            result.share.revocation_reason.as_ref().is_none_or(RevocationReason::leaves_image);
        let needs_status = can_carry_status && ledger.notified.needs_status(status, image);
        let written = match needs_status {
            true => self.write_status(&image.id, status, lease).await,
            false => Ok(()),
        };
        let status = Some(status.to_owned()).filter(|_| needs_status && written.is_ok());
        let conclusion = Conclusion { status, ..notify::plan::conclusion(result, ledger, plan) };
        if *plan != NotificationPlan::default() || conclusion != Conclusion::default() {
            self.writer(lease).await?.conclude(&image.id, &conclusion, Timestamp::now()).await?;
        }
        written
    }

    /// A writer of the ledger, for one write: who lost the turn meanwhile must not write any more.
    async fn writer(&self, lease: &Lease) -> Result<LedgerWriter, Failure> {
        lease.renew().await?;
        Ok(self.clients.ledger_writer(&self.table))
    }

    async fn write_status(&self, image: &ImageId, status: &str, lease: &Lease) -> Result<(), Failure> {
        lease.renew().await?;
        Ok(self.clients.status_writer().write(image, status).await?)
    }

    /// A failure that ended before the last outcome was told is history: the status keeps the later truth. A later look
    /// that had nothing to tell left no trace, so the failure's status stands until the next look or review.
    async fn notify_failure(
        &self,
        failed: &FailedExecution,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<NotifyResult, Failure> {
        let ledger = self.ledger.image(&failed.image).await?;
        let (_, outcome) = self.sender.notify_hub(&[failed.notification()], lease).await;
        outcome?;
        let status = failed.status();
        if !ledger.notified.is_newer_than(failed.ended) {
            self.write_status(&failed.image, &status, lease).await?;
            let conclusion = Conclusion { status: Some(status.clone()), ..Conclusion::default() };
            self.writer(lease).await?.conclude(&failed.image, &conclusion, Timestamp::now()).await?;
        }
        invocation.measure(&Measurements::default().counting(Metric::ExecutionsFailed, 1));
        tracing::warn!(status, "told of a failed execution");
        Ok(not_notified(status))
    }
}

fn status(result: &ShareResult, ledger: &ImageLedger) -> String {
    let has_access = |target: &&Target| ledger.shares.get(target.name()).is_some_and(ShareRow::has_access);
    let summary = Summary {
        shared: result.shared_targets().collect(),
        retained: result.share.retained.iter().filter(has_access).collect(),
        is_public: result
            .unmanaged
            .iter()
            .any(|grant| grant.is_public() && !result.made_private.contains(&grant.resource)),
        revocation_reason: result.share.revocation_reason.as_ref(),
        refused: &result.all_refused(),
        until: result.share.until,
    };
    summary.status()
}

/// Whether the image needs no review any more: it is gone or untagged, and nothing of it is open.
fn is_over(result: &ShareResult, ledger: &ImageLedger) -> bool {
    let has_ended = matches!(
        result.share.revocation_reason,
        Some(RevocationReason::ImageGone | RevocationReason::Untagged)
    );
    has_ended && ledger.has_no_access() && result.all_refused().is_empty()
}

fn notified(result: &ShareResult, status: String, notified: usize) -> NotifyResult {
    let outcome = if result.all_refused().is_empty() { Outcome::Complete } else { Outcome::Incomplete };
    NotifyResult { outcome, status, notified, plan: Vec::new() }
}

/// The answer when no target was told.
fn not_notified(status: String) -> NotifyResult {
    NotifyResult { outcome: Outcome::Incomplete, status, notified: 0, plan: Vec::new() }
}

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

    use serde_json::json;

    use super::*;

    const RESULT: &str = include_str!("../../../events/notify-targets.json");
    const FAILED: &str = include_str!("../../../events/step-functions-execution-failed.json");

    fn read(request: Value) -> NotifyRequest {
        NotifyRequest::deserialize(request).unwrap()
    }

    #[test]
    fn the_output_of_a_step_and_an_event_are_distinguished() {
        assert!(matches!(read(serde_json::from_str(RESULT).unwrap()), NotifyRequest::Result(_)));
        assert!(matches!(read(serde_json::from_str(FAILED).unwrap()), NotifyRequest::Event(_)));
        assert!(matches!(read(json!(null)), NotifyRequest::Event(_)));
    }

    #[test]
    fn of_an_output_that_cannot_be_read_it_is_said_what_is_wrong_and_of_which_image() {
        let mut result: Value = serde_json::from_str(RESULT).unwrap();
        let id = result.pointer("/share/image/id").unwrap().clone();
        *result.pointer_mut("/share/intent").unwrap() = json!("three");
        let request = read(result);
        assert_eq!(NotifyTargets::about(&request).image.unwrap().as_str(), id);
        let NotifyRequest::Garbled { reason, .. } = request else { panic!("{request:?}") };
        assert_eq!(reason, "invalid type: string \"three\", expected u64");
        assert_eq!(NotifyTargets::about(&read(json!({ "share": 1 }))), About::default());
    }
}
