//! Reads the ledger's rows.

use std::collections::{BTreeSet, HashMap};

use ami_share_domain::ids::{AccountId, ImageId, KeyArn};
use ami_share_domain::image::ledger::{ImageLedger, Intent, ShareRow};
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::key::ledger::KeyLedger;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use serde::Deserialize;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, incomplete_request, unreadable_answer};
use crate::ledger::rows::{
    IMAGE_PREFIX, INTENT, IS_MANAGED, Item, LEASE, MANAGED, MANAGED_IMAGES, NOTIFIED, RowKey, SCHEDULES,
    SHARE_PREFIX, SNAPSHOT_PREFIX, image_partition, key_partition, read, sort_key, text,
};
use crate::retry;

/// Items that one `BatchGetItem` accepts. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const BATCH_READ: usize = 100;
const BATCH_GET: &str = "dynamodb:BatchGetItem";
const QUERY: &str = "dynamodb:Query";

#[derive(Deserialize)]
struct Accounts {
    #[serde(default)]
    accounts: BTreeSet<AccountId>,
}

/// Reads the ledger, always consistently: it sees a row that another function wrote a moment ago.
#[derive(Debug, Clone)]
pub struct LedgerReader {
    client: Client,
    table: String,
    clock: Clock,
}

impl LedgerReader {
    /// A reader of `table`.
    pub fn new(client: Client, table: String, clock: Clock) -> Self {
        Self { client, table, clock }
    }

    /// The last intent of an image.
    ///
    /// # Errors
    /// When `dynamodb:GetItem` fails.
    pub async fn intent(&self, image: &ImageId) -> Result<Option<Intent>, AwsError> {
        let key = RowKey::intent(image).item();
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.explain("dynamodb:GetItem", image)?;
        answer.item.map(|item| read(item, image.as_str())).transpose()
    }

    /// The schedules that exist for an image.
    ///
    /// # Errors
    /// When `dynamodb:GetItem` fails.
    pub async fn schedules(&self, image: &ImageId) -> Result<Schedules, AwsError> {
        let key = RowKey::schedules(image).item();
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.explain("dynamodb:GetItem", image)?;
        Ok(answer.item.map(|item| read(item, image.as_str())).transpose()?.unwrap_or_default())
    }

    /// All rows of an image.
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
                    let snapshot = snapshot.map_err(|error| {
                        unreadable_answer(QUERY, image, "a row with a bad snapshot id", error)
                    })?;
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

    /// All rows of a key: which images need which principals on it, and whether a writer holds its lease.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn key(&self, key: &KeyArn) -> Result<KeyLedger, AwsError> {
        #[derive(Deserialize)]
        struct LeaseRow {
            ends: i64,
        }
        let mut ledger = KeyLedger::default();
        for item in self.partition(key_partition(key)).await? {
            let sk = sort_key(&item).to_owned();
            if let Some(image) = sk.strip_prefix(IMAGE_PREFIX) {
                let image = image
                    .parse()
                    .map_err(|error| unreadable_answer(QUERY, key, "a row with a bad image id", error))?;
                ledger.needed_by.insert(image, read(item, key.as_str())?);
            } else if sk == LEASE {
                let lease: LeaseRow = read(item, key.as_str())?;
                ledger.is_leased = lease.ends >= self.clock.now().as_millisecond();
            }
        }
        Ok(ledger)
    }

    /// A page of the intents of managed images, at most `size`, and the image after which the next page starts. The
    /// index is eventually consistent: what was recorded a moment ago may be missing.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn managed_page(
        &self,
        after: Option<&ImageId>,
        size: i32,
    ) -> Result<(Vec<(ImageId, Intent)>, Option<ImageId>), AwsError> {
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
        let answer = request.send().await.explain(QUERY, MANAGED_IMAGES)?;
        let has_more = answer.last_evaluated_key().is_some();
        let mut page = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok()).cloned().unwrap_or_default();
            let image = pk.trim_start_matches(IMAGE_PREFIX).parse();
            let image = image.map_err(|error| {
                unreadable_answer(QUERY, MANAGED_IMAGES, "a row with a bad image id", error)
            })?;
            page.push((image, read(item, &pk)?));
        }
        let next = page.last().map(|(image, _): &(ImageId, Intent)| image.clone()).filter(|_| has_more);
        Ok((page, next))
    }

    /// Those of `images` that are in the index of managed images.
    ///
    /// # Errors
    /// When `dynamodb:BatchGetItem` fails, or [`AwsError::Busy`] when it leaves keys in every attempt.
    pub async fn managed_among(&self, images: &[ImageId]) -> Result<BTreeSet<ImageId>, AwsError> {
        let mut managed = BTreeSet::new();
        for batch in images.chunks(BATCH_READ) {
            let keys = batch.iter().map(|image| RowKey::intent(image).item()).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let keys = keys.projection_expression("pk, managed").build();
            let keys = keys.map_err(|error| incomplete_request(BATCH_GET, &self.table, error))?;
            managed.extend(self.managed_of_batch(keys).await?);
        }
        Ok(managed)
    }

    async fn managed_of_batch(&self, keys: KeysAndAttributes) -> Result<BTreeSet<ImageId>, AwsError> {
        struct Batch {
            unread: Option<KeysAndAttributes>,
            managed: BTreeSet<ImageId>,
        }
        let attempt =
            async |batch: &mut Batch| {
                let request = self.client.batch_get_item().set_request_items(
                    batch.unread.take().map(|keys| HashMap::from([(self.table.clone(), keys)])),
                );
                let answer = request.send().await.explain(BATCH_GET, &self.table)?;
                let items = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
                let items = items.iter().filter(|item| item.contains_key(MANAGED));
                batch.managed.extend(items.filter_map(|item| {
                    item.get("pk")?.as_s().ok()?.strip_prefix(IMAGE_PREFIX)?.parse().ok()
                }));
                batch.unread = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
                match batch.unread {
                    None => Ok(()),
                    Some(_) => Err(AwsError::Busy(format!(
                        "DynamoDB cannot read all rows of {} at the moment",
                        self.table
                    ))),
                }
            };
        let batch = Batch { unread: Some(keys), managed: BTreeSet::new() };
        let has_unread = |error: &AwsError| matches!(error, AwsError::Busy(_));
        let (batch, read) = retry::BATCH.retry_with(&self.clock, batch, attempt, has_unread).await;
        read.map(|()| batch.managed)
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
            items.push(item.explain(QUERY, &pk)?);
        }
        Ok(items)
    }
}
