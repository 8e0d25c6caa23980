//! Sends notices: to the members' buses, to the hub's bus and to its topic.

use ami_share_domain::ids::AccountId;
use ami_share_domain::isolation::Isolation;
use ami_share_domain::notice::{Notice, SOURCE};
use aws_sdk_eventbridge::Client as EventBridge;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_sdk_sns::Client as Sns;
use aws_sdk_sns::types::PublishBatchRequestEntry;

use crate::error::{AwsError, Explain, Fault, lacks};

/// Events or messages that one call takes. Sources:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>,
/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
const BATCH: usize = 10;

/// Characters in the subject of a message. Source: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const SUBJECT_LIMIT: usize = 100;

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The hub's bus, by name.
    pub hub_bus: String,
    /// The name that each member's bus has.
    pub member_bus: String,
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

/// Sends notices.
#[derive(Debug, Clone)]
pub struct NoticeSender {
    events: EventBridge,
    topic: Sns,
    addresses: Addresses,
}

impl NoticeSender {
    /// A sender to `addresses`.
    pub fn new(events: EventBridge, topic: Sns, addresses: Addresses) -> Self {
        Self { events, topic, addresses }
    }

    /// Puts each account's notice on that account's bus.
    ///
    /// # Errors
    /// When the service itself fails; a member without a bus is no error.
    pub async fn tell_members(&self, notices: &[(AccountId, Notice)]) -> Result<Deliveries, AwsError> {
        let mut deliveries = Deliveries::default();
        for batch in notices.chunks(BATCH) {
            // Should one bus make AWS reject the whole call, halving finds it.
            let mut isolation = Isolation::new(batch.to_vec());
            while let Some(group) = isolation.next_group().map(<[_]>::to_vec) {
                match self.put_to_members(&group).await {
                    Ok(results) => {
                        sort_out(&group, &results, &mut deliveries)?;
                        isolation.answer(true);
                    }
                    Err(error)
                        if matches!(error.fault(), Fault::Missing | Fault::Denied | Fault::Rejected) =>
                    {
                        if let [(account, _)] = group.as_slice() {
                            tracing::info!(%account, %error, "no bus for the notice");
                            deliveries.without_bus.push(account.clone());
                        }
                        isolation.answer(false);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(deliveries)
    }

    async fn put_to_members(
        &self,
        notices: &[(AccountId, Notice)],
    ) -> Result<Vec<PutEventsResultEntry>, AwsError> {
        let Addresses { member_bus, region, partition, .. } = &self.addresses;
        let bus =
            |account: &AccountId| format!("arn:{partition}:events:{region}:{account}:event-bus/{member_bus}");
        let entries =
            notices.iter().map(|(account, notice)| entry(&bus(account), notice)).collect::<Result<_, _>>()?;
        let answer = self.events.put_events().set_entries(Some(entries)).send().await;
        Ok(answer.explain("events:PutEvents", "the members' buses")?.entries.unwrap_or_default())
    }

    /// Puts notices on the hub's bus and topic.
    ///
    /// # Errors
    /// When one of them did not take one.
    pub async fn tell_hub(&self, notices: &[Notice]) -> Result<(), AwsError> {
        const PUT: &str = "events:PutEvents";
        const PUBLISH: &str = "sns:PublishBatch";
        let Addresses { hub_bus, topic, .. } = &self.addresses;
        for batch in notices.chunks(BATCH) {
            let entries = batch.iter().map(|notice| entry(hub_bus, notice)).collect::<Result<_, _>>()?;
            let answer =
                self.events.put_events().set_entries(Some(entries)).send().await.explain(PUT, hub_bus)?;
            if let Some(failed) = answer.entries().iter().find(|entry| entry.error_code().is_some()) {
                return Err(lacks(
                    PUT,
                    hub_bus,
                    failed.error_message().unwrap_or("a failure without a message"),
                ));
            }
            let messages =
                batch.iter().enumerate().map(|(at, notice)| message(at, notice)).collect::<Result<_, _>>()?;
            let request =
                self.topic.publish_batch().topic_arn(topic).set_publish_batch_request_entries(Some(messages));
            let answer = request.send().await.explain(PUBLISH, topic)?;
            if let Some(failed) = answer.failed().first() {
                return Err(lacks(PUBLISH, topic, failed.message().unwrap_or("a failure without a message")));
            }
        }
        Ok(())
    }
}

/// Reads the verdict on each entry. Only codes that a later try can mend are an error. Source:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
fn sort_out(
    notices: &[(AccountId, Notice)],
    results: &[PutEventsResultEntry],
    deliveries: &mut Deliveries,
) -> Result<(), AwsError> {
    for ((account, _), result) in notices.iter().zip(results) {
        match result.error_code() {
            None => deliveries.delivered.push(account.clone()),
            Some("ThrottlingException" | "InternalFailure" | "InternalException") => {
                return Err(AwsError::Busy(format!("the bus of {account}")));
            }
            Some(code) => {
                tracing::info!(%account, code, "no bus for the notice");
                deliveries.without_bus.push(account.clone());
            }
        }
    }
    Ok(())
}

fn entry(bus: &str, notice: &Notice) -> Result<PutEventsRequestEntry, AwsError> {
    let image = format!("image/{}", notice.detail.image_id);
    let entry = PutEventsRequestEntry::builder().event_bus_name(bus).source(SOURCE).resources(image);
    Ok(entry.detail_type(notice.kind.detail_type()).detail(detail(notice)?).build())
}

fn message(at: usize, notice: &Notice) -> Result<PublishBatchRequestEntry, AwsError> {
    let detail_type = notice.kind.detail_type();
    let body = serde_json::json!({ "source": SOURCE, "detail-type": detail_type, "detail": notice.detail });
    let named =
        if notice.detail.image_name.is_empty() { &notice.detail.image_id } else { &notice.detail.image_name };
    let subject = format!("{detail_type}: {named} {}", notice.detail.target.as_deref().unwrap_or_default());
    // AWS takes printable ASCII only.
    let subject: String =
        subject.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(SUBJECT_LIMIT).collect();
    PublishBatchRequestEntry::builder()
        .id(at.to_string())
        .subject(subject.trim())
        .message(body.to_string())
        .build()
        .map_err(|error| lacks("sns:PublishBatch", named, error.to_string()))
}

fn detail(notice: &Notice) -> Result<String, AwsError> {
    serde_json::to_string(&notice.detail)
        .map_err(|error| lacks("events:PutEvents", &notice.detail.image_id, error.to_string()))
}
