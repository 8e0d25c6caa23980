//! Reads the ledger's rows. What they mean is in `ami_share_domain::ledger`.

use std::collections::BTreeSet;

use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image::ledger::{ImageLedger, Intent, ShareRow};
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::key::ledger::KeyLedger;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{AwsError, Explain, lacks};
use crate::rows::{
    IMAGE_PREFIX, INTENT, IS_MANAGED, Item, LEASE, MANAGED, MANAGED_IMAGES, NOTIFIED, RowKey, SCHEDULES,
    SHARE_PREFIX, SNAPSHOT_PREFIX, image_partition, key_partition, read, sort_key, text,
};

/// Items that one `BatchGetItem` takes. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const BATCH_READ: usize = 100;
/// How often a batch of which DynamoDB left some is asked for again.
const READ_ROUNDS: usize = 5;

#[derive(Deserialize)]
struct Accounts {
    #[serde(default)]
    accounts: BTreeSet<AccountId>,
}

/// Reads the ledger, always consistently: a share that another function wrote a moment ago counts.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    client: Client,
    table: String,
}

impl LedgerReader {
    /// A reader of `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// What was last wanted of an image.
    ///
    /// # Errors
    /// When `dynamodb:GetItem` fails.
    pub async fn intent(&self, image: &ImageId) -> Result<Option<Intent>, AwsError> {
        let key = RowKey::intent(image).item();
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.explain("dynamodb:GetItem", image)?;
        answer.item.map(|item| read(item, image.as_str())).transpose()
    }

    /// The appointments that were made for an image.
    ///
    /// # Errors
    /// When `dynamodb:GetItem` fails.
    pub async fn schedules(&self, image: &ImageId) -> Result<Schedules, AwsError> {
        let key = RowKey::schedules(image).item();
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.explain("dynamodb:GetItem", image)?;
        Ok(answer.item.map(|item| read(item, image.as_str())).transpose()?.unwrap_or_default())
    }

    /// All that is known of an image.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn image(&self, image: &ImageId) -> Result<ImageLedger, AwsError> {
        let mut ledger = ImageLedger::default();
        for item in self.partition(image_partition(image)).await? {
            match sort_key(&item) {
                INTENT => ledger.intent = Some(read(item, image.as_str())?),
                NOTIFIED => ledger.notified = read(item, image.as_str())?,
                SCHEDULES => ledger.schedules = read(item, image.as_str())?,
                sk if sk.starts_with(SNAPSHOT_PREFIX) => {
                    let snapshot = sk.trim_start_matches(SNAPSHOT_PREFIX).parse();
                    let snapshot =
                        snapshot.map_err(|bad| lacks("dynamodb:Query", image, format!("{bad}")))?;
                    let Accounts { accounts } = read(item, image.as_str())?;
                    ledger.snapshots.insert(snapshot, accounts);
                }
                sk if sk.starts_with(SHARE_PREFIX) => {
                    let row: ShareRow = read(item, image.as_str())?;
                    ledger.shares.insert(row.target.clone(), row);
                }
                _ => {}
            }
        }
        Ok(ledger)
    }

    /// All that is known of a key: who needs it, and whether a writer has it.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn key(&self, key: &KeyArn) -> Result<KeyLedger, AwsError> {
        #[derive(Deserialize)]
        struct Taken {
            ends: i64,
        }
        let mut ledger = KeyLedger::default();
        for item in self.partition(key_partition(key)).await? {
            let sk = sort_key(&item).to_owned();
            if let Some(image) = sk.strip_prefix(IMAGE_PREFIX) {
                let image = image.parse().map_err(|bad| lacks("dynamodb:Query", key, format!("{bad}")))?;
                ledger.needed_by.insert(image, read(item, key.as_str())?);
            } else if sk == LEASE {
                let taken: Taken = read(item, key.as_str())?;
                ledger.is_leased = taken.ends >= Timestamp::now().as_millisecond();
            }
        }
        Ok(ledger)
    }

    /// A page of the intents of managed images, at most `size`, with what the next page is asked for by.
    /// The index is eventually consistent: what was recorded a moment ago may be missing.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn managed_page(
        &self,
        after: Option<&ImageId>,
        size: i32,
    ) -> Result<(Vec<(ImageId, Intent)>, Option<ImageId>), AwsError> {
        const CALL: &str = "dynamodb:Query";
        let start = after.map(|image| {
            let mut start = RowKey::intent(image).item();
            start.insert(MANAGED.to_owned(), text(IS_MANAGED));
            start
        });
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(MANAGED_IMAGES)
            .key_condition_expression("managed = :managed")
            .expression_attribute_values(":managed", text(IS_MANAGED))
            .set_exclusive_start_key(start)
            .limit(size);
        let answer = request.send().await.explain(CALL, MANAGED_IMAGES)?;
        let has_more = answer.last_evaluated_key().is_some();
        let mut page = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
            let image = pk.trim_start_matches(IMAGE_PREFIX).parse();
            let image = image.map_err(|bad| lacks(CALL, MANAGED_IMAGES, format!("{bad}")))?;
            page.push((image, read(item, &pk)?));
        }
        let next = page.last().map(|(image, _): &(ImageId, Intent)| image.clone()).filter(|_| has_more);
        Ok((page, next))
    }

    /// Those of `images` that are in the index of managed images.
    ///
    /// # Errors
    /// When `dynamodb:BatchGetItem` fails, or leaves keys again and again.
    pub async fn managed_among(&self, images: &[ImageId]) -> Result<BTreeSet<ImageId>, AwsError> {
        const CALL: &str = "dynamodb:BatchGetItem";
        let mut managed = BTreeSet::new();
        for some in images.chunks(BATCH_READ) {
            let keys = some.iter().map(|image| RowKey::intent(image).item()).collect();
            let desired = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let desired = desired.projection_expression("pk, managed").build();
            let mut desired = Some(desired.map_err(|error| lacks(CALL, &self.table, error.to_string()))?);
            let mut rounds = 0;
            while let Some(triggered_by) = desired.take() {
                let answer =
                    self.client.batch_get_item().request_items(&self.table, triggered_by).send().await;
                let answer = answer.explain(CALL, &self.table)?;
                let found = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
                let found = found.iter().filter(|item| item.contains_key(MANAGED));
                let ids = found
                    .filter_map(|item| item.get("pk")?.as_s().ok()?.strip_prefix(IMAGE_PREFIX)?.parse().ok());
                managed.extend(ids);
                desired = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
                rounds += 1;
                if rounds == READ_ROUNDS && desired.is_some() {
                    // The table is short of capacity for a moment; the workflow comes again.
                    return Err(AwsError::Busy(self.table.clone()));
                }
            }
        }
        Ok(managed)
    }

    async fn partition(&self, pk: String) -> Result<Vec<Item>, AwsError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(&pk))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.explain("dynamodb:Query", &pk)?);
        }
        Ok(items)
    }
}
