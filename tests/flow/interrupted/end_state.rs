//! What a look leaves behind, in words that are the same for every image: so that two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_tests::world::Account;
use anyhow::Result;

/// Everything that must be as if nobody had been killed, by name. The history, and rows of access that is over and
/// told, are no part of it.
pub type EndState = BTreeMap<String, String>;

type Rows = BTreeMap<String, BTreeMap<String, String>>;

/// What depends on when something was done, and how often. The status is compared where it stands, on the image.
const CIRCUMSTANCES: [&str; 15] = [
    "pk",
    "sk",
    "number",
    "wish",
    "triggered_at",
    "triggered_by",
    "event",
    "image_name",
    "since",
    "at",
    "outcome_at",
    "holder",
    "waiting_for",
    "waiting_until",
    "unmanaged_reported_at",
];

/// Reads what there is of an image, its keys and its snapshots now.
pub async fn read(hub: &Account, image: &str, keys: &[String], snapshots: &[String]) -> Result<EndState> {
    let mut end_state = EndState::new();
    if let Some(mut tags) = hub.tags_if_seen(image).await? {
        end_state.insert("launch".to_owned(), hub.launch_permissions(image).await?.join(" "));
        end_state.insert("status".to_owned(), tags.remove("ami-share:status").unwrap_or_default());
    }
    for snapshot in snapshots {
        end_state.insert(format!("open {snapshot}"), hub.snapshot_permissions(snapshot).await?.join(" "));
    }
    for key in keys {
        end_state.insert(format!("policy {key}"), hub.key_policy(key).await?);
        add_rows(&mut end_state, key, hub.ledger(&format!("KEY#{key}")).await?);
    }
    add_rows(&mut end_state, image, hub.ledger(&format!("IMAGE#{image}")).await?);
    for schedule_kind in ["end", "warning"] {
        let schedule = hub.schedule(image, schedule_kind).await?;
        end_state.insert(format!("appointment {schedule_kind}"), format!("{schedule:?}"));
    }
    let general = |text: &str| in_general(text, image, keys, snapshots);
    Ok(end_state.iter().map(|(name, value)| (general(name), sorted(&general(value)))).collect())
}

/// The words of a set in one order, whatever the order of the ids was that they stand for.
fn sorted(text: &str) -> String {
    let mut selectors: Vec<&str> = text.split_whitespace().collect();
    selectors.sort_unstable();
    selectors.join(" ")
}

fn add_rows(end_state: &mut EndState, of: &str, rows: Rows) {
    for (sk, row) in rows {
        let is_over = row.get("outcome").is_some_and(|outcome| outcome == "revoked");
        let is_notified = row.get("notified").is_some_and(|notified| notified.starts_with("withdrawn: "));
        // A turn that has run out is none.
        let has_run_out = sk == "LEASE" && row.get("ends").is_some_and(|ends| ends == "0");
        if (is_over && is_notified) || has_run_out {
            continue;
        }
        for (name, value) in row {
            let is_circumstance =
                CIRCUMSTANCES.contains(&name.as_str()) || (sk == "NOTIFIED" && name == "status");
            if !is_circumstance {
                end_state.insert(format!("{of} {sk} {name}"), value);
            }
        }
    }
}

/// A text about this image, as it would be about any other.
fn in_general(text: &str, image: &str, keys: &[String], snapshots: &[String]) -> String {
    let mut text = text.replace(image, "image");
    for (what, names) in [("key", keys), ("snapshot", snapshots)] {
        for (at, name) in names.iter().enumerate() {
            text = text.replace(name, &format!("{what}-{at}"));
        }
    }
    text
}

/// Where two endings differ.
pub fn differences(expected: &EndState, found: &EndState) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differing = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differing
        .map(|name| format!("{name}: {:?} instead of {:?}", found.get(name), expected.get(name)))
        .collect()
}
