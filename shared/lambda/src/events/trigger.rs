//! What starts the share workflow: AWS's events of one image, or a request for a reconciliation.

use ami_share_domain::ids::{Arn, ImageId};
use ami_share_domain::trigger::{Cause, Trigger, TriggeredBy};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::details::{ApiCall, ImageStateChange, TagChange};
use super::{API_CALL, IMAGE_STATE_CHANGE, TAG_CHANGE, UnexpectedEvent, Unreadable};
use super::{detail_type, envelope, optional, time};

const EXPECTED: &str = "the event names no image: expected `EC2 AMI State Change`, `Tag Change on Resource` of an image, CloudTrail's CreateImage, CopyImage, RegisterImage, ModifyImageAttribute or ResetImageAttribute, or {\"image_id\": \"ami-…\"}";

/// Calls that change the permissions of an image: out of band, since the rules leave out those of ami-share.
const PERMISSION_CALLS: [&str; 2] = ["ModifyImageAttribute", "ResetImageAttribute"];

/// A trigger as the request of a function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct TriggerEvent(pub Trigger);

impl TryFrom<Value> for TriggerEvent {
    type Error = UnexpectedEvent;

    fn try_from(event: Value) -> Result<Self, UnexpectedEvent> {
        Self::read(&event, Timestamp::now())
    }
}

impl TriggerEvent {
    /// Reads an event that a rule matches, or a [`ReconcileRequest`]. `now` stands in where neither has a time.
    ///
    /// # Errors
    /// When no image id is where that kind of event has it.
    pub fn read(event: &Value, now: Timestamp) -> Result<Self, UnexpectedEvent> {
        let trigger = match detail_type(event) {
            IMAGE_STATE_CHANGE => image_state_change(event, now),
            TAG_CHANGE => tag_change(event, now),
            API_CALL => api_call(event, now),
            _ => request(event, now),
        };
        trigger.map(Self).map_err(|reason| UnexpectedEvent::new(EXPECTED, event, reason))
    }
}

/// A request for a reconciliation: what a person, a schedule or a review starts the share workflow with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileRequest {
    /// The image to reconcile.
    pub image_id: ImageId,
    /// The id of the event or the review behind the request; empty when there is none.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When that event happened.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The principal that changed a snapshot or a key policy out of band.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// How to run.
    #[serde(flatten)]
    pub options: RunOptions,
}

impl ReconcileRequest {
    /// A request for this image, and nothing more.
    pub fn new(image_id: ImageId) -> Self {
        let options = RunOptions::default();
        Self { image_id, id: String::new(), time: None, changed_by: None, options }
    }
}

/// How a reconciliation runs. The fields may also stand in an event of AWS that a person sends again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// The moment that the reconciliation is scheduled for; the workflow waits for it.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When the organization changed: what was cached before that moment is out of date.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    pub organization_changed_at: Option<Timestamp>,
    /// Whether to stop before anything is written.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Whether to adopt access that the tags ask for and the ledger does not know.
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
}

fn image_state_change(event: &Value, now: Timestamp) -> Result<Trigger, Unreadable> {
    let envelope = envelope::<ImageStateChange>(event)?;
    let ImageStateChange { image_id, state } = &envelope.detail;
    trigger(event, image_id.clone(), Cause::ImageState { state: state.clone() }, triggered_by(&envelope, now))
}

fn tag_change(event: &Value, now: Timestamp) -> Result<Trigger, Unreadable> {
    let envelope = envelope::<TagChange>(event)?;
    let arn = envelope.resources.iter().flatten().next().ok_or("it names no resource")?;
    let image = Arn::parse(arn).ok().and_then(|arn| arn.resource_of("image"));
    let image = image.ok_or_else(|| format!("`{arn}` is not the ARN of an image"))?;
    let TagChange { tags, version } = &envelope.detail;
    let cause = Cause::TagsChanged { tags: tags.clone(), version: *version };
    trigger(event, image.parse()?, cause, triggered_by(&envelope, now))
}

fn api_call(event: &Value, now: Timestamp) -> Result<Trigger, Unreadable> {
    let envelope = envelope::<ApiCall>(event)?;
    let call = &envelope.detail;
    let image = call.image().ok_or("neither its request nor its response names an image")?.parse()?;
    let (name, by) = (call.event_name.clone().unwrap_or_default(), call.caller().map(str::to_owned));
    let changed_by = by.clone().filter(|_| PERMISSION_CALLS.contains(&name.as_str()));
    // Whoever made an image that was tagged later did not ask for the share, and CloudTrail's event may come after
    // those tags.
    let principal = by.clone().filter(|_| call.carries_tags());
    let triggered_by = TriggeredBy { principal, ..triggered_by(&envelope, now) };
    let trigger = trigger(event, image, Cause::ApiCall { name, by }, triggered_by)?;
    Ok(Trigger { changed_by, ..trigger })
}

fn request(event: &Value, now: Timestamp) -> Result<Trigger, Unreadable> {
    let ReconcileRequest { image_id, id, time, changed_by, options: _ } =
        ReconcileRequest::deserialize(event)?;
    let triggered_by = TriggeredBy { principal: None, event: id, at: time.unwrap_or(now) };
    Ok(Trigger { changed_by, ..trigger(event, image_id, Cause::Request, triggered_by)? })
}

fn trigger(
    event: &Value,
    image: ImageId,
    cause: Cause,
    triggered_by: TriggeredBy,
) -> Result<Trigger, Unreadable> {
    let RunOptions { not_before, organization_changed_at, dry_run, adopt } = RunOptions::deserialize(event)?;
    let changed_by = None;
    Ok(Trigger {
        image,
        cause,
        triggered_by,
        dry_run,
        not_before,
        changed_by,
        adopt,
        organization_changed_at,
    })
}

fn triggered_by<D>(envelope: &EventBridgeEvent<D>, now: Timestamp) -> TriggeredBy
where
    D: Serialize + DeserializeOwned,
{
    let event = envelope.id.clone().unwrap_or_default();
    TriggeredBy { principal: None, event, at: time(envelope).unwrap_or(now) }
}
