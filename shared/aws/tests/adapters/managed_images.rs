//! Which images the ledger manages.

use ami_share_aws::error::{AwsError, Fault};
use ami_share_domain::ids::ImageId;

use crate::json;
use crate::replay::{Recorded, replay};

const ONE: &str = "ami-00000000000000001";
const TWO: &str = "ami-00000000000000002";

fn images(count: usize) -> Vec<ImageId> {
    (1..=count).map(|number| format!("ami-{number:017x}").parse().unwrap()).collect()
}

fn answer(managed: &[&str], known: &[&str], left: &str) -> Recorded {
    let managed =
        managed.iter().map(|id| format!(r#"{{"pk":{{"S":"IMAGE#{id}"}},"managed":{{"S":"yes"}}}}"#));
    let known = known.iter().map(|id| format!(r#"{{"pk":{{"S":"IMAGE#{id}"}}}}"#));
    let items: Vec<String> = managed.chain(known).collect();
    let left = match left {
        "" => "{}".to_owned(),
        id => format!(r#"{{"ledger":{{"Keys":[{{"pk":{{"S":"IMAGE#{id}"}},"sk":{{"S":"INTENT"}}}}]}}}}"#),
    };
    json(200, &format!(r#"{{"Responses":{{"ledger":[{}]}},"UnprocessedKeys":{left}}}"#, items.join(",")))
}

/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
#[tokio::test]
async fn unprocessed_batch_keys_are_requested_again_and_an_intent_outside_the_index_is_ignored() {
    let (clients, requests) = replay(vec![answer(&[ONE], &[], TWO), answer(&[], &[TWO], "")]).await;
    let managed = clients.ledger_reader("ledger").managed_among(&images(2)).await.unwrap();
    assert_eq!(managed.iter().map(ImageId::as_str).collect::<Vec<_>>(), [ONE]);
    let sent = requests.bodies();
    assert!(sent[0].contains(ONE) && sent[0].contains(TWO), "{sent:?}");
    assert!(!sent[1].contains(ONE) && sent[1].contains(TWO), "{sent:?}");
}

#[tokio::test]
async fn more_images_than_one_call_accepts_are_requested_in_several_calls() {
    let (clients, requests) = replay(vec![answer(&[], &[], ""), answer(&[], &[], "")]).await;
    clients.ledger_reader("ledger").managed_among(&images(101)).await.unwrap();
    let counts: Vec<usize> = requests.bodies().iter().map(|body| body.matches("INTENT").count()).collect();
    assert_eq!(counts, [100, 1]);
}

#[tokio::test]
async fn a_table_that_never_answers_all_is_busy() {
    let (clients, _) = replay((0..5).map(|_| answer(&[], &[], TWO)).collect()).await;
    let error = clients.ledger_reader("ledger").managed_among(&images(2)).await.unwrap_err();
    assert!(matches!(error, AwsError::Busy(_)) && error.fault() == Fault::Transient, "{error}");
}
