//! The appointments that EventBridge Scheduler keeps for the stack.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Account, STACK};

/// One appointment, as Scheduler describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// When it fires, as the schedule says: `at(2026-12-31T18:00:00)`.
    pub expression: String,
    /// The zone of that time.
    pub zone: String,
    /// What the workflow is started with.
    pub input: Value,
    /// The ARN of what is started.
    pub starts: String,
    /// What becomes of it once it has fired: `DELETE`.
    pub after_completion: String,
    /// Whether it may fire later than it says: `OFF` when not.
    pub window: String,
}

impl Account {
    /// How many appointments the stack has.
    pub async fn schedules(&self) -> Result<usize> {
        let request = self.scheduler.list_schedules().group_name(STACK);
        Ok(request.send().await.context("ListSchedules")?.schedules().len())
    }

    /// The appointment of an image for an occasion (`end`, `warning`); `None` when there is none.
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
        let target = found.target().context("an appointment without a target")?;
        let window = found.flexible_time_window().context("an appointment without a window")?;
        Ok(Some(Schedule {
            expression: found.schedule_expression().unwrap_or_default().to_owned(),
            zone: found.schedule_expression_timezone().unwrap_or_default().to_owned(),
            input: serde_json::from_str(target.input().unwrap_or_default())
                .context("an input that is no JSON")?,
            starts: target.arn().to_owned(),
            after_completion: found
                .action_after_completion()
                .map(|action| action.as_str().to_owned())
                .unwrap_or_default(),
            window: window.mode().as_str().to_owned(),
        }))
    }
}
