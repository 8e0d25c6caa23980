//! What the function is invoked with: the output of a step, or an event.

use ami_share_domain::ids::ImageId;
use ami_share_domain::image::request::ShareResult;
use ami_share_lambda::About;
use ami_share_lambda::events::FailedExecution;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// What the function is invoked with.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub enum NotifyRequest {
    /// The output of `share-image`.
    Result(Box<ShareResult>),
    /// EventBridge's event of an execution that failed.
    Failed(Box<FailedExecution>),
    /// Neither of them. It is kept, so that the log names the image.
    Unreadable {
        /// The image, where the request names it.
        image: Option<ImageId>,
        /// What is wrong.
        reason: String,
    },
}

/// Only the output of `share-image` has a share. An untagged enum would not say what is wrong with it.
impl From<Value> for NotifyRequest {
    fn from(request: Value) -> Self {
        match request.get("share") {
            Some(share) => Self::of_result(&request, share),
            None => Self::of_event(&request),
        }
    }
}

impl NotifyRequest {
    fn of_result(request: &Value, share: &Value) -> Self {
        match ShareResult::deserialize(request) {
            Ok(result) => Self::Result(Box::new(result)),
            Err(error) => {
                let image =
                    share.pointer("/desired/image/id").and_then(Value::as_str).and_then(|id| id.parse().ok());
                Self::Unreadable { image, reason: format!("in the output of share-image, {error}") }
            }
        }
    }

    fn of_event(request: &Value) -> Self {
        match FailedExecution::read(request, Timestamp::now()) {
            Ok(failed) => Self::Failed(Box::new(failed)),
            Err(error) => Self::Unreadable { image: None, reason: error.to_string() },
        }
    }

    /// What the request is about.
    pub(crate) fn about(&self) -> About {
        match self {
            Self::Result(result) => About::image(&result.share.desired.image.id),
            Self::Failed(failed) => {
                About { execution: Some(failed.execution.clone()), ..About::image(&failed.trigger.image) }
            }
            Self::Unreadable { image, reason: _ } => About { image: image.clone(), ..About::default() },
        }
    }
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
        assert!(matches!(read(serde_json::from_str(FAILED).unwrap()), NotifyRequest::Failed(_)));
    }

    #[test]
    fn a_request_of_another_kind_says_what_was_expected() {
        for foreign in [json!(null), json!({ "detail-type": "EC2 AMI State Change" })] {
            let NotifyRequest::Unreadable { image: None, reason } = read(foreign) else {
                panic!("it was read")
            };
            assert!(reason.starts_with("the request is neither the output of share-image nor"), "{reason}");
        }
    }

    #[test]
    fn an_unreadable_output_says_what_is_wrong_and_names_its_image() {
        let mut result: Value = serde_json::from_str(RESULT).unwrap();
        let id = result.pointer("/share/desired/image/id").unwrap().clone();
        *result.pointer_mut("/share/run/intent").unwrap() = json!("three");
        let request = read(result);
        assert_eq!(request.about().image.unwrap().as_str(), id);
        let NotifyRequest::Unreadable { reason, .. } = request else { panic!("{request:?}") };
        assert_eq!(reason, "in the output of share-image, invalid type: string \"three\", expected u64");
        assert_eq!(read(json!({ "share": 1 })).about(), About::default());
    }
}
