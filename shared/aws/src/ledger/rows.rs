//! How the ledger's rows are stored: the keys of the one table, and their attributes.

use std::collections::{BTreeSet, HashMap};

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{AwsError, unreadable_answer};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition and sort key of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

/// Bytes in a sort key. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-partition-sort-keys>
const SORT_KEY_LIMIT: usize = 1024;
/// How many characters of a selector that is too long for a sort key precede its digest, for people.
const HEAD: usize = 64;

pub(crate) const INTENT: &str = "INTENT";
pub(crate) const NOTIFIED: &str = "NOTIFIED";
pub(crate) const LEASE: &str = "LEASE";
pub(crate) const SCHEDULES: &str = "SCHEDULES";
pub(crate) const SHARE_PREFIX: &str = "SHARE#";
pub(crate) const IMAGE_PREFIX: &str = "IMAGE#";
pub(crate) const SNAPSHOT_PREFIX: &str = "SNAPSHOT#";
/// The attribute that puts an intent into the index of managed images, and its only value.
pub(crate) const MANAGED: &str = "managed";
pub(crate) const IS_MANAGED: &str = "yes";
/// The index of the intents of managed images; template.yaml makes it.
pub(crate) const MANAGED_IMAGES: &str = "managed-images";

pub(crate) fn image_partition(image: &ImageId) -> String {
    format!("{IMAGE_PREFIX}{image}")
}

pub(crate) fn key_partition(key: &KeyArn) -> String {
    format!("KEY#{key}")
}

impl RowKey {
    pub(crate) fn intent(image: &ImageId) -> Self {
        Self { pk: image_partition(image), sk: INTENT.to_owned() }
    }

    pub(crate) fn notified(image: &ImageId) -> Self {
        Self { pk: image_partition(image), sk: NOTIFIED.to_owned() }
    }

    /// One share, or one refused selector. The key of a selector that is too long holds its beginning and, after a
    /// space, its digest: no selector contains a space. The row itself holds all of it.
    pub(crate) fn share(image: &ImageId, target: &str) -> Self {
        let pk = image_partition(image);
        let sk = format!("{SHARE_PREFIX}{target}");
        if sk.len() <= SORT_KEY_LIMIT {
            return Self { pk, sk };
        }
        let head: String = target.chars().take(HEAD).collect();
        let digest: String =
            Sha256::digest(target.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { pk, sk: format!("{SHARE_PREFIX}{head} {digest}") }
    }

    /// The accounts that ami-share granted a snapshot.
    pub(crate) fn snapshot(image: &ImageId, snapshot: &SnapshotId) -> Self {
        Self { pk: image_partition(image), sk: format!("{SNAPSHOT_PREFIX}{snapshot}") }
    }

    /// The schedules that exist for an image.
    pub(crate) fn schedules(image: &ImageId) -> Self {
        Self { pk: image_partition(image), sk: SCHEDULES.to_owned() }
    }

    /// One row of an image's audit log. `unique` tells apart rows of the same moment.
    pub(crate) fn audit(image: &ImageId, at: Timestamp, unique: &str) -> Self {
        Self { pk: format!("AUDIT#{image}"), sk: format!("{at:.6}#{unique}") }
    }

    /// The principals that an image needs on a key.
    pub(crate) fn need(key: &KeyArn, image: &ImageId) -> Self {
        Self { pk: key_partition(key), sk: format!("{IMAGE_PREFIX}{image}") }
    }

    pub(crate) fn item(&self) -> Item {
        HashMap::from([("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))])
    }
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn set<T: ToString>(items: impl IntoIterator<Item = T>) -> AttributeValue {
    let items: BTreeSet<String> = items.into_iter().map(|item| item.to_string()).collect();
    AttributeValue::Ss(items.into_iter().collect())
}

pub(crate) fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|sk| sk.as_s().ok()).map_or("", String::as_str)
}

pub(crate) fn read<T: DeserializeOwned>(item: Item, subject: &str) -> Result<T, AwsError> {
    let row = sort_key(&item).to_owned();
    serde_dynamo::from_item(item).map_err(|error| {
        unreadable_answer("dynamodb:Query", subject, &format!("an unreadable row `{row}`"), error)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn sort_key_of(selector: &str) -> String {
        RowKey::share(&"ami-0abcdef1234567890".parse().unwrap(), selector).sk
    }

    #[test]
    fn a_selector_of_the_maximum_byte_length_has_a_sort_key_that_dynamodb_accepts() {
        let long = "𐐷".repeat(256);
        let key = sort_key_of(&long);
        assert!(key.len() <= SORT_KEY_LIMIT, "{}", key.len());
        assert!(key.starts_with(&format!("SHARE#{} ", "𐐷".repeat(HEAD))), "{key}");
        assert_eq!(key, sort_key_of(&long), "the row is found again");
        let other = format!("{}a", "𐐷".repeat(255));
        assert_ne!(key, sort_key_of(&other), "selectors that begin alike have rows of their own");
    }

    #[test]
    fn every_other_selector_is_in_its_sort_key_unchanged() {
        for selector in ["222222222222".to_owned(), "x".repeat(256), "€".repeat(256), "x".repeat(1018)] {
            assert_eq!(sort_key_of(&selector), format!("SHARE#{selector}"));
        }
        assert_ne!(sort_key_of(&"x".repeat(1019)), format!("SHARE#{}", "x".repeat(1019)));
    }
}
