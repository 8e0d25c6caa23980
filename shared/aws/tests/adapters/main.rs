//! The adapters against recorded answers of AWS: what they send, and what they read in the answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod calls;
mod connections;
mod executions;
mod images;
mod lease;
mod ledger;
mod managed_images;
mod notifications;
mod permissions;
mod replay;
mod review_store;
mod schedules;
mod topic;
mod usage_reports;

use std::time::Duration;

use ami_share_aws::error::Fault;
use ami_share_aws::keys::Put;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::targets::organization::Scope;

use crate::replay::{Recorded, replay};

fn image() -> ImageId {
    "ami-0abcdef1234567890".parse().unwrap()
}

fn key() -> KeyArn {
    "arn:aws:kms:us-east-1:111122223333:key/1234abcd".parse().unwrap()
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn ec2_error(code: &str, message: &str) -> Recorded {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Recorded(400, format!("<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"))
}

fn json(status: u16, body: &str) -> Recorded {
    Recorded(status, body.to_owned())
}

#[tokio::test]
async fn a_throttled_call_names_itself_and_is_retryable() {
    let (clients, _) = replay(vec![ec2_error("RequestLimitExceeded", "Request limit exceeded.")]).await;
    let error = clients.image_reader().image(&image()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Throttled);
    assert!(error.fault().is_retryable());
    assert_eq!(
        error.to_string(),
        "ec2:DescribeImages of ami-0abcdef1234567890 failed: Request limit exceeded. (RequestLimitExceeded)"
    );
}

#[tokio::test]
async fn a_5xx_response_is_retryable_whatever_its_body_says() {
    let page = || Recorded(502, "<!doctype html><title>Bad Gateway</title>".to_owned());
    let (clients, _) = replay(vec![page()]).await;
    let error = clients.ledger_reader("ledger").intent(&image()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient);
    assert_eq!(error.to_string(), "dynamodb:GetItem of ami-0abcdef1234567890 failed: HTTP status 502");
    let unknown_code = r#"{"__type":"SomethingNew","message":"Come again."}"#;
    let (clients, _) = replay(vec![json(500, unknown_code), json(400, unknown_code)]).await;
    let reader = clients.ledger_reader("ledger");
    assert_eq!(reader.intent(&image()).await.unwrap_err().fault(), Fault::Transient);
    assert_eq!(reader.intent(&image()).await.unwrap_err().fault(), Fault::Other);
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_no_error() {
    let (clients, _) = replay(vec![ec2_error("InvalidAMIID.NotFound", "The image id does not exist")]).await;
    assert!(clients.image_reader().image(&image()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_policy_that_kms_rejects_is_an_answer_and_not_an_error() {
    let body = r#"{"__type":"MalformedPolicyDocumentException","message":"Policy contains a statement with one or more invalid principals."}"#;
    let (clients, _) = replay(vec![json(400, body)]).await;
    let put = clients.key_writer().put(&key(), "{}").await.unwrap();
    let Put::Rejected(message) = put else { panic!("{put:?}") };
    assert!(message.contains("invalid principals"), "{message}");
}

/// Source: <https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html>
#[tokio::test]
async fn an_empty_page_does_not_end_the_list_of_accounts() {
    let organization = r#"{"Organization":{"Id":"o-a1b2c3d4e5","Arn":"arn:aws:organizations::111122223333:organization/o-a1b2c3d4e5"}}"#;
    let empty = r#"{"Accounts":[],"NextToken":"more"}"#;
    let last = r#"{"Accounts":[
        {"Id":"222222222222","State":"ACTIVE","Status":"ACTIVE"},
        {"Id":"333333333333","State":"CLOSED","Status":"SUSPENDED"},
        {"Id":"444455556666","Status":"SUSPENDED"}]}"#;
    let (clients, requests) = replay(vec![json(200, organization), json(200, empty), json(200, last)]).await;
    let reader = clients.organization_reader(Duration::from_secs(60)).cached_for_times(u32::MAX);
    let read = reader.read(Scope::Accounts).await.unwrap().organization.unwrap();
    let active: Vec<bool> = read.accounts.values().map(|account| account.active).collect();
    assert_eq!(active, [true, false, false]);
    let cached = reader.read(Scope::Accounts).await.unwrap();
    assert!(cached.cached && requests.bodies().len() == 3, "the second reading comes from the cache");
}

#[tokio::test]
async fn the_absence_of_an_organization_is_not_cached() {
    let none = r#"{"__type":"AWSOrganizationsNotInUseException","message":"Your account is not a member of an organization."}"#;
    let (clients, requests) = replay(vec![json(400, none), json(400, none)]).await;
    let reader = clients.organization_reader(Duration::from_secs(60));
    for _ in 0..2 {
        assert!(reader.read(Scope::Accounts).await.unwrap().organization.is_none());
    }
    assert_eq!(requests.bodies().len(), 2);
}
