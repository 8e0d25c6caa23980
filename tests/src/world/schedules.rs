//! The stack's schedules in EventBridge Scheduler.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Account, STACK};

/// One schedule, as Scheduler describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When it fires: `at(2026-12-31T18:00:00)`.
    pub expression: String,
    /// The time zone of that time.
    pub zone: String,
    /// The input of the execution that it starts.
    pub input: Value,
    /// The ARN of the state machine that it starts.
    pub starts: String,
    /// What Scheduler does with it once it has fired: `DELETE`.
    pub after_completion: String,
    /// The mode of its flexible time window: `OFF` when it fires on time.
    pub window: String,
}

impl Account {
    /// The number of the stack's schedules.
    pub async fn schedules(&self) -> Result<usize> {
        let request = self.scheduler.list_schedules().group_name(STACK);
        Ok(request.send().await.context("ListSchedules")?.schedules().len())
    }

    /// An image's schedule of a kind (`end`, `warning`); `None` when there is none.
    pub async fn schedule(&self, image: &str, schedule_kind: &str) -> Result<Option<Schedule>> {
        let request =
            self.scheduler.get_schedule().group_name(STACK).name(format!("{image}-{schedule_kind}"));
        let found = match request.send().await {
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                return Ok(None);
            }
            found => found.context("GetSchedule")?,
        };
        let target = found.target().context("a schedule without a target")?;
        let window = found.flexible_time_window().context("a schedule without a flexible time window")?;
        Ok(Some(Schedule {
            expression: found.schedule_expression().unwrap_or_default().to_owned(),
            zone: found.schedule_expression_timezone().unwrap_or_default().to_owned(),
            input: serde_json::from_str(target.input().unwrap_or_default())
                .context("the input is not JSON")?,
            starts: target.arn().to_owned(),
            after_completion: found
                .action_after_completion()
                .map(|action| action.as_str().to_owned())
                .unwrap_or_default(),
            window: window.mode().as_str().to_owned(),
        }))
    }
}
