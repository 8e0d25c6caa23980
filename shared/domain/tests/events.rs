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

use ami_share_domain::image_request::{Given, ImageRequest};
use ami_share_domain::key_request::KeyRequest;
use ami_share_domain::look::Look;
use ami_share_domain::share::{Resolved, Share};
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
    // What was refused stands beside the share then.
    assert_eq!(given.share, Share { refused: Vec::new(), ..request.share.clone() });
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

/// What the review workflow hands to `review-shares`, and from its answer to the share workflow, is made by the
/// workflow, not by code of ours.
#[test]
fn the_review_workflow_hands_on_what_its_examples_say() {
    let states = &read("workflows/review.asl.json")["States"];
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().map(|name| name.trim_end_matches(".$").to_owned()).collect()
    };
    let page = event("review-shares-page.json");
    for (state, example) in [("ComparePage", &page), ("WriteReport", &event("review-shares-report.json"))] {
        let payload = &states[state]["Parameters"]["Payload"]["input"];
        assert_eq!(payload["action"], example["action"], "{state}");
        assert_eq!(names(payload), names(example), "{state}");
        assert_eq!(names(&payload["review"]), names(&example["review"]), "{state}");
    }
    let input =
        &states["LookAtEachThatDiffers"]["ItemProcessor"]["States"]["LookAtImage"]["Parameters"]["Input"];
    let mut handed_on = names(input);
    assert!(handed_on.remove("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"));
    let differing = &page["state"]["differing"][0];
    assert_eq!(handed_on, names(differing));
    let Look { image, asked, adopt, organization_changed_at, .. } =
        Look::from_event(differing, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((image.as_str(), asked.event.as_str()), (IMAGE, page["state"]["review_id"].as_str().unwrap()));
    assert!(!adopt && organization_changed_at.is_none());
}

/// By that its log lines are found; `shared/lambda` takes it off the document that is the step's own.
#[test]
fn each_step_of_a_workflow_that_invokes_a_function_says_which_execution_asks() {
    fn payloads(value: &Value) -> Vec<&Value> {
        let own = value.get("Parameters").filter(|parameters| parameters.get("FunctionName").is_some());
        let inner: Vec<&Value> = match value {
            Value::Object(fields) => fields.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        own.map(|parameters| &parameters["Payload"])
            .into_iter()
            .chain(inner.into_iter().flat_map(payloads))
            .collect()
    }
    for (workflow, steps) in [("share", 7), ("review", 3)] {
        let workflow = read(&format!("workflows/{workflow}.asl.json"));
        let payloads = payloads(&workflow);
        assert_eq!(payloads.len(), steps);
        for payload in payloads {
            assert_eq!(payload["execution.$"], "$$.Execution.Id");
            let names: Vec<&str> =
                payload.as_object().unwrap().keys().map(|name| name.trim_end_matches(".$")).collect();
            assert_eq!(names, ["execution", "input"]);
        }
    }
}

#[test]
fn an_image_that_can_be_launched_no_more_is_looked_at() {
    let seen = look(&event("ami-state-change-disabled.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-11-22T14:20:17Z".to_owned()));
    let seen = look(&event("ami-state-change-deregistered.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-11-22T15:02:36Z".to_owned()));
}

#[test]
fn who_changed_permissions_by_hand_is_known_and_asks_for_nothing() {
    let change = event("cloudtrail-modify-image-attribute.json");
    let Look { image, asked, changed_by, .. } = Look::from_event(&change, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((image.as_str(), asked.by), (IMAGE, None));
    let by = "arn:aws:sts::111122223333:assumed-role/account-administrator/jane@example.com";
    assert_eq!(changed_by.as_deref(), Some(by));
}

#[test]
fn an_appointment_is_a_look_at_the_end_of_the_share() {
    let appointment = event("look-at-image-not-before.json");
    let look = Look::from_event(&appointment, Timestamp::UNIX_EPOCH).unwrap();
    let share = &event("schedule-expiry.json")["share"];
    assert_eq!(share["image"]["id"], look.image.as_str());
    assert_eq!(share["until"], look.now(Timestamp::UNIX_EPOCH).to_string());
    assert_eq!(share, &event("share-image.json")["share"]);
}

#[test]
fn the_documents_of_a_withdrawal_tell_of_a_later_intent_that_lacks_an_account() {
    let (item, given) = (event("extend-key-policy-retract.json"), event("report-usage.json"));
    assert_eq!(again::<KeyRequest>(&item), item);
    assert_eq!(again::<Given>(&given), given);
    let share = &given["share"];
    assert_eq!((&item["key"], &item["image_id"]), (&given["retract"][0], &share["image"]["id"]));
    for name in ["intent", "targets", "kept", "asked", "dry_run"] {
        assert_eq!(item[name], share[name], "{name}");
    }
    let before = Given::deserialize(&event("notify-targets.json")).unwrap();
    let given = Given::deserialize(&given).unwrap();
    assert!(given.share.intent > before.share.intent);
    assert!(
        given.withdrawn.iter().all(|target| before.shared.contains(target) && !given.share.wants(target))
    );
    assert_eq!(given.retracted.iter().map(|key| key.key.clone()).collect::<Vec<_>>(), given.retract);
    assert_eq!(given.usage_report.unwrap().accounts[0].as_str(), given.withdrawn[0]);
}

#[test]
fn the_workflow_hands_extend_key_policy_the_same_to_retract_as_to_extend() {
    let states = &read("workflows/share.asl.json")["States"];
    let selector = |state: &str| {
        let mut selector = states[state]["ItemSelector"].clone();
        (selector["action"].take(), selector)
    };
    let (extend, retract) = (selector("ExtendKeyPolicies"), selector("RetractKeyPolicies"));
    assert_eq!(extend.1, retract.1);
    assert_eq!(extend.0, event("extend-key-policy.json")["action"]);
    assert_eq!(retract.0, event("extend-key-policy-retract.json")["action"]);
}
