//! What an earlier release wrote is read by this one, and what a later one writes, too.
//!
//! While a stack is updated its functions change one after the other, and an execution that runs goes on with a
//! document of the old ones; the ledger outlives them all. `earlier/` has a folder for each release with what it
//! wrote. Nothing in there is ever changed: a test that fails here means that an update would strand somebody.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a document that cannot be read should stop the test where it is read"
)]

use std::fs;
use std::path::{Path, PathBuf};

use ami_share_domain::appointments::Appointments;
use ami_share_domain::audit::AuditRow;
use ami_share_domain::ending::Ending;
use ami_share_domain::image_request::{Given, ImageRequest};
use ami_share_domain::key_request::KeyRequest;
use ami_share_domain::ledger::{Intent, ShareRow, TellRow};
use ami_share_domain::look::Look;
use ami_share_domain::share::Resolved;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The releases, the earliest first.
fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier");
    let mut releases: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    releases.sort();
    assert!(!releases.is_empty());
    releases
}

fn read(release: &Path, name: &str) -> Value {
    let path = release.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// How a document reads, as it is and with fields of a later release in every object of it; written out again.
type Reading = fn(&Value) -> Value;

fn again<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    let read =
        |document: &Value| T::deserialize(document).unwrap_or_else(|error| panic!("{error}: {document}"));
    let (plain, later) = (read(document), read(&with_later_fields(document)));
    let written = serde_json::to_value(plain).unwrap();
    assert_eq!(serde_json::to_value(later).unwrap(), written, "a later release's fields are passed over");
    written
}

fn with_later_fields(document: &Value) -> Value {
    match document {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), with_later_fields(value))).collect();
            fields.insert("of_a_later_release".to_owned(), json!({ "unheard": ["of"] }));
            Value::Object(fields)
        }
        Value::Array(items) => items.iter().map(with_later_fields).collect(),
        other => other.clone(),
    }
}

/// Whether nothing of what was said is lost or changed; more may be said.
fn assert_says(written: &Value, earlier: &Value, place: &str) {
    match (written, earlier) {
        (Value::Object(written), Value::Object(earlier)) => {
            for (name, value) in earlier {
                let place = format!("{place}/{name}");
                assert_says(written.get(name).unwrap_or_else(|| panic!("{place} is lost")), value, &place);
            }
        }
        (Value::Array(written), Value::Array(earlier)) => {
            assert_eq!(written.len(), earlier.len(), "{place}");
            for (number, (written, earlier)) in written.iter().zip(earlier).enumerate() {
                assert_says(written, earlier, &format!("{place}/{number}"));
            }
        }
        (written, earlier) => assert_eq!(written, earlier, "{place}"),
    }
}

#[test]
fn an_execution_that_an_update_overtakes_goes_on_with_the_documents_of_the_release_that_began_it() {
    let documents: [(&str, Reading); 7] = [
        ("schedule-expiry.json", again::<Resolved>),
        ("extend-key-policy.json", again::<KeyRequest>),
        ("extend-key-policy-retract.json", again::<KeyRequest>),
        ("share-image.json", again::<Resolved>),
        ("share-image.json", again::<ImageRequest>),
        ("report-usage.json", again::<Given>),
        ("notify-targets.json", again::<Given>),
    ];
    for release in releases() {
        for (name, reading) in documents {
            let document = read(&release, name);
            let written = reading(&document);
            // Beside the share, which has a type of its own, a state may hand on what the next one does not read.
            let fields = document.as_object().unwrap().clone().into_iter();
            let known = fields.filter(|(field, _)| written.get(field).is_some());
            assert_says(&written, &Value::Object(known.collect()), name);
            assert!(written.get("share").or(written.get("targets")).is_some(), "{name}");
        }
    }
}

#[test]
fn an_appointment_that_an_earlier_release_made_is_still_a_look() {
    for release in releases() {
        for name in ["look-at-image.json", "look-at-image-not-before.json"] {
            let document = read(&release, name);
            for document in [&document, &with_later_fields(&document)] {
                let look = Look::from_event(document, Timestamp::UNIX_EPOCH).unwrap();
                assert_eq!(look.image.as_str(), document["image_id"]);
                let moment = document["not_before"].as_str().map(|text| text.parse::<Timestamp>().unwrap());
                assert_eq!(look.now(Timestamp::UNIX_EPOCH), moment.unwrap_or(Timestamp::UNIX_EPOCH));
            }
        }
    }
}

#[test]
fn the_rows_of_an_earlier_release_mean_what_they_meant() {
    let rows: [(&str, Reading); 6] = [
        ("intent", again::<Intent>),
        ("shares", again::<Vec<ShareRow>>),
        ("told", again::<TellRow>),
        ("appointments", again::<Appointments>),
        ("history", again::<Vec<AuditRow>>),
        ("endings", again::<Vec<Ending>>),
    ];
    for release in releases() {
        let ledger = read(&release, "ledger.json");
        for (name, reading) in rows {
            assert_says(&reading(&ledger[name]), &ledger[name], name);
        }
    }
}
