//! The bare AWS events that say *look at this image*: which image, who asked, on which event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::ImageId;
use crate::share_tags::PREFIX;

/// Who asked for a look, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The principal, where the event names one: only CloudTrail's do, and only of an image made with our tags.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// The event's id; empty when it had none.
    pub event: String,
    /// When the event happened.
    pub at: Timestamp,
}

/// An image to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The image.
    pub image: ImageId,
    /// Who asked.
    pub asked: Asked,
    /// Whether to stop before anything is written.
    pub dry_run: bool,
}

/// An event that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event names no image: expected `EC2 AMI State Change`, `Tag Change on Resource` of an image, CloudTrail's CreateImage, CopyImage or RegisterImage, or {{\"image_id\": \"ami-…\"}}, got detail-type `{detail_type}`"
)]
pub struct NoImage {
    /// What the event called itself.
    pub detail_type: String,
}

impl Look {
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
            "AWS API Call via CloudTrail" => text(event, "/detail/responseElements/imageId"),
            _ => text(event, "/image_id"),
        };
        let image = image
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| NoImage { detail_type: detail_type.to_owned() })?;
        Ok(Self {
            image,
            asked: Asked {
                by: asker(event),
                event: text(event, "/id").unwrap_or_default().to_owned(),
                at: text(event, "/time").and_then(|time| time.parse().ok()).unwrap_or(now),
            },
            dry_run: event.pointer("/dry_run").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// Who made the request that carried our tags. Who made an image that somebody else tagged later asked for nothing;
/// CloudTrail's event may come after those tags.
fn asker(event: &Value) -> Option<String> {
    let request = event.pointer("/detail/requestParameters")?;
    let copies_tags = matches!(request.get("copyImageTags"), Some(Value::Bool(true)))
        || text(request, "/copyImageTags") == Some("true");
    let carries_tags = copies_tags || request.to_string().contains(PREFIX);
    text(event, "/detail/userIdentity/arn").filter(|_| carries_tags).map(str::to_owned)
}

fn text<'event>(event: &'event Value, pointer: &str) -> Option<&'event str> {
    event.pointer(pointer).and_then(Value::as_str)
}
