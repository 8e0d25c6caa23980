//! The examples in `events/`: each event of AWS becomes the right trigger, and the documents between the steps have
//! exactly the fields that the steps read and write.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example that cannot be read should stop the test where it is read"
)]

use std::collections::BTreeSet;
use std::path::Path;

use ami_share_domain::image::desired::{Resolved, Share};
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::key::request::KeyRequest;
use ami_share_domain::trigger::Trigger;
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

/// The image, the triggering principal and the time of an event; the time is in 1970 if the event has none.
fn trigger(event: &Value) -> (String, Option<String>, String) {
    let Trigger { image, triggered_by, .. } = Trigger::from_event(event, Timestamp::UNIX_EPOCH).unwrap();
    (image.to_string(), triggered_by.principal, triggered_by.at.to_string())
}

/// Reads a document as `T` and writes it again.
fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(T::deserialize(document).unwrap()).unwrap()
}

#[test]
fn an_image_that_becomes_available_triggers_a_reconciliation() {
    let seen = trigger(&event("ami-state-change-available.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:14:52Z".to_owned()));
}

#[test]
fn a_tag_change_of_an_image_triggers_a_reconciliation() {
    let seen = trigger(&event("tag-change-image.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:20:03Z".to_owned()));
    // No rule matches this event. If it arrives nevertheless, it is a trigger like any other.
    let seen = trigger(&event("tag-change-status-only.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-07-01T09:20:11Z".to_owned()));
}

#[test]
fn a_created_image_triggers_a_reconciliation_and_the_principal_that_tagged_it_is_known() {
    let role = Some("arn:aws:sts::111122223333:assumed-role/golden-image-builder/image-pipeline".to_owned());
    for (file, image, by, at) in [
        ("cloudtrail-create-image.json", IMAGE, role, "2026-07-01T09:10:31Z"),
        ("cloudtrail-copy-image.json", "ami-0fedcba9876543210", None, "2026-07-01T10:02:44Z"),
        ("cloudtrail-register-image.json", "ami-00aa11bb22cc33dd4", None, "2026-07-01T11:30:07Z"),
    ] {
        assert_eq!(trigger(&event(file)), (image.to_owned(), by, at.to_owned()), "{file}");
    }
}

#[test]
fn a_manually_started_reconciliation_needs_only_the_image_id() {
    let seen = trigger(&event("reconcile-image.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "1970-01-01T00:00:00Z".to_owned()));
}

#[test]
fn a_failed_execution_carries_the_event_that_started_it() {
    let failed = event("step-functions-execution-failed.json");
    let input: Value = serde_json::from_str(failed["detail"]["input"].as_str().unwrap()).unwrap();
    assert_eq!(input, event("tag-change-image.json"));
    assert_eq!(trigger(&input).0, IMAGE);
}

#[test]
fn the_documents_between_the_steps_read_back_as_they_were_written() {
    let request = event("extend-key-policy.json");
    assert_eq!(again::<KeyRequest>(&request), request);
    let result = event("notify-targets.json");
    assert_eq!(again::<ShareResult>(&result), result);
    // The output of resolve-share, to which the Map state adds the keys' outcomes.
    let request = event("share-image.json");
    let mut written = again::<Resolved>(&request);
    written["keys"] = again::<ImageRequest>(&request)["keys"].clone();
    assert_eq!(written, request);
}

#[test]
fn the_example_documents_describe_one_share() {
    let request = event("share-image.json");
    let share = &request["share"];
    let item = event("extend-key-policy.json");
    assert_eq!(item["key"], share["keys"][0]);
    assert_eq!(item["image_id"], share["image"]["id"]);
    assert_eq!(item["targets"], share["targets"]);
    assert_eq!(item["dry_run"], share["dry_run"]);

    let result = ShareResult::deserialize(&event("notify-targets.json")).unwrap();
    let request = ImageRequest::deserialize(&request).unwrap();
    let (granted, excluded) = request.granted();
    // The result has the refusals beside the share.
    assert_eq!(result.share, Share { refused: Vec::new(), ..request.share.clone() });
    assert_eq!(result.shared, granted.iter().map(|target| target.name()).collect::<Vec<_>>());
    assert_eq!(result.refused, [request.share.refused.as_slice(), excluded.as_slice()].concat());
}

/// No Rust type checks what the Map state passes to `extend-key-policy`: the workflow builds it.
#[test]
fn the_workflow_passes_extend_key_policy_the_fields_of_its_example() {
    let workflow = read("workflows/share.asl.json");
    let selector = workflow["States"]["ExtendKeyPolicies"]["ItemSelector"].as_object().unwrap();
    let passed: BTreeSet<&str> = selector.keys().map(|name| name.trim_end_matches(".$")).collect();
    let item = event("extend-key-policy.json");
    let shown: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(passed, shown);
    assert_eq!(selector["targets.$"], json!("$.share.targets"));
}

/// No Rust type checks what the review workflow passes to `review-shares` and from its answer to the share workflow:
/// the workflow builds it.
#[test]
fn the_review_workflow_passes_on_the_fields_of_its_examples() {
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
    let input = &states["ReconcileEachDifference"]["ItemProcessor"]["States"]["ReconcileImage"]["Parameters"]
        ["Input"];
    let mut passed_on = names(input);
    assert!(passed_on.remove("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"));
    let differing = &page["state"]["differing"][0];
    assert_eq!(passed_on, names(differing));
    let Trigger { image, triggered_by, adopt, organization_changed_at, .. } =
        Trigger::from_event(differing, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        (image.as_str(), triggered_by.event.as_str()),
        (IMAGE, page["state"]["review_id"].as_str().unwrap())
    );
    assert!(!adopt && organization_changed_at.is_none());
}

/// The log lines name the execution; `shared/lambda` separates its id from the step's own document.
#[test]
fn each_workflow_step_that_invokes_a_function_passes_its_execution_id() {
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
fn a_disabled_or_deregistered_image_triggers_a_reconciliation() {
    let seen = trigger(&event("ami-state-change-disabled.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-11-22T14:20:17Z".to_owned()));
    let seen = trigger(&event("ami-state-change-deregistered.json"));
    assert_eq!(seen, (IMAGE.to_owned(), None, "2026-11-22T15:02:36Z".to_owned()));
}

#[test]
fn an_out_of_band_change_event_names_its_principal_and_no_triggering_principal() {
    let change = event("cloudtrail-modify-image-attribute.json");
    let Trigger { image, triggered_by, changed_by, .. } =
        Trigger::from_event(&change, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((image.as_str(), triggered_by.principal), (IMAGE, None));
    let by = "arn:aws:sts::111122223333:assumed-role/account-administrator/jane@example.com";
    assert_eq!(changed_by.as_deref(), Some(by));
}

#[test]
fn an_expiry_schedule_starts_a_reconciliation_at_the_end_of_the_share() {
    let schedule = event("reconcile-image-not-before.json");
    let trigger = Trigger::from_event(&schedule, Timestamp::UNIX_EPOCH).unwrap();
    let share = &event("schedule-expiry.json")["share"];
    assert_eq!(share["image"]["id"], trigger.image.as_str());
    assert_eq!(share["until"], trigger.now(Timestamp::UNIX_EPOCH).to_string());
    assert_eq!(share, &event("share-image.json")["share"]);
}

#[test]
fn the_example_documents_of_a_revocation_have_a_later_intent_that_lacks_an_account() {
    let (item, result) = (event("extend-key-policy-revoke.json"), event("report-usage.json"));
    assert_eq!(again::<KeyRequest>(&item), item);
    assert_eq!(again::<ShareResult>(&result), result);
    let share = &result["share"];
    assert_eq!((&item["key"], &item["image_id"]), (&result["keys_to_revoke"][0], &share["image"]["id"]));
    for name in ["intent", "targets", "retained", "triggered_by", "dry_run"] {
        assert_eq!(item[name], share[name], "{name}");
    }
    let before = ShareResult::deserialize(&event("notify-targets.json")).unwrap();
    let result = ShareResult::deserialize(&result).unwrap();
    assert!(result.share.intent > before.share.intent);
    assert!(
        result.revoked.iter().all(|target| before.shared.contains(target) && !result.share.includes(target))
    );
    assert_eq!(
        result.revoked_keys.iter().map(|key| key.key.clone()).collect::<Vec<_>>(),
        result.keys_to_revoke
    );
    assert_eq!(result.usage_report.unwrap().accounts[0].as_str(), result.revoked[0]);
}

#[test]
fn the_workflow_passes_extend_key_policy_the_same_fields_to_revoke_as_to_grant() {
    let states = &read("workflows/share.asl.json")["States"];
    let selector = |state: &str| {
        let mut selector = states[state]["ItemSelector"].clone();
        (selector["action"].take(), selector)
    };
    let (extend, revoke) = (selector("ExtendKeyPolicies"), selector("RevokeKeyPolicies"));
    assert_eq!(extend.1, revoke.1);
    assert_eq!(extend.0, event("extend-key-policy.json")["action"]);
    assert_eq!(revoke.0, event("extend-key-policy-revoke.json")["action"]);
}
