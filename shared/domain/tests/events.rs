//! The examples in `events/` of documents between the steps: they are what the steps read and write, field by field.
//!
//! AWS's events are read by `shared/lambda`, which tests them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example that cannot be read should stop the test where it is read"
)]

use std::collections::BTreeSet;
use std::path::Path;

use ami_share_domain::image::desired::Resolved;
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::key::request::KeyRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn event(name: &str) -> Value {
    read(&format!("events/{name}"))
}

/// Reads a document as `T`, and writes it again.
fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(T::deserialize(document).unwrap()).unwrap()
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
    assert_eq!(item["key"], share["desired"]["keys"][0]);
    assert_eq!(item["image_id"], share["desired"]["image"]["id"]);
    assert_eq!(item["targets"], share["desired"]["targets"]);
    assert_eq!(item["dry_run"], share["run"]["dry_run"]);

    let result = ShareResult::deserialize(&event("notify-targets.json")).unwrap();
    let request = ImageRequest::deserialize(&request).unwrap();
    let (granted, excluded) = request.granted();
    // The refusals are beside the share by then.
    let mut without_refusals = request.share.clone();
    without_refusals.desired.refused.clear();
    assert_eq!(result.share, without_refusals);
    assert_eq!(result.shared, granted.iter().map(|target| target.name()).collect::<Vec<_>>());
    assert_eq!(result.refused, [request.share.desired.refused.as_slice(), excluded.as_slice()].concat());
}

/// The workflow, not our code, makes what the Map state passes to `extend-key-policy`.
#[test]
fn the_workflow_passes_extend_key_policy_the_fields_of_its_example() {
    let workflow = read("workflows/share.asl.json");
    let selector = workflow["States"]["ExtendKeyPolicies"]["ItemSelector"].as_object().unwrap();
    let passed: BTreeSet<&str> = selector.keys().map(|name| name.trim_end_matches(".$")).collect();
    let item = event("extend-key-policy.json");
    let shown: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(passed, shown);
    assert_eq!(selector["targets.$"], json!("$.share.desired.targets"));
}

/// The workflow, not our code, makes what it passes to `review-shares`, and from the answer to the share workflow.
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
    let mut handed_on = names(input);
    assert!(handed_on.remove("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"));
    assert_eq!(handed_on, names(&page["state"]["differing"][0]));
}

/// Its log lines are found by it; `shared/lambda` removes it from the document that is the step's own.
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
fn the_expiry_is_scheduled_for_the_share_that_is_granted() {
    assert_eq!(event("schedule-expiry.json")["share"], event("share-image.json")["share"]);
}

#[test]
fn the_example_documents_of_a_revocation_have_a_later_intent_that_lacks_an_account() {
    let (item, result) = (event("extend-key-policy-revoke.json"), event("report-usage.json"));
    assert_eq!(again::<KeyRequest>(&item), item);
    assert_eq!(again::<ShareResult>(&result), result);
    let share = &result["share"];
    assert_eq!(
        (&item["key"], &item["image_id"]),
        (&result["keys_to_revoke"][0], &share["desired"]["image"]["id"])
    );
    for (part, names) in
        [("desired", ["targets", "retained"].as_slice()), ("run", &["intent", "triggered_by", "dry_run"])]
    {
        for name in names {
            assert_eq!(item[name], share[part][name], "{name}");
        }
    }
    let before = ShareResult::deserialize(&event("notify-targets.json")).unwrap();
    let result = ShareResult::deserialize(&result).unwrap();
    assert!(result.share.run.intent > before.share.run.intent);
    assert!(
        result
            .revoked
            .iter()
            .all(|target| before.shared.contains(target) && !result.share.desired.includes(target))
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
