//! The bare AWS events that say *look at this image*: which image, who asked, on which event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::ImageId;
use crate::tags::share_tags::PREFIX;

/// Who asked for a look, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredBy {
    /// The principal, where the event names one: only CloudTrail's do, and only of an image made with our tags.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub principal: Option<String>,
    /// The event's id; empty when it had none.
    pub event: String,
    /// When the event happened.
    pub at: Timestamp,
}

/// An image to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The image.
    pub image: ImageId,
    /// Who asked.
    pub triggered_by: TriggeredBy,
    /// Whether to stop before anything is written.
    pub dry_run: bool,
    /// The moment that this look was made for: it counts as now, whatever the clock of this machine says.
    pub not_before: Option<Timestamp>,
    /// Who changed permissions, a snapshot or a key by hand, where that is why we look.
    pub changed_by: Option<String>,
    /// Whether access that the tags ask for, and that is open without a row in the ledger, is taken for ours:
    /// how a lost ledger is rebuilt.
    pub adopt: bool,
    /// When the organization changed, where that is why we look: what is remembered of it from before is out of date.
    pub organization_changed_at: Option<Timestamp>,
}

/// An event that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event names no image: expected `EC2 AMI State Change`, `Tag Change on Resource` of an image, CloudTrail's CreateImage, CopyImage, RegisterImage, ModifyImageAttribute or ResetImageAttribute, or {{\"image_id\": \"ami-…\"}}, got detail-type `{detail_type}`"
)]
pub struct NoImage {
    /// What the event called itself.
    pub detail_type: String,
}

impl Trigger {
    /// Reads any of the events that the rules let through, or a bare `{"image_id": "ami-…"}`.
    /// `now` stands in where the event carries no time.
    ///
    /// # Errors
    /// [`NoImage`] when no image id is where that kind of event has it.
    pub fn from_event(event: &Value, now: Timestamp) -> Result<Self, NoImage> {
        let detail_type = text(event, "/detail-type").unwrap_or_default();
        let image = match detail_type {
            "EC2 AMI State Change" => text(event, "/detail/ImageId"),
            "Tag Change on Resource" => {
                text(event, "/resources/0").and_then(|arn| arn.rsplit_once("image/")).map(|(_, id)| id)
            }
            "AWS API Call via CloudTrail" => text(event, "/detail/responseElements/imageId")
                .or_else(|| text(event, "/detail/requestParameters/imageId")),
            _ => text(event, "/image_id"),
        };
        let image = image
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| NoImage { detail_type: detail_type.to_owned() })?;
        Ok(Self {
            image,
            triggered_by: TriggeredBy {
                principal: requester(event),
                event: text(event, "/id").unwrap_or_default().to_owned(),
                at: text(event, "/time").and_then(|time| time.parse().ok()).unwrap_or(now),
            },
            dry_run: is_set(event, "/dry_run"),
            not_before: moment(event, "/not_before"),
            changed_by: who_changed(event),
            adopt: is_set(event, "/adopt"),
            organization_changed_at: moment(event, "/organization_changed_at"),
        })
    }

    /// The moment that counts as now.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        self.not_before.map_or(clock, |moment| clock.max(moment))
    }
}

/// Who changed something by hand: CloudTrail's event says so, and so does the review that follows one.
fn who_changed(event: &Value) -> Option<String> {
    let call = text(event, "/detail/eventName");
    let out_of_band = matches!(call, Some("ModifyImageAttribute" | "ResetImageAttribute"));
    let named =
        if out_of_band { text(event, "/detail/userIdentity/arn") } else { text(event, "/changed_by") };
    named.map(str::to_owned)
}

/// Who made the request that carried our tags. Who made an image that somebody else tagged later asked for nothing;
/// CloudTrail's event may come after those tags.
fn requester(event: &Value) -> Option<String> {
    let request = event.pointer("/detail/requestParameters")?;
    let copies_tags = matches!(request.get("copyImageTags"), Some(Value::Bool(true)))
        || text(request, "/copyImageTags") == Some("true");
    let carries_tags = copies_tags || request.to_string().contains(PREFIX);
    text(event, "/detail/userIdentity/arn").filter(|_| carries_tags).map(str::to_owned)
}

fn moment(event: &Value, pointer: &str) -> Option<Timestamp> {
    text(event, pointer)?.parse().ok()
}

fn is_set(event: &Value, pointer: &str) -> bool {
    event.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn text<'event>(event: &'event Value, pointer: &str) -> Option<&'event str> {
    event.pointer(pointer).and_then(Value::as_str)
}
