//! The files in `events/`: each event of AWS, and each document that starts a workflow, reads into the value that it
//! should, and every other document is rejected with an error that says what was expected.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example that cannot be read should stop the test where it is read"
)]

mod failed_executions;
mod reviews;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use ami_share_domain::trigger::{Cause, Trigger, TriggeredBy};
use ami_share_lambda::events::{FailedExecution, OutOfBandChange, ReviewEvent, TriggerEvent};
use ami_share_testkit::ids::{id, now};
use serde_json::Value;

const IMAGE: &str = "ami-0abcdef1234567890";
const BUILDER: &str = "arn:aws:sts::111122223333:assumed-role/golden-image-builder/image-pipeline";
const ADMINISTRATOR: &str = "arn:aws:sts::111122223333:assumed-role/account-administrator/jane@example.com";
const SELECTORS: &str = "222222222222 ou-ab12-cdef3456 tag:Stage=production 444455556666 999999999999";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> Value {
    let path = root().join("events").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn trigger(event: &Value) -> Option<Trigger> {
    TriggerEvent::read(event, now()).ok().map(|TriggerEvent(trigger)| trigger)
}

fn expected(image: &str, cause: Cause, event: &str, at: &str) -> Trigger {
    Trigger {
        image: id(image),
        cause,
        triggered_by: TriggeredBy { principal: None, event: event.to_owned(), at: id(at) },
        dry_run: false,
        not_before: None,
        changed_by: None,
        adopt: false,
        organization_changed_at: None,
    }
}

fn state(state: &str) -> Cause {
    Cause::ImageState { state: state.to_owned() }
}

fn tags(version: u64, more: &[(&str, &str)]) -> Cause {
    let tags = [
        ("Name", "golden-2026-07"),
        ("ami-share:copy", "allowed"),
        ("ami-share:until", "2026-12-31"),
        ("ami-share:with", SELECTORS),
    ];
    let tags = tags.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Cause::TagsChanged { tags: tags.collect(), version: Some(version) }
}

fn call(name: &str, by: &str) -> Cause {
    Cause::ApiCall { name: name.to_owned(), by: Some(by.to_owned()) }
}

fn tag_change() -> Trigger {
    expected(IMAGE, tags(3, &[]), "bddcf1d6-0251-35a1-aab0-adc1fb47c11c", "2026-07-01T09:20:03Z")
}

/// The examples that start a reconciliation.
fn triggers() -> BTreeMap<&'static str, Trigger> {
    let created = expected(
        IMAGE,
        call("CreateImage", BUILDER),
        "6f87d04b-9f74-4f04-a780-7acf4b0a9b38",
        "2026-07-01T09:10:31Z",
    );
    let created_by = TriggeredBy { principal: Some(BUILDER.to_owned()), ..created.triggered_by.clone() };
    let modified = expected(
        IMAGE,
        call("ModifyImageAttribute", ADMINISTRATOR),
        "d5f3a2c1-6b7e-4980-8a1d-3c4b5e6f7081",
        "2026-11-22T13:37:05Z",
    );
    let requested = expected(IMAGE, Cause::Request, "", &now().to_string());
    let status = ("ami-share:status", "shared with 1 account, 1 OU until 2026-12-31 23:59 UTC");
    BTreeMap::from([
        (
            "ami-state-change-available.json",
            expected(
                IMAGE,
                state("available"),
                "9f07d1c4-51db-246b-1f3a-d8b8441bcdf0",
                "2026-07-01T09:14:52Z",
            ),
        ),
        (
            "ami-state-change-disabled.json",
            expected(
                IMAGE,
                state("disabled"),
                "21d0c2b4-7e5f-3a61-94c8-5b6e7f809a1b",
                "2026-11-22T14:20:17Z",
            ),
        ),
        (
            "ami-state-change-deregistered.json",
            expected(
                IMAGE,
                state("deregistered"),
                "7b8e6f5a-3c2d-1e0f-a9b8-c7d6e5f4a3b2",
                "2026-11-22T15:02:36Z",
            ),
        ),
        ("tag-change-image.json", tag_change()),
        (
            // No rule matches this one; it would be a trigger like any other.
            "tag-change-status-only.json",
            expected(
                IMAGE,
                tags(4, &[status]),
                "c71f0e52-7b1d-0f46-9d2a-52a4c5f0be7e",
                "2026-07-01T09:20:11Z",
            ),
        ),
        ("cloudtrail-create-image.json", Trigger { triggered_by: created_by, ..created }),
        (
            "cloudtrail-copy-image.json",
            expected(
                "ami-0fedcba9876543210",
                call("CopyImage", "arn:aws:iam::111122223333:user/alice"),
                "b1d5c2aa-3e61-4d0c-9a41-2b5d9f8e7c60",
                "2026-07-01T10:02:44Z",
            ),
        ),
        (
            "cloudtrail-register-image.json",
            expected(
                "ami-00aa11bb22cc33dd4",
                call("RegisterImage", BUILDER),
                "2c8e4f10-5d7a-4b93-8c16-7d9e0a1b2c3d",
                "2026-07-01T11:30:07Z",
            ),
        ),
        (
            "cloudtrail-modify-image-attribute.json",
            Trigger { changed_by: Some(ADMINISTRATOR.to_owned()), ..modified },
        ),
        ("reconcile-image.json", requested.clone()),
        (
            "reconcile-image-not-before.json",
            Trigger { not_before: Some(id("2026-12-31T23:59:59Z")), ..requested },
        ),
    ])
}

/// The examples that start a review, or what an out-of-band change makes necessary.
fn review_events() -> BTreeMap<&'static str, ReviewEvent> {
    let change = |event: &str| OutOfBandChange {
        event: event.to_owned(),
        at: Some(id("2026-11-22T13:41:18Z")),
        by: Some(ADMINISTRATOR.to_owned()),
    };
    BTreeMap::from([
        ("cloudtrail-move-account.json", ReviewEvent::OrganizationChanged),
        ("cloudtrail-account-joined.json", ReviewEvent::OrganizationChanged),
        (
            "cloudtrail-put-key-policy.json",
            ReviewEvent::KeyPolicyChanged {
                key: id("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
                change: change("0a7d1c52-3f64-4b8e-9a25-6c1f7e80d943"),
            },
        ),
        (
            "cloudtrail-modify-snapshot-attribute.json",
            ReviewEvent::SnapshotPermissionsChanged {
                snapshot: id("snap-0abcdef1234567890"),
                change: change("5c93be04-71da-4f2e-8d06-b2a94f1e7c38"),
            },
        ),
        (
            "step-functions-review-failed.json",
            ReviewEvent::ReviewFailed {
                execution: "arn:aws:states:eu-west-1:111122223333:execution:ami-share-review:nightly".to_owned(),
                cause: "ec2:DescribeImages of tagged images failed: You are not authorized to perform this operation. (UnauthorizedOperation) (AwsFailed)".to_owned(),
            },
        ),
    ])
}

/// The example of an execution of the share workflow that failed.
fn failed() -> (&'static str, FailedExecution) {
    let execution = "arn:aws:states:eu-west-1:111122223333:execution:ami-share-share:bddcf1d6-0251-35a1-aab0-adc1fb47c11c_5e1f0c7a-2b8d-4a63-9c5e-7f1d2a3b4c5d";
    let failed = FailedExecution {
        trigger: tag_change(),
        execution: execution.to_owned(),
        ended: id("2026-07-01T09:20:08.873Z"),
        cause: "ec2:ModifyImageAttribute of ami-0abcdef1234567890 failed: You are not authorized to perform this operation. User: arn:aws:sts::111122223333:assumed-role/ami-share-ShareImageFunctionRole-1A2B3C4D5E6F/ami-share-share-image is not authorized to perform: ec2:ModifyImageAttribute on resource: arn:aws:ec2:eu-west-1:111122223333:image/ami-0abcdef1234567890 with an explicit deny in a service control policy (UnauthorizedOperation) (AwsFailed)".to_owned(),
        region: Some("eu-west-1".to_owned()),
    };
    ("step-functions-execution-failed.json", failed)
}

/// What the steps of the workflows pass on: documents of our own.
const DOCUMENTS: [&str; 8] = [
    "extend-key-policy-revoke.json",
    "extend-key-policy.json",
    "notify-targets.json",
    "report-usage.json",
    "review-shares-page.json",
    "review-shares-report.json",
    "schedule-expiry.json",
    "share-image.json",
];

#[test]
fn each_example_reads_into_its_typed_value_and_no_reader_takes_the_event_of_another() {
    let (triggers, reviews, (failed_file, failed)) = (triggers(), review_events(), failed());
    let mut files = BTreeSet::new();
    for file in fs::read_dir(root().join("events")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".json") {
            continue;
        }
        let event = example(&name);
        // An `image_id` is enough for a request; of the documents, what is passed for one key has it, too.
        let is_for_one_key = name.starts_with("extend-key-policy");
        if !is_for_one_key {
            assert_eq!(trigger(&event).as_ref(), triggers.get(name.as_str()), "{name}");
        }
        let is_of_an_execution = name.starts_with("step-functions");
        if !is_of_an_execution {
            assert_eq!(ReviewEvent::read(&event).ok().as_ref(), reviews.get(name.as_str()), "{name}");
        }
        let execution = FailedExecution::read(&event, now());
        assert_eq!(execution.ok(), (name == failed_file).then(|| failed.clone()), "{name}");
        files.insert(name);
    }
    let review_failed = "step-functions-review-failed.json";
    assert_eq!(ReviewEvent::read(&example(review_failed)).as_ref(), Ok(&reviews[review_failed]));
    let known = triggers.keys().chain(reviews.keys()).chain([&failed_file]).chain(&DOCUMENTS);
    assert_eq!(files, known.map(|name| (*name).to_owned()).collect());
}

#[test]
fn a_foreign_event_is_rejected_with_what_was_expected_and_what_came() {
    let foreign = example("cloudtrail-put-key-policy.json");
    let error = TriggerEvent::read(&foreign, now()).unwrap_err().to_string();
    assert!(error.starts_with("the event names no image: expected `EC2 AMI State Change`"), "{error}");
    assert!(
        error.ends_with(
            "got detail-type `AWS API Call via CloudTrail`: neither its request nor its response names an image"
        ),
        "{error}"
    );
    let foreign = example("ami-state-change-available.json");
    let error = ReviewEvent::read(&foreign).unwrap_err().to_string();
    assert!(error.contains("expected an action, an event of AWS Organizations"), "{error}");
    assert!(error.contains("got detail-type `EC2 AMI State Change`"), "{error}");
    let error = FailedExecution::read(&foreign, now()).unwrap_err().to_string();
    assert!(error.contains("expected `Step Functions Execution Status Change`"), "{error}");
    assert!(error.contains("got detail-type `EC2 AMI State Change`"), "{error}");
}
