//! The `detail` of each kind of event, as far as ami-share reads it.

use std::collections::BTreeMap;

use ami_share_domain::failed_step::error_message;
use ami_share_domain::ids::ImageId;
use ami_share_domain::tags::share_tags::PREFIX;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::optional;

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html>
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageStateChange {
    pub(super) image_id: ImageId,
    #[serde(default, deserialize_with = "optional")]
    pub(super) state: String,
}

/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/monitor-tag-changes.html>
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TagChange {
    #[serde(default, deserialize_with = "optional")]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "optional")]
    pub(super) version: Option<u64>,
}

/// CloudTrail's record of a call, or of an event of a service:
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>,
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html>
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiCall {
    #[serde(default, deserialize_with = "optional")]
    pub(super) event_name: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    user_identity: UserIdentity,
    #[serde(default, deserialize_with = "optional")]
    request_parameters: RequestParameters,
    #[serde(default, deserialize_with = "optional")]
    response_elements: ResponseElements,
    #[serde(default, deserialize_with = "optional")]
    resources: Vec<Resource>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct UserIdentity {
    #[serde(default)]
    arn: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestParameters {
    #[serde(default)]
    image_id: Option<String>,
    #[serde(default)]
    snapshot_id: Option<String>,
    #[serde(default)]
    key_id: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseElements {
    #[serde(default)]
    image_id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Resource {
    #[serde(rename = "ARN", default)]
    arn: Option<String>,
}

impl ApiCall {
    /// The ARN of the principal that made the call.
    pub(super) fn caller(&self) -> Option<&str> {
        self.user_identity.arn.as_deref()
    }

    /// The image that the call made, or else the one that it changed.
    pub(super) fn image(&self) -> Option<&str> {
        self.response_elements.image_id.as_deref().or(self.request_parameters.image_id.as_deref())
    }

    /// The snapshot that the call changed.
    pub(super) fn snapshot(&self) -> Option<&str> {
        self.request_parameters.snapshot_id.as_deref()
    }

    /// How the call named its key. KMS adds the ARN to the resources, while the request may have the bare id.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let resources = self.resources.iter().filter_map(|resource| resource.arn.as_deref());
        resources.chain(self.request_parameters.key_id.as_deref())
    }

    /// Whether the call itself put `ami-share:` tags on the image: then its caller asked for the share.
    pub(super) fn carries_tags(&self) -> bool {
        let others = &self.request_parameters.others;
        let copies_tags = match others.get("copyImageTags") {
            Some(Value::Bool(copies)) => *copies,
            Some(Value::String(copies)) => copies == "true",
            _ => false,
        };
        copies_tags || others.values().any(|value| value.to_string().contains(PREFIX))
    }
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html>
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecutionStatusChange {
    #[serde(default, deserialize_with = "optional")]
    pub(super) execution_arn: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, deserialize_with = "optional")]
    pub(super) stop_date: Option<i64>,
    /// JSON as text; `None` when it is too large for an event.
    #[serde(default, deserialize_with = "optional")]
    pub(super) input: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    status: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    error: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    cause: Option<String>,
}

impl ExecutionStatusChange {
    /// Why the execution failed, for people to read.
    pub(super) fn failure(&self) -> String {
        match (&self.error, &self.cause) {
            (Some(error), Some(cause)) => format!("{} ({error})", error_message(cause)),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => {
                let status = self.status.as_deref().unwrap_or("over");
                format!("the execution is {}", status.to_lowercase().replace('_', " "))
            }
        }
    }
}
