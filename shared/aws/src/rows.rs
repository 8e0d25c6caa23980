//! How the ledger's rows are stored: the keys of the one table, and their attributes.

use std::collections::{BTreeSet, HashMap};

use ami_share_domain::ids::{ImageId, KeyArn, SnapshotId};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::error::{AwsError, lacks};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition and sort key of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

pub(crate) const INTENT: &str = "INTENT";
pub(crate) const TOLD: &str = "TOLD";
pub(crate) const TURN: &str = "TURN";
pub(crate) const APPOINTMENTS: &str = "APPOINTMENTS";
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

    pub(crate) fn told(image: &ImageId) -> Self {
        Self { pk: image_partition(image), sk: TOLD.to_owned() }
    }

    pub(crate) fn share(image: &ImageId, target: &str) -> Self {
        Self { pk: image_partition(image), sk: format!("{SHARE_PREFIX}{target}") }
    }

    /// The accounts that we let copy a snapshot.
    pub(crate) fn snapshot(image: &ImageId, snapshot: &SnapshotId) -> Self {
        Self { pk: image_partition(image), sk: format!("{SNAPSHOT_PREFIX}{snapshot}") }
    }

    /// The appointments that were made for an image.
    pub(crate) fn appointments(image: &ImageId) -> Self {
        Self { pk: image_partition(image), sk: APPOINTMENTS.to_owned() }
    }

    /// One row of an image's history. `unique` parts rows of the same moment.
    pub(crate) fn audit(image: &ImageId, at: Timestamp, unique: &str) -> Self {
        Self { pk: format!("AUDIT#{image}"), sk: format!("{at:.6}#{unique}") }
    }

    /// Whom an image needs on a key.
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
    serde_dynamo::from_item(item)
        .map_err(|error| lacks("dynamodb:Query", subject, format!("an unreadable row `{row}`: {error}")))
}
