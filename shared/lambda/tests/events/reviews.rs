//! Events for `review-shares`.

use ami_share_lambda::events::ReviewEvent;
use ami_share_testkit::ids::id;
use serde_json::{Value, json};

use crate::{ADMINISTRATOR, IMAGE, example, trigger};

#[test]
fn the_request_after_an_out_of_band_change_names_its_principal() {
    let event = example("cloudtrail-put-key-policy.json");
    let Ok(ReviewEvent::KeyPolicyChanged { key: _, change }) = ReviewEvent::read(&event) else {
        panic!("{event}")
    };
    let input = serde_json::to_value(change.request(id(IMAGE))).unwrap();
    let expected = json!({
        "image_id": IMAGE, "id": event["id"], "time": event["time"], "changed_by": ADMINISTRATOR,
    });
    assert_eq!(input, expected);
    let trigger = trigger(&input).unwrap();
    assert_eq!(trigger.image.as_str(), IMAGE);
    assert_eq!(
        (trigger.triggered_by.event.as_str(), trigger.triggered_by.principal),
        (event["id"].as_str().unwrap(), None)
    );
    assert_eq!(trigger.changed_by.as_deref(), Some(ADMINISTRATOR));
    assert_eq!(trigger.triggered_by.at, id("2026-11-22T13:41:18Z"));
}

#[test]
fn a_key_is_named_by_the_arn_of_the_resource_or_of_the_request() {
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let mut event = example("cloudtrail-put-key-policy.json");
    event["detail"]["resources"] = json!(null);
    let error = ReviewEvent::read(&event).unwrap_err().to_string();
    assert!(error.ends_with("it has no ARN of a key"), "a bare id does not say in which account: {error}");
    event["detail"]["requestParameters"]["keyId"] = json!(arn);
    let read = ReviewEvent::read(&event);
    assert!(
        matches!(&read, Ok(ReviewEvent::KeyPolicyChanged { key, .. }) if key.as_str() == arn),
        "{read:?}"
    );
}

#[test]
fn an_event_that_lacks_what_it_is_about_is_refused() {
    let with = |file: &str, pointer: &str, value: Value| {
        let mut event = example(file);
        *event.pointer_mut(pointer).unwrap() = value;
        ReviewEvent::read(&event).unwrap_err().to_string()
    };
    let snapshot = with(
        "cloudtrail-modify-snapshot-attribute.json",
        "/detail/requestParameters",
        json!({ "attributeType": "CREATE_VOLUME_PERMISSION" }),
    );
    assert!(snapshot.ends_with("its request names no snapshot"), "{snapshot}");
    let execution = with("step-functions-review-failed.json", "/detail/executionArn", Value::Null);
    assert!(execution.ends_with("it names no execution"), "{execution}");
    let call = with("cloudtrail-put-key-policy.json", "/detail/eventName", json!("CreateKey"));
    assert!(
        call.ends_with("got detail-type `AWS API Call via CloudTrail`: the call is `CreateKey`"),
        "{call}"
    );
}
