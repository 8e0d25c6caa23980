//! One-time schedules that start the share workflow when the access to an image expires.
//!
//! What EventBridge Scheduler does. Sources unless a line says otherwise:
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>,
//! <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>
//!
//! - `at(yyyy-mm-ddThh:mm:ss)` has no zone and no fraction of a second; the zone is a field of its own.
//! - The precision is one minute: a schedule for 1:00 starts its target between 1:00:00 and 1:00:59. The seconds
//!   mean nothing; the workflow waits for the exact moment after its start.
//! - AWS does not document what happens with a moment in the past. Several public projects report a
//!   `ValidationException`. [`ScheduleWriter::set`] never requests it, and treats that answer as "passed".
//! - A name has 1 to 64 characters of `0-9a-zA-Z-_.` and is unique in its group. Without the
//!   `ActionAfterCompletion` `DELETE` the schedule stays after it ran, and counts towards the quota.
//! - 10,000,000 schedules a Region (1,000,000 before they raised it), 1,000 to 5,000 creations a second in the
//!   large Regions and 250 in the others; all adjustable.
//!   Source: <https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html>
//!
//! The caller needs `scheduler:CreateSchedule`, `scheduler:UpdateSchedule` and `scheduler:DeleteSchedule`
//! on `arn:PARTITION:scheduler:REGION:ACCOUNT:schedule/GROUP/*`, and `iam:PassRole` on the target's role
//! (condition `iam:PassedToService` = `scheduler.amazonaws.com`). The role trusts `scheduler.amazonaws.com`,
//! and allows `states:StartExecution` on the workflow and `sqs:SendMessage` on the queue. Sources:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html>,
//! <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEventBridgeSchedulerFullAccess.html>,
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::error::BuildError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target,
};
use jiff::Timestamp;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault, incomplete_request};

const CREATE: &str = "scheduler:CreateSchedule";

/// Attempts to create or else update. A schedule that ran between the two is gone, and is created again.
const ROUNDS: usize = 3;

/// How long, and how often, Scheduler tries to start the workflow: the most that it accepts, which is its default.
/// Access that is revoked late is better than access that is never revoked.
/// Source: <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html>
const MAXIMUM_EVENT_AGE_SECONDS: i32 = 86_400;
const MAXIMUM_RETRY_ATTEMPTS: i32 = 185;

/// Where the schedules are, and what they start.
#[derive(Debug, Clone)]
pub struct ScheduleSettings {
    /// The schedule group, by name.
    pub group: String,
    /// The share workflow, by ARN.
    pub workflow: String,
    /// The role that Scheduler starts the workflow with, by ARN.
    pub role: String,
    /// The queue for starts that failed for good, by ARN.
    pub dead_letters: Option<String>,
}

/// Creates, updates and deletes schedules.
#[derive(Debug, Clone)]
pub struct ScheduleWriter {
    client: Client,
    settings: ScheduleSettings,
    clock: Clock,
}

impl ScheduleWriter {
    /// A writer with these `settings`.
    pub fn new(client: Client, settings: ScheduleSettings, clock: Clock) -> Self {
        Self { client, settings, clock }
    }

    /// Creates or updates the schedule `name`: at `at` (a whole minute) it starts the workflow with `input` and is
    /// deleted. The same request again changes nothing. `false` when `at` has passed: then there is no schedule, and the
    /// caller starts the workflow itself.
    ///
    /// # Errors
    /// When `scheduler:CreateSchedule` or `scheduler:UpdateSchedule` fails in time.
    pub async fn set(&self, name: &str, at: Timestamp, input: &str) -> Result<bool, AwsError> {
        if at <= self.clock.now() {
            return Ok(false);
        }
        match self.create_or_update(name, at, input).await {
            Err(error) if came_too_late(at, self.clock.now(), error.fault()) => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// Deletes the schedule. One that does not exist, or that ran, counts as deleted.
    ///
    /// # Errors
    /// When `scheduler:DeleteSchedule` fails for another reason.
    pub async fn cancel(&self, name: &str) -> Result<(), AwsError> {
        let request = self.client.delete_schedule().group_name(&self.settings.group).name(name);
        match request.send().await.explain("scheduler:DeleteSchedule", name) {
            Err(error) if error.fault() == Fault::Missing => Ok(()),
            answer => answer.map(|_| ()).map_err(|error| busy(name, error)),
        }
    }

    async fn create_or_update(&self, name: &str, at: Timestamp, input: &str) -> Result<(), AwsError> {
        for _ in 0..ROUNDS {
            match self.create(name, at, input).await {
                Err(error) if error.fault() == Fault::Condition => {}
                answer => return answer,
            }
            match self.update(name, at, input).await {
                Err(error) if error.fault() == Fault::Missing => {}
                answer => return answer.map_err(|error| busy(name, error)),
            }
        }
        Err(another_writer(name))
    }

    async fn create(&self, name: &str, at: Timestamp, input: &str) -> Result<(), AwsError> {
        let request = self
            .client
            .create_schedule()
            .group_name(&self.settings.group)
            .name(name)
            .schedule_expression(expression(at))
            .schedule_expression_timezone("UTC")
            .flexible_time_window(no_window().map_err(|error| incomplete(name, error))?)
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(self.target(input).map_err(|error| incomplete(name, error))?);
        request.send().await.explain(CREATE, name).map(|_| ())
    }

    /// An update replaces every field, so it has the same ones as [`Self::create`].
    /// Source: <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html>
    async fn update(&self, name: &str, at: Timestamp, input: &str) -> Result<(), AwsError> {
        let request = self
            .client
            .update_schedule()
            .group_name(&self.settings.group)
            .name(name)
            .schedule_expression(expression(at))
            .schedule_expression_timezone("UTC")
            .flexible_time_window(no_window().map_err(|error| incomplete(name, error))?)
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(self.target(input).map_err(|error| incomplete(name, error))?);
        request.send().await.explain("scheduler:UpdateSchedule", name).map(|_| ())
    }

    /// With a state machine as its target, Scheduler calls `states:StartExecution` with `input`.
    /// Source: <https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html>
    fn target(&self, input: &str) -> Result<Target, BuildError> {
        let ScheduleSettings { workflow, role, dead_letters, group: _ } = &self.settings;
        let retries = RetryPolicy::builder()
            .maximum_event_age_in_seconds(MAXIMUM_EVENT_AGE_SECONDS)
            .maximum_retry_attempts(MAXIMUM_RETRY_ATTEMPTS)
            .build();
        let dead_letters = dead_letters.as_ref().map(|queue| DeadLetterConfig::builder().arn(queue).build());
        let target = Target::builder().arn(workflow).role_arn(role).input(input).retry_policy(retries);
        target.set_dead_letter_config(dead_letters).build()
    }
}

fn expression(at: Timestamp) -> String {
    at.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()
}

/// Whether the moment passed during the call. Only a rejection of the request itself counts: a denied call, or a service
/// that fails, has nothing to do with the time.
fn came_too_late(at: Timestamp, now: Timestamp, fault: Fault) -> bool {
    fault == Fault::Other && at <= now
}

fn no_window() -> Result<FlexibleTimeWindow, BuildError> {
    FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build()
}

fn incomplete(name: &str, error: BuildError) -> AwsError {
    incomplete_request(CREATE, name, error)
}

/// A conflict means that another writer updates or deletes the same schedule; a later call succeeds. Source:
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html>
fn busy(name: &str, error: AwsError) -> AwsError {
    if error.fault() == Fault::Condition {
        return another_writer(name);
    }
    error
}

fn another_writer(name: &str) -> AwsError {
    AwsError::Busy(format!("another writer changes the schedule {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejection_after_the_scheduled_time_means_that_it_has_passed() {
        let at = Timestamp::UNIX_EPOCH;
        let second = jiff::SignedDuration::from_secs(1);
        assert!(came_too_late(at, at, Fault::Other));
        assert!(!came_too_late(at, at - second, Fault::Other));
        for fault in [Fault::Denied, Fault::Throttled, Fault::Transient, Fault::Missing] {
            assert!(!came_too_late(at, at + second, fault), "{fault:?}");
        }
    }
}
