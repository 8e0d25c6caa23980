//! The examples in `events/`: AWS's events become the right look, and the documents between the steps
//! are what the steps read and write, field by field.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example that cannot be read should stop the test where it is read"
)]

use std::collections::BTreeSet;
use std::path::Path;

use ami_share_domain::look::Look;
use ami_share_domain::share::{Given, ImageRequest, KeyRequest, Resolved};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const IMAGE: &str = "ami-0abcdef1234567890";

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn event(name: &str) -> Value {
    read(&format!("events/{name}"))
}

/// Which image, who asked, and when; an event without a time happened in 1970.
fn look(event: &Value) -> (String, Option<String>, String) {
    let Look { image, asked, .. } = Look::from_event(event, Timestamp::UNIX_EPOCH).unwrap();
    (image.to_string(), asked.by, asked.at.to_string())
}

/// Reads a document as `T`, and writes it again.
fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(T::deserialize(document).unwrap()).unwrap()
}

#[test]
fn an_image_that_became_available_is_looked_at() {
    let seen = look(&event("ami-state-change-available.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:14:52Z".to_owned()));
}

#[test]
fn an_image_that_was_tagged_is_looked_at() {
    let seen = look(&event("tag-change-image.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:20:03Z".to_owned()));
    // No rule lets this one through; should it come all the same, it is a look like any other.
    let seen = look(&event("tag-change-status-only.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:20:11Z".to_owned()));
}

#[test]
fn an_image_that_was_made_is_looked_at_and_who_made_it_with_its_tags_is_known() {
    let role = Some("arn:aws:sts::111122223333:assumed-role/golden-image-builder/image-pipeline".to_owned());
    for (file, image, by, at) in [
        ("cloudtrail-create-image.json", IMAGE, role, "2026-07-01T09:10:31Z"),
        ("cloudtrail-copy-image.json", "ami-0fedcba9876543210", None, "2026-07-01T10:02:44Z"),
        ("cloudtrail-register-image.json", "ami-00aa11bb22cc33dd4", None, "2026-07-01T11:30:07Z"),
    ] {
        assert_eq!(look(&event(file)), (image.to_owned(), by, at.to_owned()), "{file}");
    }
}

#[test]
fn a_look_by_hand_needs_no_more_than_the_image() {
    let seen = look(&event("look-at-image.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "1970-01-01T00:00:00Z".to_owned()));
}

#[test]
fn a_failed_execution_carries_the_event_that_started_it() {
    let failed = event("step-functions-execution-failed.json");
    let input: Value = serde_json::from_str(failed["detail"]["input"].as_str().unwrap()).unwrap();
    assert_eq!(input, event("tag-change-image.json"));
    assert_eq!(look(&input).0, IMAGE);
}

#[test]
fn the_documents_between_the_steps_read_back_as_they_were_written() {
    let request = event("extend-key-policy.json");
    assert_eq!(again::<KeyRequest>(&request), request);
    let given = event("notify-targets.json");
    assert_eq!(again::<Given>(&given), given);
    // The output of resolve-share, to which the Map state adds the keys' outcomes.
    let request = event("share-image.json");
    let mut written = again::<Resolved>(&request);
    written["keys"] = again::<ImageRequest>(&request)["keys"].clone();
    assert_eq!(written, request);
}

#[test]
fn the_documents_tell_of_one_share() {
    let request = event("share-image.json");
    let share = &request["share"];
    let item = event("extend-key-policy.json");
    assert_eq!(item["key"], share["keys"][0]);
    assert_eq!(item["image_id"], share["image"]["id"]);
    assert_eq!(item["targets"], share["targets"]);
    assert_eq!(item["dry_run"], share["dry_run"]);

    let given = Given::deserialize(&event("notify-targets.json")).unwrap();
    let request = ImageRequest::deserialize(&request).unwrap();
    let (admitted, left_out) = request.admitted();
    assert_eq!(given.share, request.share);
    assert_eq!(given.shared, admitted.iter().map(|target| target.name()).collect::<Vec<_>>());
    assert_eq!(given.refused, [request.share.refused.as_slice(), left_out.as_slice()].concat());
}

/// What the Map state hands to `extend-key-policy` is made by the workflow, not by code of ours.
#[test]
fn the_workflow_hands_extend_key_policy_what_its_example_says() {
    let workflow = read("workflows/share.asl.json");
    let selector = workflow["States"]["ExtendKeyPolicies"]["ItemSelector"].as_object().unwrap();
    let made: BTreeSet<&str> = selector.keys().map(|name| name.trim_end_matches(".$")).collect();
    let item = event("extend-key-policy.json");
    let shown: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(made, shown);
    assert_eq!(selector["targets.$"], json!("$.share.targets"));
}
