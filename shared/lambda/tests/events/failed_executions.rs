//! Executions of the share workflow that failed.

use ami_share_lambda::events::FailedExecution;
use ami_share_testkit::ids::now;
use serde_json::{Value, json};

use crate::{example, tag_change, trigger};

fn failed(changes: &[(&str, Value)]) -> Result<FailedExecution, String> {
    let mut event = example("step-functions-execution-failed.json");
    for (name, value) in changes {
        event["detail"][*name] = value.clone();
    }
    FailedExecution::read(&event, now()).map_err(|error| error.to_string())
}

#[test]
fn a_failed_execution_carries_the_event_that_started_it() {
    let event = example("step-functions-execution-failed.json");
    let input: Value = serde_json::from_str(event["detail"]["input"].as_str().unwrap()).unwrap();
    assert_eq!(input, example("tag-change-image.json"));
    assert_eq!(trigger(&input), Some(tag_change()));
}

#[test]
fn the_cause_is_the_most_precise_that_the_event_has() {
    let cause = |error: Value, cause: Value, status: &str| {
        failed(&[("error", error), ("cause", cause), ("status", json!(status))]).unwrap().cause
    };
    assert_eq!(cause(json!("Lost"), json!("a test"), "FAILED"), "a test (Lost)");
    assert_eq!(cause(json!("States.Timeout"), Value::Null, "TIMED_OUT"), "States.Timeout");
    assert_eq!(cause(Value::Null, json!("stopped"), "ABORTED"), "stopped");
    assert_eq!(cause(Value::Null, Value::Null, "ABORTED"), "the execution is aborted");
    assert_eq!(cause(Value::Null, Value::Null, "TIMED_OUT"), "the execution is timed out");
}

#[test]
fn an_execution_without_its_input_is_refused() {
    // Step Functions leaves out an input that is too large for an event.
    let error =
        failed(&[("input", Value::Null), ("inputDetails", json!({ "included": false }))]).unwrap_err();
    assert!(error.contains("it has no input"), "{error}");
    let error = failed(&[("input", json!("{"))]).unwrap_err();
    assert!(error.contains("the execution's input is not JSON"), "{error}");
    let error = failed(&[("input", json!("{}"))]).unwrap_err();
    assert!(error.contains("the event names no image: expected"), "{error}");
}

#[test]
fn an_execution_without_an_end_ended_now() {
    assert_eq!(failed(&[("stopDate", Value::Null)]).unwrap().ended, now());
}
