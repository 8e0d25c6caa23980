//! An execution of the share workflow that failed, timed out or was aborted.

use ami_share_domain::trigger::Trigger;
use jiff::Timestamp;
use serde_json::Value;

use super::details::ExecutionStatusChange;
use super::trigger::TriggerEvent;
use super::{EXECUTION_STATUS_CHANGE, UnexpectedEvent, Unreadable};
use super::{detail_type, envelope};

const EXPECTED: &str = "the request is neither the output of share-image nor a failed execution: expected `Step Functions Execution Status Change` with the execution's input";

/// An execution of the share workflow that failed, timed out or was aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedExecution {
    /// What started it.
    pub trigger: Trigger,
    /// Its ARN; empty when the event has none.
    pub execution: String,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it failed.
    pub cause: String,
    /// The Region, where the event names it.
    pub region: Option<String>,
}

impl FailedExecution {
    /// Reads the event. `now` stands in where it has no time.
    ///
    /// # Errors
    /// When it is another event, or the execution's input is missing or names no image.
    pub fn read(event: &Value, now: Timestamp) -> Result<Self, UnexpectedEvent> {
        Self::try_read(event, now).map_err(|reason| UnexpectedEvent::new(EXPECTED, event, reason))
    }

    fn try_read(event: &Value, now: Timestamp) -> Result<Self, Unreadable> {
        if detail_type(event) != EXECUTION_STATUS_CHANGE {
            return Err("it is of another kind".into());
        }
        let envelope = envelope::<ExecutionStatusChange>(event)?;
        let detail = &envelope.detail;
        let input = detail.input.as_deref().ok_or("it has no input")?;
        let input = serde_json::from_str(input)
            .map_err(|error| format!("the execution's input is not JSON: {error}"))?;
        let TriggerEvent(trigger) = TriggerEvent::read(&input, now)?;
        let ended = detail.stop_date.and_then(|at| Timestamp::from_millisecond(at).ok());
        Ok(Self {
            trigger,
            execution: detail.execution_arn.clone().unwrap_or_default(),
            ended: ended.unwrap_or(now),
            cause: detail.failure(),
            region: envelope.region,
        })
    }
}
