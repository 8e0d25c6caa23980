//! Notifications to target accounts and to the hub: those that were notified are known even if others fail.

use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::ledger::leases::Lease;
use ami_share_aws::notifications::{Addresses, Deliveries, NotificationSender};
use ami_share_domain::ids::AccountId;
use ami_share_domain::notify::notification;
use ami_share_domain::notify::notification::Notification;

use crate::lease::{LONG, granted, lease};
use crate::replay::{Recorded, Requests, replay};
use crate::{account, image, json};

const B: &str = "222222222222";
const C: &str = "333333333333";
const D: &str = "444444444444";

/// A sender, and the lease of the image, which is the first request.
async fn sender(mut answers: Vec<Recorded>) -> (NotificationSender, Lease, Requests) {
    answers.insert(0, granted());
    let (clients, requests) = replay(answers).await;
    let lease = lease(&clients, LONG).await;
    let addresses = Addresses {
        hub_bus: "ami-share".to_owned(),
        target_bus: "ami-share".to_owned(),
        topic: "arn:aws:sns:us-east-1:111122223333:ami-share-notifications".to_owned(),
        region: "us-east-1".to_owned(),
        partition: "aws".to_owned(),
    };
    (clients.notification_sender(addresses), lease, requests)
}

fn notification() -> Notification {
    notification::failed(image().as_str(), "us-east-1", "execution", "cause")
}

async fn notify(answers: Vec<Recorded>, ids: &[&str]) -> (Deliveries, Result<(), AwsError>, Vec<String>) {
    let (sender, lease, requests) = sender(answers).await;
    let notifications: Vec<(AccountId, Notification)> =
        ids.iter().map(|id| (account(id), notification())).collect();
    let (deliveries, outcome) = sender.notify_target_accounts(&notifications, &lease).await;
    (deliveries, outcome, requests.bodies().split_off(1))
}

/// The results for the events of one call: accepted, or an error code. Source:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
fn verdicts(codes: &[Option<&str>]) -> Recorded {
    let entries = codes.iter().map(|code| match code {
        None => r#"{"EventId":"1"}"#.to_owned(),
        Some(code) => format!(r#"{{"ErrorCode":"{code}","ErrorMessage":"no"}}"#),
    });
    let failed = codes.iter().flatten().count();
    let entries: Vec<String> = entries.collect();
    json(200, &format!(r#"{{"FailedEntryCount":{failed},"Entries":[{}]}}"#, entries.join(",")))
}

const BUSY: Option<&str> = Some("ThrottlingException");

/// The messages of one call that were not accepted: number, code, and whether the sender is at fault.
/// Source: <https://docs.aws.amazon.com/sns/latest/api/API_BatchResultErrorEntry.html>
fn published(failed: &[(usize, &str, bool)]) -> Recorded {
    let failed = failed.iter().map(|(id, code, sender_fault)| {
        format!("<member><Id>{id}</Id><Code>{code}</Code><Message>no</Message><SenderFault>{sender_fault}</SenderFault></member>")
    });
    let failed: String = failed.collect();
    let result = format!("<PublishBatchResult><Failed>{failed}</Failed><Successful/></PublishBatchResult>");
    Recorded(200, format!("<PublishBatchResponse>{result}</PublishBatchResponse>"))
}

#[tokio::test]
async fn a_target_account_without_a_bus_is_recorded_and_the_others_are_notified() {
    let (deliveries, outcome, sent) =
        notify(vec![verdicts(&[None, Some("AccessDeniedException")])], &[B, C]).await;
    outcome.unwrap();
    assert_eq!((deliveries.delivered, deliveries.without_bus), (vec![account(B)], vec![account(C)]));
    assert!(sent[0].contains("arn:aws:events:us-east-1:222222222222:event-bus/ami-share"));
}

#[tokio::test]
async fn only_the_bus_that_fails_transiently_is_retried_in_place() {
    let (deliveries, outcome, sent) =
        notify(vec![verdicts(&[None, BUSY, None]), verdicts(&[None])], &[B, C, D]).await;
    outcome.unwrap();
    assert_eq!(deliveries.delivered, [B, C, D].map(account));
    assert!(sent[1].contains(C) && !sent[1].contains(B) && !sent[1].contains(D), "{sent:?}");
}

#[tokio::test]
async fn a_bus_that_keeps_failing_is_a_transient_error_and_hides_no_notified_account() {
    let first = verdicts(&[&[None, BUSY, Some("AccessDeniedException")], &[None; 7][..]].concat());
    let retried = || verdicts(&[Some("InternalFailure")]);
    let next = verdicts(&[None]);
    let ids = [&[B, C, D], &[B; 7][..], &["555555555555"]].concat();
    let (deliveries, outcome, sent) = notify(vec![first, retried(), retried(), next], &ids).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient);
    assert_eq!(
        error.to_string(),
        "events:PutEvents of the bus of 333333333333 is unfinished: no (InternalFailure)"
    );
    assert_eq!(deliveries.delivered.len(), 9);
    // The accounts of the next call are notified.
    assert_eq!(deliveries.delivered.last(), Some(&account("555555555555")));
    assert_eq!(deliveries.without_bus, [account(D)]);
    assert!(!deliveries.all().contains(&account(C)));
    assert_eq!(sent.len(), 4);
}

#[tokio::test]
async fn notified_accounts_are_known_although_the_service_fails_at_the_next_call() {
    let throttled = json(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
    let ids = [B; 11];
    let (deliveries, outcome, _) = notify(vec![verdicts(&[None; 10]), throttled], &ids).await;
    assert_eq!(outcome.unwrap_err().fault(), Fault::Throttled);
    assert_eq!(deliveries.delivered.len(), 10);
}

#[tokio::test]
async fn accepted_deliveries_are_kept_when_the_service_fails_at_the_retry() {
    let fails = || json(500, r#"{"__type":"InternalException","message":"oh"}"#);
    let (deliveries, outcome, _) = notify(vec![verdicts(&[None, BUSY]), fails(), fails()], &[B, C]).await;
    assert!(matches!(outcome, Err(AwsError::Unfinished { .. })));
    assert_eq!(deliveries.delivered, [account(B)]);
}

#[tokio::test]
async fn the_hubs_bus_and_topic_are_sent_again_what_they_rejected_transiently() {
    let answers = vec![
        verdicts(&[BUSY, None]),
        verdicts(&[None]),
        published(&[(1, "InternalError", false)]),
        published(&[]),
    ];
    let (sender, lease, requests) = sender(answers).await;
    let (notified, outcome) = sender.notify_hub(&[notification(), notification()], &lease).await;
    outcome.unwrap();
    assert_eq!(notified, 2);
    let counts: Vec<usize> = requests
        .bodies()
        .iter()
        .skip(1)
        .map(|body| body.matches("AMI%20Share%20Failed%3A").count())
        .collect();
    assert_eq!(counts, [0, 0, 2, 1], "an accepted message is not sent again");
}

#[tokio::test]
async fn a_topic_that_keeps_failing_is_a_transient_error_unless_the_message_is_at_fault() {
    for (code, sender_fault, fault) in [
        ("InternalError", false, Fault::Transient),
        ("KMSThrottling", true, Fault::Transient),
        ("InvalidParameter", true, Fault::Other),
    ] {
        let mut answers = vec![verdicts(&[None; 10]), published(&[]), verdicts(&[None])];
        answers.extend((0..3).map(|_| published(&[(0, code, sender_fault)])));
        let (sender, lease, _) = sender(answers).await;
        let (notified, outcome) = sender.notify_hub(&vec![notification(); 11], &lease).await;
        assert_eq!(notified, 10, "the notifications of the first call are sent");
        assert_eq!(outcome.unwrap_err().fault(), fault, "{code}");
    }
}

#[tokio::test]
async fn a_hubs_bus_that_rejects_permanently_is_a_permanent_error() {
    let refused = Some("NotAuthorizedForSourceException");
    let answers = vec![verdicts(&[BUSY, refused]), verdicts(&[BUSY]), verdicts(&[BUSY])];
    let (sender, lease, _) = sender(answers).await;
    let (notified, outcome) = sender.notify_hub(&[notification(), notification()], &lease).await;
    let error = outcome.unwrap_err();
    assert_eq!((notified, error.fault()), (0, Fault::Other));
    assert_eq!(
        error.to_string(),
        "events:PutEvents of ami-share returned a rejection: no (NotAuthorizedForSourceException)"
    );
}
