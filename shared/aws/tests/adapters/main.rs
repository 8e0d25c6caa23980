//! The adapters against recorded answers of AWS: what they ask, and what they make of the answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod executions;
mod images;
mod managed_images;
mod replay;
mod review_store;
mod schedules;
mod topic;
mod usage_reports;

use std::time::Duration;

use ami_share_aws::error::Fault;
use ami_share_aws::keys::Put;
use ami_share_aws::notices::Addresses;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image_plan::ImageStep;
use ami_share_domain::notice;
use ami_share_domain::organization::Scope;
use ami_share_domain::share::LaunchPermission;

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

fn ec2_done() -> Recorded {
    Recorded(
        200,
        "<ModifyImageAttributeResponse><return>true</return></ModifyImageAttributeResponse>".to_owned(),
    )
}

fn json(status: u16, body: &str) -> Recorded {
    Recorded(status, body.to_owned())
}

#[tokio::test]
async fn a_throttled_call_names_itself_and_may_be_tried_again() {
    let (clients, _) = replay(vec![ec2_error("RequestLimitExceeded", "Request limit exceeded.")]).await;
    let error = clients.image_reader().image(&image()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Throttled);
    assert!(error.fault().may_be_tried_again());
    assert_eq!(
        error.to_string(),
        "ec2:DescribeImages of ami-0abcdef1234567890 failed: Request limit exceeded. (RequestLimitExceeded)"
    );
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_no_error() {
    let (clients, _) = replay(vec![ec2_error("InvalidAMIID.NotFound", "The image id does not exist")]).await;
    assert!(clients.image_reader().image(&image()).await.unwrap().is_none());
}

#[tokio::test]
async fn one_account_that_ec2_does_not_take_is_isolated_and_the_others_are_added() {
    let bad = || {
        ec2_error("InvalidAMIAttributeItemValue", "Invalid attribute item value \"999999999999\" for userId")
    };
    // All three; then the first alone; then the other two; then each of them.
    let (clients, requests) = replay(vec![bad(), ec2_done(), bad(), ec2_done(), bad()]).await;
    let ids = ["222222222222", "333333333333", "999999999999"];
    let permissions = ids.iter().map(|id| LaunchPermission::Account(account(id))).collect();
    let applied =
        clients.permission_writer().apply(&image(), &ImageStep::OpenImage { permissions }).await.unwrap();
    assert_eq!(
        applied.rejected.iter().map(|rejected| rejected.permission.to_string()).collect::<Vec<_>>(),
        ["999999999999"]
    );
    let asked = requests.bodies();
    let accepted = [&asked[1], &asked[3]];
    assert!(accepted[0].contains("222222222222") && accepted[1].contains("333333333333"), "{asked:?}");
    assert!(asked.iter().all(|body| !body.contains("Group") && !body.contains("Remove")), "{asked:?}");
}

#[tokio::test]
async fn another_failure_than_a_bad_item_is_not_taken_for_one() {
    let (clients, _) = replay(vec![ec2_error("UnauthorizedOperation", "You are not authorized")]).await;
    let permissions = vec![LaunchPermission::Account(account("222222222222"))];
    let error =
        clients.permission_writer().apply(&image(), &ImageStep::OpenImage { permissions }).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Denied);
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
    let reader = clients.organization_reader(Duration::from_secs(60)).kept_for_times(u32::MAX);
    let read = reader.read(Scope::Accounts).await.unwrap().organization.unwrap();
    let active: Vec<bool> = read.accounts.values().map(|account| account.active).collect();
    assert_eq!(active, [true, false, false]);
    let again = reader.read(Scope::Accounts).await.unwrap();
    assert!(again.is_kept && requests.bodies().len() == 3, "what was read is kept");
}

#[tokio::test]
async fn that_there_is_no_organization_is_not_kept() {
    let none = r#"{"__type":"AWSOrganizationsNotInUseException","message":"Your account is not a member of an organization."}"#;
    let (clients, requests) = replay(vec![json(400, none), json(400, none)]).await;
    let reader = clients.organization_reader(Duration::from_secs(60));
    for _ in 0..2 {
        assert!(reader.read(Scope::Accounts).await.unwrap().organization.is_none());
    }
    assert_eq!(requests.bodies().len(), 2);
}

/// Source: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
#[tokio::test]
async fn a_member_without_a_bus_is_recorded_and_the_others_are_told() {
    let body = r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"AccessDeniedException","ErrorMessage":"no"}]}"#;
    let (clients, requests) = replay(vec![json(200, body)]).await;
    let addresses = Addresses {
        hub_bus: "ami-share".to_owned(),
        member_bus: "ami-share".to_owned(),
        topic: "arn:aws:sns:us-east-1:111122223333:ami-share-notices".to_owned(),
        region: "us-east-1".to_owned(),
        partition: "aws".to_owned(),
    };
    let told = notice::failed(image().as_str(), "us-east-1", "execution", "cause");
    let notices = [(account("222222222222"), told.clone()), (account("333333333333"), told)];
    let deliveries = clients.notice_sender(addresses).tell_members(&notices).await.unwrap();
    assert_eq!(deliveries.delivered, [account("222222222222")]);
    assert_eq!(deliveries.without_bus, [account("333333333333")]);
    assert!(requests.bodies()[0].contains("arn:aws:events:us-east-1:222222222222:event-bus/ami-share"));
}
