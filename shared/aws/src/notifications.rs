//! Sends notices: to the members' buses, to the hub's bus and to its topic.
//!
//! One call takes several, and may take some of them only. What failed in passing is sent again in place; if it
//! is still not taken, the caller learns who was told besides, so that nobody of them is told again.

use std::collections::BTreeMap;
use std::time::Duration;

use ami_share_domain::ids::AccountId;
use ami_share_domain::isolation::Isolation;
use ami_share_domain::notify::notification::{Notification, SOURCE};
use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_sdk_sns::Client as Sns;
use aws_sdk_sns::types::{BatchResultErrorEntry, PublishBatchRequestEntry};

use crate::error::{AwsError, Explain, Fault, lacks};
use crate::leases::Lease;
use crate::topic::plain;

/// Events or messages that one call takes. Sources:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>,
/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
const BATCH: usize = 10;
/// How often a batch of which some failed in passing is sent.
const ROUNDS: u32 = 3;
/// The pause before the second round; each one after it takes as much longer.
const PAUSE: Duration = Duration::from_millis(200);

const PUT: &str = "events:PutEvents";
const PUBLISH: &str = "sns:PublishBatch";
/// How errors name the buses of a batch of members.
const TARGET_ACCOUNTS: &str = "the members' buses";

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The hub's bus, by name.
    pub hub_bus: String,
    /// The name that each member's bus has.
    pub target_bus: String,
    /// The hub's topic, by ARN.
    pub topic: String,
    /// The Region of the buses.
    pub region: String,
    /// The partition of the buses' ARNs.
    pub partition: String,
}

/// Which accounts took their notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// Their bus took it.
    pub delivered: Vec<AccountId>,
    /// They have no bus for us, or do not let us use it.
    pub without_bus: Vec<AccountId>,
}

impl Deliveries {
    /// All that need not be told again, whether they could be told or not.
    pub fn all(&self) -> Vec<AccountId> {
        self.delivered.iter().chain(&self.without_bus).cloned().collect()
    }
}

/// Why one event or message of a batch was not taken.
#[derive(Debug)]
struct Refused {
    why: String,
    /// Whether it may be taken later.
    is_passing: bool,
}

/// What became of one event or message of a batch.
type Verdict = Result<(), Refused>;

/// Sends notices.
#[derive(Debug, Clone)]
pub struct NotificationSender {
    events: EventBridge,
    topic: Sns,
    addresses: Addresses,
}

impl NotificationSender {
    /// A sender to `addresses`.
    pub fn new(events: EventBridge, topic: Sns, addresses: Addresses) -> Self {
        Self { events, topic, addresses }
    }

    /// Puts each account's notice on that account's bus. Those who have got it are named whatever comes of the
    /// others: they must not be told again.
    ///
    /// # Errors
    /// When the service fails, or one of the buses does in passing; a member without a bus is no error.
    pub async fn notify_target_accounts(
        &self,
        notifications: &[(AccountId, Notification)],
        lease: &Lease,
    ) -> (Deliveries, Result<(), AwsError>) {
        let mut deliveries = Deliveries::default();
        let mut outcome = Ok(());
        for batch in notifications.chunks(BATCH) {
            match self.notify_target_accounts_batch(batch, lease, &mut deliveries).await {
                // One bus that is in trouble holds up no other.
                notified @ (Ok(()) | Err(AwsError::Unfinished { .. })) => outcome = outcome.and(notified),
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
        // Should one bus make AWS reject the whole call, halving finds it.
        let mut isolation = Isolation::new(notifications.to_vec());
        while let Some(group) = isolation.next_group().map(<[_]>::to_vec) {
            match self.put_to_target_accounts(&group, lease).await {
                Ok(verdicts) => {
                    outcome = outcome.and(sort_out(&group, &verdicts, deliveries));
                    isolation.answer(true);
                }
                Err(error) if matches!(error.fault(), Fault::Missing | Fault::Denied | Fault::Rejected) => {
                    if let [(account, _)] = group.as_slice() {
                        tracing::info!(%account, %error, "no bus for the notice");
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
        in_rounds(entries, async |entries| self.put(entries, TARGET_ACCOUNTS, lease).await).await
    }

    /// Puts notices on the hub's bus and topic. The count is of those, from the first on, that both have taken.
    ///
    /// # Errors
    /// When one of them did not take one.
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
        let verdicts = in_rounds(entries, async |entries| self.put(entries, hub_bus, lease).await).await?;
        all_accepted(PUT, hub_bus, verdicts)?;
        let messages = notifications
            .iter()
            .enumerate()
            .map(|(at, notification)| message(at, notification))
            .collect::<Result<_, _>>()?;
        let verdicts = in_rounds(messages, async |messages| self.publish(messages, lease).await).await?;
        all_accepted(PUBLISH, topic, verdicts)
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
            return Err(lacks(PUT, subject, format!("{} verdicts on {count} events", verdicts.len())));
        }
        Ok(verdicts.iter().map(verdict).collect())
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
        let verdict = |id: &String| failed.get(id.as_str()).map_or(Ok(()), |failed| Err(refused(failed)));
        Ok(ids.iter().map(verdict).collect())
    }
}

/// Sends items, and those again that were refused in passing; the last verdict on each, in their order.
async fn in_rounds<T: Clone>(
    items: Vec<T>,
    send: impl AsyncFn(Vec<T>) -> Result<Vec<Verdict>, AwsError>,
) -> Result<Vec<Verdict>, AwsError> {
    let mut verdicts = send(items.clone()).await?;
    for round in 1..ROUNDS {
        let (places, left): (Vec<_>, Vec<T>) = verdicts
            .iter_mut()
            .zip(&items)
            .filter(|(verdict, _)| matches!(verdict, Err(refused) if refused.is_passing))
            .map(|(verdict, item)| (verdict, item.clone()))
            .unzip();
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE * round).await;
        match send(left).await {
            Ok(later) => places.into_iter().zip(later).for_each(|(place, later)| *place = later),
            // The verdicts so far hold: what was taken must not be sent again.
            Err(error) => tracing::info!(%error, round, "sent again in vain"),
        }
    }
    Ok(verdicts)
}

/// Reads the verdict on an event. Source:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
fn verdict(entry: &PutEventsResultEntry) -> Verdict {
    let Some(code) = entry.error_code() else { return Ok(()) };
    let why = entry.error_message().map_or_else(|| code.to_owned(), |why| format!("{why} ({code})"));
    Err(Refused { why, is_passing: Fault::from_code(code).may_be_tried_again() })
}

/// Why a message was not taken. Source: <https://docs.aws.amazon.com/sns/latest/api/API_BatchResultErrorEntry.html>
fn refused(failed: &BatchResultErrorEntry) -> Refused {
    let code = failed.code();
    let why = failed.message().map_or_else(|| code.to_owned(), |why| format!("{why} ({code})"));
    Refused { why, is_passing: !failed.sender_fault() || Fault::from_code(code).may_be_tried_again() }
}

/// Sorts the accounts by the verdicts on their events. Only what a later try can mend is an error.
fn sort_out(
    notifications: &[(AccountId, Notification)],
    verdicts: &[Verdict],
    deliveries: &mut Deliveries,
) -> Result<(), AwsError> {
    let mut outcome = Ok(());
    for ((account, _), verdict) in notifications.iter().zip(verdicts) {
        match verdict {
            Ok(()) => deliveries.delivered.push(account.clone()),
            Err(Refused { why, is_passing: true }) => {
                outcome = outcome.and(Err(unfinished(PUT, &format!("the bus of {account}"), why)));
            }
            Err(Refused { why, is_passing: false }) => {
                tracing::info!(%account, why, "no bus for the notice");
                deliveries.without_bus.push(account.clone());
            }
        }
    }
    outcome
}

/// Whether everything was taken; of several failures, one that no later try can mend is named first.
fn all_accepted(call: &'static str, subject: &str, verdicts: Vec<Verdict>) -> Result<(), AwsError> {
    let refused = verdicts.into_iter().filter_map(Result::err).min_by_key(|refused| refused.is_passing);
    match refused {
        None => Ok(()),
        Some(Refused { why, is_passing: true }) => Err(unfinished(call, subject, &why)),
        Some(Refused { why, is_passing: false }) => Err(lacks(call, subject, why)),
    }
}

fn unfinished(call: &'static str, subject: &str, left: &str) -> AwsError {
    AwsError::Unfinished { call, subject: subject.to_owned(), left: left.to_owned() }
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
    let named = if notification.detail.image_name.is_empty() {
        &notification.detail.image_id
    } else {
        &notification.detail.image_name
    };
    let subject =
        format!("{detail_type}: {named} {}", notification.detail.target.as_deref().unwrap_or_default());
    PublishBatchRequestEntry::builder()
        .id(at.to_string())
        .subject(plain(&subject))
        .message(body.to_string())
        .build()
        .map_err(|error| lacks(PUBLISH, named, error.to_string()))
}

fn detail(notification: &Notification) -> Result<String, AwsError> {
    serde_json::to_string(&notification.detail)
        .map_err(|error| lacks(PUT, &notification.detail.image_id, error.to_string()))
}
