//! Transactions and batches of the ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_aws::error::{AwsError, Fault};
use ami_share_domain::image::ledger::ShareRow;
use ami_share_domain::notify::notification::{Conclusion, ReportedUnmanaged};
use ami_share_domain::targets::target::KeyPrincipal;
use jiff::Timestamp;
use serde_json::Value;

use crate::lease::{LONG, SHORT, granted, held_by_another, lease};
use crate::replay::replay;
use crate::{Recorded, account, image, json, key};

/// What DynamoDB answers to a transaction that it cancels.
fn cancelled(reasons: [&str; 2]) -> Recorded {
    let [first, second] = reasons.map(|code| format!(r#"{{"Code":"{code}"}}"#));
    let of = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    json(
        400,
        &format!(
            r#"{{"__type":"{of}","Message":"Transaction cancelled","CancellationReasons":[{first},{second}]}}"#
        ),
    )
}

async fn releases(reasons: [&str; 2]) -> Result<bool, AwsError> {
    let (clients, _) = replay(vec![cancelled(reasons)]).await;
    let pending_revocation = BTreeSet::from([KeyPrincipal::Account(account("222222222222"))]);
    clients.ledger_writer("ledger").release_principals(&key(), &image(), 1, &pending_revocation).await
}

#[tokio::test]
async fn a_failed_condition_is_an_answer_and_not_an_error() {
    assert!(!releases(["ConditionalCheckFailed", "None"]).await.unwrap());
    assert!(!releases(["ConditionalCheckFailed", "TransactionConflict"]).await.unwrap());
}

#[tokio::test]
async fn a_transaction_that_met_another_one_is_not_a_lost_intent_and_is_tried_again() {
    for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
        let error = releases(["None", code]).await.unwrap_err();
        assert!(matches!(error, AwsError::Busy(_)), "{code}: {error}");
    }
}

#[tokio::test]
async fn a_transaction_that_dynamodb_rejects_is_an_error_and_never_the_lease_of_another_writer() {
    for reasons in [["None", "ValidationError"], ["TransactionConflict", "ItemCollectionSizeLimitExceeded"]] {
        let error = releases(reasons).await.unwrap_err();
        assert!(matches!(error, AwsError::Call { .. }), "{reasons:?}: {error}");
        assert!(!error.fault().is_retryable(), "{reasons:?}: {error}");
    }
}

/// The row of a share.
fn row(target: &str) -> ShareRow {
    let row = format!(r#"{{"target":"{target}","outcome":"shared","since":"2026-07-01T09:20:08Z"}}"#);
    serde_json::from_str(&row).unwrap()
}

/// What DynamoDB answers to a batch when it leaves the row of `target` unprocessed. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
fn left(target: &str) -> Recorded {
    let item = format!(r#"{{"pk":{{"S":"IMAGE#{}"}},"sk":{{"S":"SHARE#{target}"}}}}"#, image());
    json(200, &format!(r#"{{"UnprocessedItems":{{"ledger":[{{"PutRequest":{{"Item":{item}}}}}]}}}}"#))
}

#[tokio::test]
async fn only_the_unprocessed_items_of_a_batch_are_written_again() {
    let answers = vec![left("333333333333"), json(200, r#"{"UnprocessedItems":{}}"#)];
    let (written, sent) = write(&["222222222222", "333333333333"], LONG, answers).await;
    written.unwrap();
    assert!(sent[0].contains("222222222222") && sent[0].contains("333333333333"), "{sent:?}");
    assert!(!sent[1].contains("222222222222") && sent[1].contains("333333333333"), "{sent:?}");
}

#[tokio::test]
async fn a_writer_that_loses_its_lease_between_two_batches_writes_no_more() {
    let targets: Vec<String> = (1..=26).map(|number| format!("{number:012}")).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let first = json(200, r#"{"UnprocessedItems":{}}"#);
    let (written, sent) = write(&targets, SHORT, vec![granted(), first, held_by_another()]).await;
    assert!(matches!(written, Err(AwsError::Busy(_))), "{written:?}");
    assert!(sent[1].contains(targets[24]) && !sent[1].contains(targets[25]), "{sent:?}");
    assert_eq!(sent.len(), 3);
}

/// Writes rows of these targets under a lease of `duration`. Returns the requests after the one that acquired it.
async fn write(
    targets: &[&str],
    duration: Duration,
    answers: Vec<Recorded>,
) -> (Result<(), AwsError>, Vec<String>) {
    let (clients, requests) = replay([vec![granted()], answers].concat()).await;
    let lease = lease(&clients, duration).await;
    let rows: Vec<ShareRow> = targets.iter().copied().map(row).collect();
    let written = clients.ledger_writer("ledger").write_shares(&image(), &rows, &[], &lease).await;
    (written, requests.bodies().split_off(1))
}

#[tokio::test]
async fn a_batch_that_the_table_never_accepts_fully_is_a_retryable_error() {
    let (written, _) = write(&["222222222222"], LONG, vec![left("222222222222"); 5]).await;
    let error = written.unwrap_err();
    assert_eq!(error.fault(), Fault::Transient);
    assert_eq!(
        error.to_string(),
        "dynamodb:BatchWriteItem of ami-0abcdef1234567890 is unfinished: \
         DynamoDB left 1 rows unwritten in each of several attempts"
    );
}

#[tokio::test]
async fn each_change_of_the_notified_row_is_one_write() {
    let (clients, requests) = replay(vec![json(200, "{}"); 5]).await;
    let writer = clients.ledger_writer("ledger");
    let (b, c) = ([account("222222222222")], [account("333333333333")]);
    writer.add_notified(&image(), &b, &c).await.unwrap();
    writer.add_notified(&image(), &b, &[]).await.unwrap();
    writer.forget_notified(&image(), &[b, c].concat()).await.unwrap();
    writer.forget_notified(&image(), &[]).await.unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    let grants = BTreeSet::from(["ami-1 to 999999999999".to_owned()]);
    let conclusion = Conclusion {
        warned: Some(at(30)),
        unmanaged: Some(ReportedUnmanaged { grants, at: at(10) }),
        status: Some("shared".to_owned()),
    };
    writer.conclude(&image(), &conclusion, at(20)).await.unwrap();
    let nothing = Some(ReportedUnmanaged { grants: BTreeSet::new(), at: at(10) });
    let conclusion = Conclusion { unmanaged: nothing, ..Conclusion::default() };
    writer.conclude(&image(), &conclusion, at(20)).await.unwrap();
    let sent: Vec<Value> = requests.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let expressions: Vec<&str> = sent.iter().map(|body| body["UpdateExpression"].as_str().unwrap()).collect();
    assert_eq!(
        expressions,
        [
            "ADD #delivered :delivered, #without_bus :without_bus",
            "ADD #delivered :delivered",
            "DELETE #delivered :delivered, #without_bus :without_bus",
            "REMOVE #warning SET #outcome_at = :outcome_at, #status = :status, #at = :at, #warned = :warned, \
             #unmanaged_reported_at = :unmanaged_reported_at, #unmanaged = :unmanaged",
            "REMOVE #unmanaged SET #outcome_at = :outcome_at, #unmanaged_reported_at = :unmanaged_reported_at",
        ]
    );
    assert_eq!(sent[3]["ExpressionAttributeNames"]["#at"], "at");
    assert_eq!(sent[3]["ExpressionAttributeValues"][":at"]["S"], "1970-01-01T00:00:20Z");
    assert_eq!(sent[3]["ExpressionAttributeValues"][":unmanaged"]["SS"][0], "ami-1 to 999999999999");
}
