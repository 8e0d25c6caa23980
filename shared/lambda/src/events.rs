//! Reads the events that start the functions into typed values: the only place that knows the shapes of AWS's events.
//!
//! EventBridge's envelope is that of `aws_lambda_events`, with a detail type of our own for each kind of event
//! (`details`). What a function needs of an event is required; a fact that only adds to it may be missing or odd,
//! since a revocation must not fail for its sake. `events/` has an example of each.

mod details;
mod failed_execution;
mod review;
mod trigger;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::failed_execution::FailedExecution;
pub use self::review::{OutOfBandChange, ReviewEvent};
pub use self::trigger::{ReconcileRequest, RunOptions, TriggerEvent};

const IMAGE_STATE_CHANGE: &str = "EC2 AMI State Change";
const TAG_CHANGE: &str = "Tag Change on Resource";
const API_CALL: &str = "AWS API Call via CloudTrail";
const SERVICE_EVENT: &str = "AWS Service Event via CloudTrail";
const EXECUTION_STATUS_CHANGE: &str = "Step Functions Execution Status Change";

/// An event of a kind that the function does not serve, or one that lacks what its kind must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}, got detail-type `{detail_type}`: {reason}")]
pub struct UnexpectedEvent {
    expected: &'static str,
    detail_type: String,
    reason: String,
}

impl UnexpectedEvent {
    fn new(expected: &'static str, event: &Value, reason: impl ToString) -> Self {
        Self { expected, detail_type: detail_type(event).to_owned(), reason: reason.to_string() }
    }
}

/// Why an event of a known kind, or a document, cannot be read.
type Unreadable = Box<dyn std::error::Error>;

/// The `detail-type`; empty for what is no event of EventBridge.
fn detail_type(event: &Value) -> &str {
    event.get("detail-type").and_then(Value::as_str).unwrap_or_default()
}

/// An event of EventBridge whose detail is a `D`.
fn envelope<D: Serialize + DeserializeOwned>(
    event: &Value,
) -> Result<EventBridgeEvent<D>, serde_json::Error> {
    EventBridgeEvent::deserialize(event)
}

/// The event's `time`, which `aws_lambda_events` reads with another crate for time than ours.
fn time<D: Serialize + DeserializeOwned>(event: &EventBridgeEvent<D>) -> Option<Timestamp> {
    let time = event.time?;
    Timestamp::new(time.timestamp(), i32::try_from(time.timestamp_subsec_nanos()).ok()?).ok()
}

/// Reads a fact that an event may lack, or have in a form that we do not know: it is the default then.
fn optional<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).unwrap_or_default())
}
