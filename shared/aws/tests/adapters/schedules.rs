//! Schedules in EventBridge Scheduler.

use ami_share_aws::clients::Clients;
use ami_share_aws::error::Fault;
use ami_share_aws::schedules::{ScheduleSettings, ScheduleWriter};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::json as recorded;
use crate::replay::{Recorded, replay};

const NAME: &str = "ami-0abcdef1234567890-end";
const INPUT: &str = r#"{"image_id":"ami-0abcdef1234567890"}"#;

fn writer(clients: &Clients, dead_letters: Option<&str>) -> ScheduleWriter {
    clients.schedule_writer(ScheduleSettings {
        group: "ami-share".to_owned(),
        workflow: "arn:aws:states:us-east-1:111122223333:stateMachine:ami-share-share".to_owned(),
        role: "arn:aws:iam::111122223333:role/ami-share-schedules".to_owned(),
        dead_letters: dead_letters.map(str::to_owned),
    })
}

fn later() -> Timestamp {
    "2099-12-31T09:30:00Z".parse().unwrap()
}

fn done() -> Recorded {
    recorded(
        200,
        r#"{"ScheduleArn":"arn:aws:scheduler:us-east-1:111122223333:schedule/ami-share/ami-0abcdef1234567890-end"}"#,
    )
}

fn refused(status: u16, code: &str) -> Recorded {
    recorded(status, &format!(r#"{{"__type":"{code}","Message":"no"}}"#))
}

/// The fields of a request, without the token that differs each time.
fn fields(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap();
    body.as_object_mut().unwrap().remove("ClientToken").unwrap();
    body
}

fn schedule() -> Value {
    json!({
        "ActionAfterCompletion": "DELETE",
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "GroupName": "ami-share",
        "ScheduleExpression": "at(2099-12-31T09:30:00)",
        "ScheduleExpressionTimezone": "UTC",
        "Target": {
            "Arn": "arn:aws:states:us-east-1:111122223333:stateMachine:ami-share-share",
            "DeadLetterConfig": { "Arn": "arn:aws:sqs:us-east-1:111122223333:ami-share-dead" },
            "Input": INPUT,
            "RetryPolicy": { "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 },
            "RoleArn": "arn:aws:iam::111122223333:role/ami-share-schedules",
        },
    })
}

#[tokio::test]
async fn a_schedule_runs_once_at_its_minute_and_is_then_deleted() {
    let (clients, requests) = replay(vec![done()]).await;
    let writer = writer(&clients, Some("arn:aws:sqs:us-east-1:111122223333:ami-share-dead"));
    assert!(writer.set(NAME, later(), INPUT).await.unwrap());
    assert_eq!(requests.lines(), [format!("POST /schedules/{NAME}")]);
    assert_eq!(fields(&requests.bodies()[0]), schedule());
}

#[tokio::test]
async fn an_existing_schedule_is_updated_with_all_its_fields() {
    let (clients, requests) = replay(vec![refused(409, "ConflictException"), done()]).await;
    let writer = writer(&clients, Some("arn:aws:sqs:us-east-1:111122223333:ami-share-dead"));
    assert!(writer.set(NAME, later(), INPUT).await.unwrap());
    assert_eq!(requests.lines(), [format!("POST /schedules/{NAME}"), format!("PUT /schedules/{NAME}")]);
    assert_eq!(fields(&requests.bodies()[1]), schedule());
}

#[tokio::test]
async fn a_schedule_that_runs_during_its_update_is_created_again() {
    let answers = vec![refused(409, "ConflictException"), refused(404, "ResourceNotFoundException"), done()];
    let (clients, requests) = replay(answers).await;
    assert!(writer(&clients, None).set(NAME, later(), INPUT).await.unwrap());
    let sent: Vec<String> = requests.lines().iter().map(|line| line[..4].trim().to_owned()).collect();
    assert_eq!(sent, ["POST", "PUT", "POST"]);
    assert!(fields(&requests.bodies()[2])["Target"].get("DeadLetterConfig").is_none());
}

#[tokio::test]
async fn no_schedule_is_created_for_a_time_that_has_passed() {
    let (clients, requests) = replay(vec![]).await;
    let passed = Timestamp::now() - SignedDuration::from_secs(1);
    assert!(!writer(&clients, None).set(NAME, passed, INPUT).await.unwrap());
    assert!(requests.lines().is_empty());
}

#[tokio::test]
async fn a_rejection_before_the_scheduled_time_and_a_missing_group_are_errors() {
    for (code, fault) in [
        ("ValidationException", Fault::Other),
        ("ResourceNotFoundException", Fault::Missing),
        ("AccessDeniedException", Fault::Denied),
    ] {
        let (clients, _) = replay(vec![refused(400, code)]).await;
        let error = writer(&clients, None).set(NAME, later(), INPUT).await.unwrap_err();
        assert_eq!(error.fault(), fault);
        assert_eq!(error.to_string(), format!("scheduler:CreateSchedule of {NAME} failed: no ({code})"));
    }
}

#[tokio::test]
async fn a_conflicting_writer_of_the_same_schedule_is_a_retryable_error() {
    let (clients, _) = replay(vec![refused(409, "ConflictException"); 2]).await;
    let error = writer(&clients, None).set(NAME, later(), INPUT).await.unwrap_err();
    assert!(error.fault().is_retryable(), "{error}");
    let (clients, _) = replay(vec![refused(409, "ConflictException")]).await;
    let error = writer(&clients, None).cancel(NAME).await.unwrap_err();
    assert!(error.fault().is_retryable(), "{error}");
}

#[tokio::test]
async fn a_schedule_is_cancelled_in_its_group() {
    let (clients, requests) = replay(vec![recorded(200, "{}")]).await;
    writer(&clients, None).cancel(NAME).await.unwrap();
    let sent = &requests.lines()[0];
    assert!(
        sent.starts_with(&format!("DELETE /schedules/{NAME}?")) && sent.contains("groupName=ami-share"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_schedule_that_does_not_exist_counts_as_cancelled() {
    let (clients, _) =
        replay(vec![refused(404, "ResourceNotFoundException"), refused(403, "AccessDeniedException")]).await;
    let writer = writer(&clients, None);
    writer.cancel(NAME).await.unwrap();
    assert_eq!(writer.cancel(NAME).await.unwrap_err().fault(), Fault::Denied);
}
