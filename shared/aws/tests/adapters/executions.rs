//! Starting executions.

use ami_share_aws::error::Fault;
use serde_json::{Value, json};

use crate::json as recorded;
use crate::replay::replay;

const WORKFLOW: &str = "arn:aws:states:us-east-1:111122223333:stateMachine:ami-share-share";

fn started() -> crate::Recorded {
    recorded(
        200,
        r#"{"executionArn":"arn:aws:states:us-east-1:111122223333:execution:ami-share-share:1","startDate":1.7e9}"#,
    )
}

#[tokio::test]
async fn an_execution_gets_the_name_and_the_input() {
    let (clients, requests) = replay(vec![started(), started()]).await;
    let starter = clients.execution_starter();
    let input = json!({ "image_id": "ami-0abcdef1234567890" });
    assert!(starter.start(WORKFLOW, Some("organization-5"), &input).await.unwrap());
    assert!(starter.start(WORKFLOW, None, &input).await.unwrap());
    let sent: Vec<Value> = requests.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let input = r#"{"image_id":"ami-0abcdef1234567890"}"#;
    assert_eq!(sent[0], json!({ "stateMachineArn": WORKFLOW, "name": "organization-5", "input": input }));
    assert_eq!(sent[1], json!({ "stateMachineArn": WORKFLOW, "input": input }));
}

#[tokio::test]
async fn an_execution_name_that_exists_is_an_answer_and_not_an_error() {
    let taken = r#"{"__type":"com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists","message":"Execution Already Exists: 'organization-5'"}"#;
    let (clients, _) = replay(vec![recorded(400, taken)]).await;
    assert!(!clients.execution_starter().start(WORKFLOW, Some("organization-5"), &json!({})).await.unwrap());
}

#[tokio::test]
async fn a_workflow_that_does_not_exist_is_an_error_that_names_it() {
    let missing = r#"{"__type":"StateMachineDoesNotExist","message":"State Machine Does Not Exist"}"#;
    let (clients, _) = replay(vec![recorded(400, missing)]).await;
    let error = clients.execution_starter().start(WORKFLOW, None, &json!({})).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Missing);
    assert!(error.to_string().starts_with(&format!("states:StartExecution of {WORKFLOW} failed")), "{error}");
}

#[tokio::test]
async fn too_many_open_executions_is_a_retryable_error() {
    let full = r#"{"__type":"ExecutionLimitExceeded","message":"The maximum number of running executions has been reached."}"#;
    let (clients, _) = replay(vec![recorded(400, full)]).await;
    let error = clients.execution_starter().start(WORKFLOW, None, &json!({})).await.unwrap_err();
    assert!(error.fault().is_retryable(), "{error}");
}
