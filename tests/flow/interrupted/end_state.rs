//! The state that a reconciliation leaves behind, without ids, so that the states of two images can be compared.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_tests::world::Account;
use anyhow::Result;

/// Everything that must be as if no function had been killed, by name. Neither the audit log nor the rows of access
/// whose revocation was notified belong to it.
pub type EndState = BTreeMap<String, String>;

type Rows = BTreeMap<String, BTreeMap<String, String>>;

/// Attributes of rows that depend on when something was done and how often. The status is compared as the image's tag.
const VARYING: [&str; 16] = [
    "pk",
    "sk",
    "number",
    "tags_version",
    "desired_state",
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

/// Reads the present state of an image, its keys and its snapshots.
pub async fn read(hub: &Account, image: &str, keys: &[String], snapshots: &[String]) -> Result<EndState> {
    let mut end_state = EndState::new();
    if let Some(mut tags) = hub.tags_if_seen(image).await? {
        end_state.insert("launch".to_owned(), hub.launch_permissions(image).await?.join(" "));
        end_state.insert("status".to_owned(), tags.remove("ami-share:status").unwrap_or_default());
    }
    for snapshot in snapshots {
        end_state
            .insert(format!("permissions {snapshot}"), hub.snapshot_permissions(snapshot).await?.join(" "));
    }
    for key in keys {
        end_state.insert(format!("policy {key}"), hub.key_policy(key).await?);
        add_rows(&mut end_state, key, hub.ledger(&format!("KEY#{key}")).await?);
    }
    add_rows(&mut end_state, image, hub.ledger(&format!("IMAGE#{image}")).await?);
    for schedule_kind in ["end", "warning"] {
        let schedule = hub.schedule(image, schedule_kind).await?;
        end_state.insert(format!("schedule {schedule_kind}"), format!("{schedule:?}"));
    }
    let without_ids = |text: &str| without_ids(text, image, keys, snapshots);
    Ok(end_state.iter().map(|(name, value)| (without_ids(name), sorted(&without_ids(value)))).collect())
}

/// The items of a set in one order, whatever the order of the ids was that they replace.
fn sorted(text: &str) -> String {
    let mut items: Vec<&str> = text.split_whitespace().collect();
    items.sort_unstable();
    items.join(" ")
}

fn add_rows(end_state: &mut EndState, of: &str, rows: Rows) {
    for (sk, row) in rows {
        let is_revoked = row.get("outcome").is_some_and(|outcome| outcome == "revoked");
        let is_notified = row.get("notified").is_some_and(|notified| notified.contains("revoked"));
        // An expired lease is no lease.
        let has_expired = sk == "LEASE" && row.get("ends").is_some_and(|ends| ends == "0");
        if (is_revoked && is_notified) || has_expired {
            continue;
        }
        for (name, value) in row {
            let is_varying = VARYING.contains(&name.as_str()) || (sk == "NOTIFIED" && name == "status");
            if !is_varying {
                end_state.insert(format!("{of} {sk} {name}"), value);
            }
        }
    }
}

/// A text about this image as it would be about any other.
fn without_ids(text: &str, image: &str, keys: &[String], snapshots: &[String]) -> String {
    let mut text = text.replace(image, "image");
    for (what, names) in [("key", keys), ("snapshot", snapshots)] {
        for (at, name) in names.iter().enumerate() {
            text = text.replace(name, &format!("{what}-{at}"));
        }
    }
    text
}

/// Where two end states differ.
pub fn differences(expected: &EndState, found: &EndState) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differing = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    differing
        .map(|name| format!("{name}: {:?} instead of {:?}", found.get(name), expected.get(name)))
        .collect()
}
