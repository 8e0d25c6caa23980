//! Counting calls: each attempt of each service, and those that were throttled.

use std::collections::BTreeMap;

use ami_share_aws::calls::Tally;

use crate::replay::{replay, replay_with_attempts, silence};
use crate::{Recorded, ec2_error, image, key};

fn tally(attempts: usize, throttled: usize) -> Tally {
    Tally { attempts, throttled }
}

/// Sources: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>,
/// <https://docs.aws.amazon.com/kms/latest/developerguide/throttling.html>
#[tokio::test]
async fn every_attempt_is_counted_for_its_service_and_throttled_ones_as_such() {
    let throttled = ec2_error("RequestLimitExceeded", "Request limit exceeded.");
    let gone = ec2_error("InvalidAMIID.NotFound", "The image id does not exist");
    let (clients, requests) = replay_with_attempts(3, vec![throttled.clone(), throttled, gone]).await;
    assert!(clients.image_reader().image(&image()).await.unwrap().is_none());
    assert_eq!(requests.bodies().len(), 3);
    assert_eq!(clients.calls().take(), BTreeMap::from([("EC2".to_owned(), tally(3, 2))]));
    assert!(clients.calls().take().is_empty(), "counting starts again from zero");
}

#[tokio::test]
async fn adaptive_clients_count_for_the_same_process() {
    let denied = r#"{"__type":"AccessDeniedException","message":"no"}"#;
    let (clients, _) = replay(vec![Recorded(400, denied.to_owned())]).await;
    clients.adaptive().key_reader().policy(&key()).await.unwrap_err();
    assert_eq!(clients.calls().take(), BTreeMap::from([("KMS".to_owned(), tally(1, 0))]));
}

/// A function that reads several things at once cancels the other calls when one fails.
#[tokio::test]
async fn a_call_that_is_cancelled_in_flight_is_counted() {
    let (clients, called) = silence().await;
    let (reader, key) = (clients.key_reader(), key());
    tokio::select! {
        answer = reader.policy(&key) => panic!("the server sends no answer, and still: {answer:?}"),
        _ = called => {}
    }
    assert_eq!(clients.calls().take(), BTreeMap::from([("KMS".to_owned(), tally(1, 0))]));
}
