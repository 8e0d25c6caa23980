//! Reads `Step Functions Execution Status Change`: which image, which execution, what it died of.

use ami_share_domain::ids::ImageId;
use ami_share_domain::notify::notification;
use ami_share_domain::notify::notification::Notification;
use ami_share_domain::notify::status;
use ami_share_domain::trigger::Trigger;
use jiff::Timestamp;
use serde_json::Value;

/// An execution that failed, timed out or was aborted. Source of the shape:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html>
pub(crate) struct FailedExecution {
    pub(crate) image: ImageId,
    /// Nobody is told of a dry run.
    pub(crate) dry_run: bool,
    pub(crate) execution: String,
    pub(crate) ended: Timestamp,
    cause: String,
    region: String,
}

impl FailedExecution {
    /// `own_region` stands in where the event names none.
    pub(crate) fn read(event: &Value, own_region: &str) -> Result<Self, String> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let input = text("/detail/input")
            .ok_or("neither the output of share-image nor an execution's status change with its input")?;
        let input: Value = serde_json::from_str(input)
            .map_err(|error| format!("the execution's input is no JSON: {error}"))?;
        let now = Timestamp::now();
        let trigger = Trigger::from_event(&input, now).map_err(|error| error.to_string())?;
        let ended = event
            .pointer("/detail/stopDate")
            .and_then(Value::as_i64)
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        let what = match (text("/detail/error"), text("/detail/cause")) {
            (Some(error), Some(cause)) => format!("{} ({error})", message(cause)),
            (Some(only), None) | (None, Some(only)) => only.to_owned(),
            (None, None) => {
                format!("the execution is {}", text("/detail/status").unwrap_or("over").to_lowercase())
            }
        };
        Ok(Self {
            image: trigger.image,
            dry_run: trigger.dry_run,
            execution: text("/detail/executionArn").unwrap_or_default().to_owned(),
            ended: ended.unwrap_or(now),
            cause: what,
            region: text("/region").unwrap_or(own_region).to_owned(),
        })
    }

    pub(crate) fn status(&self) -> String {
        status::failed(&self.cause)
    }

    pub(crate) fn notification(&self) -> Notification {
        notification::failed(self.image.as_str(), &self.region, &self.execution, &self.cause)
    }
}

/// A Lambda function's error arrives as JSON in the cause; people want its message.
fn message(cause: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(cause).ok();
    let message = parsed.as_ref().and_then(|cause| cause.get("errorMessage")).and_then(Value::as_str);
    message.unwrap_or(cause).to_owned()
}
