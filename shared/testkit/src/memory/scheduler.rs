//! EventBridge Scheduler: one-time schedules, which start their target when [`Scheduler::fire`] is called.
//!
//! A group exists as soon as a request names it. A schedule at a moment that has passed is refused, which AWS does not
//! document (assumption `schedule-past`). Sources:
//! <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>,
//! <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{
    invalid, missing, not_implemented, require_known, required_text, text, unknown_operation,
};

const DEFAULT_GROUP: &str = "default";
const NAME_LIMIT: usize = 64;
const SECONDS_OF_A_MINUTE: i64 = 60;

/// The least and the most of each field of a retry policy. Source:
/// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html>
const RETRY_LIMITS: [(&str, i64, i64); 2] =
    [("MaximumEventAgeInSeconds", 60, 86_400), ("MaximumRetryAttempts", 0, 185)];

/// One schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name, unique in its group.
    pub name: String,
    /// The name of its group.
    pub group: String,
    /// The moment of its `at(…)` expression. It fires at the start of that minute.
    pub when: Timestamp,
    /// The ARN of what it starts.
    pub target_arn: String,
    /// What it gives its target, as JSON text.
    pub input: Option<String>,
    /// Whether it is deleted once it has fired.
    pub is_deleted_after_completion: bool,
    /// Whether it has fired. It stays with its name when it is not deleted then.
    pub has_fired: bool,
    /// All parameters of the request that created or last updated it.
    pub parameters: Value,
    created: Timestamp,
    updated: Timestamp,
}

/// All schedules.
#[derive(Debug, Clone, Default)]
pub struct Scheduler {
    schedules: BTreeMap<(String, String), Schedule>,
    /// Operation, name and token of the calls that succeeded: the same call again succeeds too.
    made: BTreeSet<[String; 4]>,
}

impl Scheduler {
    /// Answers one request at the moment `now`.
    ///
    /// # Errors
    /// What Scheduler answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value, now: Timestamp) -> Answer {
        if !["CreateSchedule", "UpdateSchedule", "DeleteSchedule", "GetSchedule"].contains(&operation) {
            return Err(unknown_operation("Scheduler", operation));
        }
        let name = name_of(input)?;
        let group = text(input, "GroupName").unwrap_or(DEFAULT_GROUP);
        let key = (group.to_owned(), name.to_owned());
        let token = text(input, "ClientToken").or_else(|| text(input, "clientToken"));
        let made = token.map(|token| [operation, group, name, token].map(str::to_owned));
        if made.as_ref().is_some_and(|made| self.made.contains(made)) {
            return Ok(answer_to_change(operation, &key));
        }
        let answer = match operation {
            "CreateSchedule" => self.create(&key, input, now),
            "UpdateSchedule" => self.update(&key, input, now),
            "DeleteSchedule" => self.delete(&key, input),
            _ => self.get(&key, input),
        }?;
        self.made.extend(made);
        Ok(answer)
    }

    /// All schedules, by group and name.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.schedules.values()
    }

    /// The schedule with this name.
    pub fn schedule(&self, group: &str, name: &str) -> Option<&Schedule> {
        self.schedules.get(&(group.to_owned(), name.to_owned()))
    }

    /// Fires the schedules whose minute has begun at `now`, the earliest first, and returns them.
    pub fn fire(&mut self, now: Timestamp) -> Vec<Schedule> {
        let is_due = |schedule: &Schedule| !schedule.has_fired && minute(schedule.when) <= now;
        let mut due: Vec<Schedule> = self.schedules().filter(|schedule| is_due(schedule)).cloned().collect();
        self.schedules.retain(|_, schedule| !(is_due(schedule) && schedule.is_deleted_after_completion));
        for schedule in self.schedules.values_mut().filter(|schedule| is_due(schedule)) {
            schedule.has_fired = true;
        }
        due.sort_by_key(|schedule| schedule.when);
        due
    }

    fn create(&mut self, key: &(String, String), input: &Value, now: Timestamp) -> Answer {
        let schedule = Schedule::of(key, input, now)?;
        if self.schedules.contains_key(key) {
            let message = format!("Schedule {} already exists.", key.1);
            return Err(Refused::new("ConflictException", message).with_status(409));
        }
        self.schedules.insert(key.clone(), schedule);
        Ok(answer_to_change("CreateSchedule", key))
    }

    /// Every field gets its new value: one that the request lacks is not kept.
    fn update(&mut self, key: &(String, String), input: &Value, now: Timestamp) -> Answer {
        let schedule = Schedule::of(key, input, now)?;
        let last = self.schedules.get_mut(key).ok_or_else(|| not_found(key))?;
        *last = Schedule { created: last.created, ..schedule };
        Ok(answer_to_change("UpdateSchedule", key))
    }

    fn delete(&mut self, key: &(String, String), input: &Value) -> Answer {
        require_known("DeleteSchedule", input, &["Name", "GroupName", "ClientToken", "clientToken"])?;
        self.schedules.remove(key).ok_or_else(|| not_found(key))?;
        Ok(answer_to_change("DeleteSchedule", key))
    }

    fn get(&self, key: &(String, String), input: &Value) -> Answer {
        require_known("GetSchedule", input, &["Name", "GroupName"])?;
        let schedule = self.schedules.get(key).ok_or_else(|| not_found(key))?;
        let mut answer = schedule.parameters.clone();
        let others = json!({
            "Arn": arn(key),
            "GroupName": schedule.group,
            "State": "ENABLED",
            "CreationDate": schedule.created.as_second(),
            "LastModificationDate": schedule.updated.as_second(),
        });
        if let (Some(answer), Value::Object(others)) = (answer.as_object_mut(), others) {
            answer.shift_remove("ClientToken");
            answer.extend(others);
        }
        Ok(answer)
    }
}

impl Schedule {
    fn of((group, name): &(String, String), input: &Value, now: Timestamp) -> Result<Self, Refused> {
        let known = [
            "Name",
            "GroupName",
            "ClientToken",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "FlexibleTimeWindow",
            "ActionAfterCompletion",
            "Target",
            "Description",
        ];
        require_known("Scheduler", input, &known)?;
        match input.pointer("/FlexibleTimeWindow/Mode").and_then(Value::as_str) {
            Some("OFF") => {}
            Some(mode) => return Err(not_implemented(format!("a flexible time window {mode}"))),
            None => return Err(missing("flexibleTimeWindow")),
        }
        let target = input.get("Target").ok_or_else(|| missing("target"))?;
        check_target(target)?;
        let when = moment(input)?;
        if when <= now {
            return Err(invalid(format!(
                "Invalid Schedule Expression {}. The date has passed.",
                required_text(input, "ScheduleExpression")?
            )));
        }
        Ok(Self {
            name: name.clone(),
            group: group.clone(),
            when,
            target_arn: required_text(target, "Arn")?.to_owned(),
            input: text(target, "Input").map(str::to_owned),
            is_deleted_after_completion: text(input, "ActionAfterCompletion") == Some("DELETE"),
            has_fired: false,
            parameters: input.clone(),
            created: now,
            updated: now,
        })
    }
}

fn name_of(input: &Value) -> Result<&str, Refused> {
    let name = required_text(input, "Name")?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(is_allowed) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: ^[0-9a-zA-Z-_.]+$ and have length less than or equal to {NAME_LIMIT}"
        )));
    }
    Ok(name)
}

fn check_target(target: &Value) -> Result<(), Refused> {
    require_known("Target", target, &["Arn", "RoleArn", "Input", "RetryPolicy", "DeadLetterConfig"])?;
    required_text(target, "RoleArn")?;
    for (name, least, most) in RETRY_LIMITS {
        let value = target.pointer(&format!("/RetryPolicy/{name}")).and_then(Value::as_i64);
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'target.retryPolicy.{name}' failed to satisfy constraint: Member \
                 must have value between {least} and {most}"
            )));
        }
    }
    Ok(())
}

fn moment(input: &Value) -> Result<Timestamp, Refused> {
    let expression = required_text(input, "ScheduleExpression")?;
    let bad = || invalid(format!("Invalid Schedule Expression {expression}."));
    if let Some(zone) = text(input, "ScheduleExpressionTimezone").filter(|zone| *zone != "UTC") {
        return Err(not_implemented(format!("schedules here have the time zone UTC, not {zone}")));
    }
    if ["rate(", "cron("].iter().any(|recurrent| expression.starts_with(recurrent)) {
        return Err(not_implemented(format!("schedules here run once: {expression}")));
    }
    let moment = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(bad)?;
    let moment = DateTime::strptime("%Y-%m-%dT%H:%M:%S", moment).map_err(|_| bad())?;
    moment.to_zoned(TimeZone::UTC).map(|moment| moment.timestamp()).map_err(|_| bad())
}

/// The start of its minute.
fn minute(moment: Timestamp) -> Timestamp {
    let second = moment.as_second().div_euclid(SECONDS_OF_A_MINUTE) * SECONDS_OF_A_MINUTE;
    Timestamp::from_second(second).unwrap_or(moment)
}

fn answer_to_change(operation: &str, key: &(String, String)) -> Value {
    if operation == "DeleteSchedule" { json!({}) } else { json!({ "ScheduleArn": arn(key) }) }
}

fn arn((group, name): &(String, String)) -> String {
    format!("arn:aws:scheduler:us-east-1:111122223333:schedule/{group}/{name}")
}

fn not_found((_, name): &(String, String)) -> Refused {
    Refused::new("ResourceNotFoundException", format!("Schedule {name} does not exist.")).with_status(404)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &str = "arn:aws:states:us-east-1:111122223333:stateMachine:ami-share-share";

    fn at(moment: &str) -> Timestamp {
        moment.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-07-01T12:00:30Z")
    }

    fn schedule(name: &str, expression: &str) -> Value {
        json!({
            "Name": name,
            "GroupName": "ami-share",
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": { "Mode": "OFF" },
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": WORKFLOW,
                "RoleArn": "arn:aws:iam::111122223333:role/ami-share-schedules",
                "Input": "{}",
                "RetryPolicy": { "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 },
            },
        })
    }

    fn named(name: &str) -> Value {
        json!({ "Name": name, "GroupName": "ami-share" })
    }

    fn refused(input: &Value) -> Refused {
        Scheduler::default().call("CreateSchedule", input, now()).unwrap_err()
    }

    #[test]
    fn a_schedule_is_created_once() {
        let mut scheduler = Scheduler::default();
        let input = schedule("a", "at(2026-07-01T13:00:00)");
        let answer = scheduler.call("CreateSchedule", &input, now()).unwrap();
        let arn = "arn:aws:scheduler:us-east-1:111122223333:schedule/ami-share/a";
        assert_eq!(answer, json!({ "ScheduleArn": arn }));
        let conflict = scheduler.call("CreateSchedule", &input, now()).unwrap_err();
        assert_eq!((conflict.status, conflict.code.as_str()), (409, "ConflictException"));
        let created = scheduler.schedule("ami-share", "a").unwrap();
        assert_eq!((created.when, created.target_arn.as_str()), (at("2026-07-01T13:00:00Z"), WORKFLOW));
        assert_eq!((created.input.as_deref(), created.is_deleted_after_completion), (Some("{}"), true));
    }

    #[test]
    fn the_same_call_with_the_same_token_again_succeeds() {
        let mut scheduler = Scheduler::default();
        let mut create = schedule("a", "at(2026-07-01T13:00:00)");
        create["ClientToken"] = json!("1");
        let mut delete = named("a");
        delete["clientToken"] = json!("2");
        for (operation, input) in [("CreateSchedule", &create), ("DeleteSchedule", &delete)] {
            let first = scheduler.call(operation, input, now()).unwrap();
            assert_eq!(scheduler.call(operation, input, now()), Ok(first));
        }
        delete["clientToken"] = json!("3");
        assert_eq!(scheduler.call("DeleteSchedule", &delete, now()).unwrap_err().status, 404);
    }

    #[test]
    fn an_update_replaces_every_field_of_a_schedule_that_exists() {
        let mut scheduler = Scheduler::default();
        let missing =
            scheduler.call("UpdateSchedule", &schedule("a", "at(2026-07-01T13:00:00)"), now()).unwrap_err();
        assert_eq!((missing.status, missing.code.as_str()), (404, "ResourceNotFoundException"));
        scheduler.call("CreateSchedule", &schedule("a", "at(2026-07-01T13:00:00)"), now()).unwrap();
        let mut later = schedule("a", "at(2026-07-01T14:00:00)");
        later.as_object_mut().unwrap().remove("ActionAfterCompletion");
        scheduler.call("UpdateSchedule", &later, now()).unwrap();
        let updated = scheduler.schedule("ami-share", "a").unwrap();
        assert_eq!(updated.when, at("2026-07-01T14:00:00Z"));
        assert!(!updated.is_deleted_after_completion);
    }

    #[test]
    fn a_schedule_is_deleted_and_its_name_is_free() {
        let mut scheduler = Scheduler::default();
        for _ in 0..2 {
            scheduler.call("CreateSchedule", &schedule("a", "at(2026-07-01T13:00:00)"), now()).unwrap();
            assert_eq!(scheduler.call("DeleteSchedule", &named("a"), now()).unwrap(), json!({}));
            assert_eq!(scheduler.call("GetSchedule", &named("a"), now()).unwrap_err().status, 404);
        }
    }

    #[test]
    fn a_schedule_is_described_as_it_was_created() {
        let mut scheduler = Scheduler::default();
        let input = schedule("a", "at(2026-07-01T13:00:00)");
        scheduler.call("CreateSchedule", &input, now()).unwrap();
        let answer = scheduler.call("GetSchedule", &named("a"), now()).unwrap();
        for name in ["Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target"] {
            assert_eq!(answer[name], input[name]);
        }
        assert_eq!(
            (&answer["State"], &answer["CreationDate"]),
            (&json!("ENABLED"), &json!(now().as_second()))
        );
    }

    #[test]
    fn a_schedule_fires_once_in_its_minute_and_is_then_deleted() {
        let mut scheduler = Scheduler::default();
        for (name, expression) in [("a", "at(2026-07-01T14:00:00)"), ("b", "at(2026-07-01T13:00:50)")] {
            scheduler.call("CreateSchedule", &schedule(name, expression), now()).unwrap();
        }
        assert!(scheduler.fire(at("2026-07-01T12:59:59Z")).is_empty());
        let mut kept = schedule("c", "at(2026-07-01T13:00:00)");
        kept["ActionAfterCompletion"] = json!("NONE");
        scheduler.call("CreateSchedule", &kept, now()).unwrap();
        let names =
            |fired: Vec<Schedule>| fired.into_iter().map(|schedule| schedule.name).collect::<Vec<_>>();
        assert_eq!(names(scheduler.fire(at("2026-07-01T13:00:00Z"))), ["c", "b"]);
        assert_eq!(names(scheduler.schedules().cloned().collect()), ["a", "c"]);
        assert_eq!(names(scheduler.fire(at("2026-07-01T15:00:00Z"))), ["a"]);
    }

    #[test]
    fn a_moment_that_has_passed_is_refused() {
        for expression in ["at(2026-07-01T12:00:30)", "at(2022-01-01T00:00:00)"] {
            let refused = refused(&schedule("a", expression));
            assert_eq!((refused.status, refused.code.as_str()), (400, "ValidationException"));
        }
    }

    #[test]
    fn bad_names_expressions_and_retry_policies_are_refused() {
        let longest = "a".repeat(64);
        assert!(
            Scheduler::default()
                .call("CreateSchedule", &schedule(&longest, "at(2026-07-01T13:00:00)"), now())
                .is_ok()
        );
        for (name, expression) in [
            ("a b", "at(2026-07-01T13:00:00)"),
            ("", "at(2026-07-01T13:00:00)"),
            (&"a".repeat(65), "at(2026-07-01T13:00:00)"),
            ("a", "at(2026-07-01T13:00:00Z)"),
            ("a", "at(2026-07-01T13:00:00.5)"),
            ("a", "2026-07-01T13:00:00"),
        ] {
            assert_eq!(
                refused(&schedule(name, expression)).code,
                "ValidationException",
                "{name} {expression}"
            );
        }
        let mut input = schedule("a", "at(2026-07-01T13:00:00)");
        input["Target"]["RetryPolicy"]["MaximumRetryAttempts"] = json!(186);
        assert_eq!(refused(&input).code, "ValidationException");
        input["Target"] = Value::Null;
        assert_eq!(refused(&input).code, "ValidationException");
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        let with = |name: &str, value: Value| {
            let mut input = schedule("a", "at(2026-07-01T13:00:00)");
            input[name] = value;
            refused(&input).status
        };
        assert_eq!(with("ScheduleExpression", json!("rate(1 hour)")), 501);
        assert_eq!(with("ScheduleExpressionTimezone", json!("Europe/Berlin")), 501);
        assert_eq!(with("FlexibleTimeWindow", json!({ "Mode": "FLEXIBLE" })), 501);
        assert_eq!(with("State", json!("DISABLED")), 501);
        assert_eq!(Scheduler::default().call("ListSchedules", &json!({}), now()).unwrap_err().status, 501);
    }
}
