//! Sends notifications to the buses of target accounts, to the hub's bus and to its SNS topic.
//!
//! One call sends several, and AWS may accept only a part of them. Those that failed transiently are sent again at
//! once ([`batch`]). What is not accepted even then is an error; the caller also learns which accounts were notified,
//! so that no account is notified twice.

mod batch;
pub mod topic;

use std::collections::BTreeMap;

use ami_share_domain::ids::AccountId;
use ami_share_domain::isolation::Isolation;
use ami_share_domain::notify::notification::{Notification, SOURCE};
use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::Client as Sns;
use aws_sdk_sns::types::{BatchResultErrorEntry, PublishBatchRequestEntry};

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault, incomplete_request, unusable_answer};
use crate::ledger::leases::Lease;
use crate::notifications::batch::{
    Rejection, Verdict, rejection_of_message, require_all_accepted, send_in_rounds, unfinished,
    verdict_on_event,
};
use crate::notifications::topic::plain;

/// Events or messages that one call accepts. Sources:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>,
/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
const BATCH: usize = 10;

const PUT: &str = "events:PutEvents";
const PUBLISH: &str = "sns:PublishBatch";
/// How errors name the buses of several target accounts.
const TARGET_BUSES: &str = "the buses of target accounts";

/// Where notifications go.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The hub's bus, by name.
    pub hub_bus: String,
    /// The name of the bus in every target account.
    pub target_bus: String,
    /// The hub's topic, by ARN.
    pub topic: String,
    /// The Region of the buses.
    pub region: String,
    /// The partition of the buses' ARNs.
    pub partition: String,
}

/// Which accounts were notified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// Their bus accepted the notification.
    pub delivered: Vec<AccountId>,
    /// They have no bus with that name, or its policy denies the hub.
    pub without_bus: Vec<AccountId>,
}

impl Deliveries {
    /// All that need not be notified again, whether they have a bus or not.
    pub fn all(&self) -> Vec<AccountId> {
        self.delivered.iter().chain(&self.without_bus).cloned().collect()
    }
}

/// Sends notifications.
#[derive(Debug, Clone)]
pub struct NotificationSender {
    events: EventBridge,
    topic: Sns,
    addresses: Addresses,
    clock: Clock,
}

impl NotificationSender {
    /// A sender to `addresses`.
    pub fn new(events: EventBridge, topic: Sns, addresses: Addresses, clock: Clock) -> Self {
        Self { events, topic, addresses, clock }
    }

    /// Puts each account's notification on that account's bus. The accounts that were notified are returned even if
    /// others fail: they must not be notified again.
    ///
    /// # Errors
    /// When the service fails, or one of the buses fails transiently. An account without a bus is no error.
    pub async fn notify_target_accounts(
        &self,
        notifications: &[(AccountId, Notification)],
        lease: &Lease,
    ) -> (Deliveries, Result<(), AwsError>) {
        let mut deliveries = Deliveries::default();
        let mut outcome = Ok(());
        for batch in notifications.chunks(BATCH) {
            match self.notify_target_accounts_batch(batch, lease, &mut deliveries).await {
                // A bus that fails does not stop the others.
                result @ (Ok(()) | Err(AwsError::Unfinished { .. })) => outcome = outcome.and(result),
                Err(error) => return (deliveries, Err(error)),
            }
        }
        (deliveries, outcome)
    }

    async fn notify_target_accounts_batch(
        &self,
        notifications: &[(AccountId, Notification)],
        lease: &Lease,
        deliveries: &mut Deliveries,
    ) -> Result<(), AwsError> {
        let mut outcome = Ok(());
        // If one bus makes AWS reject the whole call, halving the batch isolates it.
        let mut isolation = Isolation::new(notifications.to_vec());
        while let Some(group) = isolation.next_group().map(<[_]>::to_vec) {
            match self.put_to_target_accounts(&group, lease).await {
                Ok(verdicts) => {
                    outcome = outcome.and(sort_by_verdict(&group, &verdicts, deliveries));
                    isolation.answer(true);
                }
                Err(error) if matches!(error.fault(), Fault::Missing | Fault::Denied | Fault::Rejected) => {
                    if let [(account, _)] = group.as_slice() {
                        tracing::info!(%account, %error, "the account has no bus for notifications");
                        deliveries.without_bus.push(account.clone());
                    }
                    isolation.answer(false);
                }
                Err(error) => return Err(error),
            }
        }
        outcome
    }

    async fn put_to_target_accounts(
        &self,
        notifications: &[(AccountId, Notification)],
        lease: &Lease,
    ) -> Result<Vec<Verdict>, AwsError> {
        let Addresses { target_bus, region, partition, .. } = &self.addresses;
        let bus =
            |account: &AccountId| format!("arn:{partition}:events:{region}:{account}:event-bus/{target_bus}");
        let entries = notifications
            .iter()
            .map(|(account, notification)| entry(&bus(account), notification))
            .collect::<Result<_, _>>()?;
        send_in_rounds(&self.clock, entries, async |entries| self.put(entries, TARGET_BUSES, lease).await)
            .await
    }

    /// Puts notifications on the hub's bus and publishes them to its topic. The count is how many of them, from the first
    /// on, both have accepted.
    ///
    /// # Errors
    /// When the bus or the topic did not accept one.
    pub async fn notify_hub(
        &self,
        notifications: &[Notification],
        lease: &Lease,
    ) -> (usize, Result<(), AwsError>) {
        let mut notified = 0;
        for batch in notifications.chunks(BATCH) {
            if let Err(error) = self.notify_hub_batch(batch, lease).await {
                return (notified, Err(error));
            }
            notified += batch.len();
        }
        (notified, Ok(()))
    }

    async fn notify_hub_batch(&self, notifications: &[Notification], lease: &Lease) -> Result<(), AwsError> {
        let Addresses { hub_bus, topic, .. } = &self.addresses;
        let entries = notifications
            .iter()
            .map(|notification| entry(hub_bus, notification))
            .collect::<Result<_, _>>()?;
        let verdicts =
            send_in_rounds(&self.clock, entries, async |entries| self.put(entries, hub_bus, lease).await)
                .await?;
        require_all_accepted(PUT, hub_bus, verdicts)?;
        let messages = notifications
            .iter()
            .enumerate()
            .map(|(at, notification)| message(at, notification))
            .collect::<Result<_, _>>()?;
        let verdicts =
            send_in_rounds(&self.clock, messages, async |messages| self.publish(messages, lease).await)
                .await?;
        require_all_accepted(PUBLISH, topic, verdicts)
    }

    /// The verdict on each entry.
    async fn put(
        &self,
        entries: Vec<PutEventsRequestEntry>,
        subject: &str,
        lease: &Lease,
    ) -> Result<Vec<Verdict>, AwsError> {
        lease.renew().await?;
        let count = entries.len();
        let answer = self.events.put_events().set_entries(Some(entries)).send().await;
        let verdicts = answer.explain(PUT, subject)?.entries.unwrap_or_default();
        if verdicts.len() != count {
            return Err(unusable_answer(
                PUT,
                subject,
                format!("{} results for {count} events", verdicts.len()),
            ));
        }
        Ok(verdicts.iter().map(verdict_on_event).collect())
    }

    /// The verdict on each message.
    async fn publish(
        &self,
        messages: Vec<PublishBatchRequestEntry>,
        lease: &Lease,
    ) -> Result<Vec<Verdict>, AwsError> {
        lease.renew().await?;
        let topic = &self.addresses.topic;
        let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
        let request =
            self.topic.publish_batch().topic_arn(topic).set_publish_batch_request_entries(Some(messages));
        let answer = request.send().await.explain(PUBLISH, topic)?;
        let failed: BTreeMap<&str, &BatchResultErrorEntry> =
            answer.failed().iter().map(|failed| (failed.id(), failed)).collect();
        let verdict =
            |id: &String| failed.get(id.as_str()).map_or(Ok(()), |failed| Err(rejection_of_message(failed)));
        Ok(ids.iter().map(verdict).collect())
    }
}

/// Sorts the accounts by the verdicts on their events. Only a transient rejection is an error.
fn sort_by_verdict(
    notifications: &[(AccountId, Notification)],
    verdicts: &[Verdict],
    deliveries: &mut Deliveries,
) -> Result<(), AwsError> {
    let mut outcome = Ok(());
    for ((account, _), verdict) in notifications.iter().zip(verdicts) {
        match verdict {
            Ok(()) => deliveries.delivered.push(account.clone()),
            Err(Rejection { reason, is_transient: true }) => {
                outcome = outcome.and(Err(unfinished(PUT, &format!("the bus of {account}"), reason)));
            }
            Err(Rejection { reason, is_transient: false }) => {
                tracing::info!(%account, reason, "the account has no bus for notifications");
                deliveries.without_bus.push(account.clone());
            }
        }
    }
    outcome
}

fn entry(bus: &str, notification: &Notification) -> Result<PutEventsRequestEntry, AwsError> {
    let image = format!("image/{}", notification.detail.image_id);
    let entry = PutEventsRequestEntry::builder().event_bus_name(bus).source(SOURCE).resources(image);
    Ok(entry.detail_type(notification.kind.detail_type()).detail(detail(notification)?).build())
}

fn message(at: usize, notification: &Notification) -> Result<PublishBatchRequestEntry, AwsError> {
    let detail_type = notification.kind.detail_type();
    let body =
        serde_json::json!({ "source": SOURCE, "detail-type": detail_type, "detail": notification.detail });
    let name = if notification.detail.image_name.is_empty() {
        &notification.detail.image_id
    } else {
        &notification.detail.image_name
    };
    let subject =
        format!("{detail_type}: {name} {}", notification.detail.target.as_deref().unwrap_or_default());
    PublishBatchRequestEntry::builder()
        .id(at.to_string())
        .subject(plain(&subject))
        .message(body.to_string())
        .build()
        .map_err(|error| incomplete_request(PUBLISH, name, error))
}

fn detail(notification: &Notification) -> Result<String, AwsError> {
    serde_json::to_string(&notification.detail)
        .map_err(|error| incomplete_request(PUT, &notification.detail.image_id, error))
}
