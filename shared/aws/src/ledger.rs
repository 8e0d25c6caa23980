//! Reads and writes the ledger's rows. What they mean is in `ami_share_domain::ledger`.

use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::ledger::{ImageLedger, Intent, KeyLedger, LeftOutChange, ShareRow};
use ami_share_domain::share::{Share, Target};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, Put, PutRequest, TransactWriteItem, Update, WriteRequest,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{AwsError, Explain, Fault, lacks};
use crate::rows::{
    IMAGE_PREFIX, INTENT, Item, RowKey, SHARE_PREFIX, TOLD, TURN, image_partition, key_partition, number,
    read, set, sort_key, text,
};

/// Writes that one `BatchWriteItem` takes. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

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

    /// All that is known of an image.
    ///
    /// # Errors
    /// When `dynamodb:Query` fails, or finds an unreadable row.
    pub async fn image(&self, image: &ImageId) -> Result<ImageLedger, AwsError> {
        let mut ledger = ImageLedger::default();
        for item in self.partition(image_partition(image)).await? {
            match sort_key(&item) {
                INTENT => ledger.intent = Some(read(item, image.as_str())?),
                TOLD => ledger.told = read(item, image.as_str())?,
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
            } else if sk == TURN {
                let taken: Taken = read(item, key.as_str())?;
                ledger.is_taken = taken.ends >= Timestamp::now().as_millisecond();
            }
        }
        Ok(ledger)
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

/// Writes the ledger.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    client: Client,
    table: String,
}

impl LedgerWriter {
    /// A writer of `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Records who asked, while what is asked for cannot be given yet. An intent that is there already stays.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn record_asking(&self, image: &ImageId, asking: &Intent) -> Result<(), AwsError> {
        let mut item = to_item(asking, image)?;
        item.extend(RowKey::intent(image).item());
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = request.condition_expression("attribute_not_exists(pk)");
        match request.send().await.explain("dynamodb:PutItem", image) {
            Err(error) if error.fault() != Fault::Condition => Err(error),
            _ => Ok(()),
        }
    }

    /// Records an intent, and whom it needs on each key, in one transaction. `false` when another look
    /// recorded one since `last` was read: then this look saw what may be out of date, and must look again.
    ///
    /// # Errors
    /// When `dynamodb:TransactWriteItems` fails for another reason.
    pub async fn record_intent(
        &self,
        share: &Share,
        last: Option<&Intent>,
        next: &Intent,
    ) -> Result<bool, AwsError> {
        const CALL: &str = "dynamodb:TransactWriteItems";
        let image = &share.image.id;
        let mut item = to_item(next, image)?;
        item.extend(RowKey::intent(image).item());
        item.insert(
            "targets".to_owned(),
            AttributeValue::L(share.targets.iter().map(|target| text(target.name())).collect()),
        );
        item.insert(
            "keys".to_owned(),
            AttributeValue::L(share.keys.iter().map(|key| text(key.as_str())).collect()),
        );
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #number = :last")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":last", number(last.map_or(0, |last| last.number)))
            .build()
            .map_err(|error| lacks(CALL, image, error.to_string()))?;
        let mut writes = vec![TransactWriteItem::builder().put(put).build()];
        if !share.targets.is_empty() {
            let principals = set(share.targets.iter().map(Target::key_principal));
            for key in &share.keys {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(RowKey::need(key, image).item()))
                    .update_expression("ADD principals :principals")
                    .expression_attribute_values(":principals", principals.clone())
                    .build()
                    .map_err(|error| lacks(CALL, image, error.to_string()))?;
                writes.push(TransactWriteItem::builder().update(update).build());
            }
        }
        match self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await
            .explain(CALL, image)
        {
            Ok(_) => Ok(true),
            Err(error) if error.fault() == Fault::Condition => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Records whom a key's policy leaves out, so that writers for other images do not stumble over them.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn change_left_out(&self, key: &KeyArn, change: &LeftOutChange) -> Result<(), AwsError> {
        let LeftOutChange { image, add, remove } = change;
        for (verb, principals) in [("ADD", add), ("DELETE", remove)] {
            if principals.is_empty() {
                continue;
            }
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(RowKey::need(key, image).item()))
                .update_expression(format!("{verb} left_out :principals"))
                .expression_attribute_values(":principals", set(principals));
            request.send().await.explain("dynamodb:UpdateItem", key)?;
        }
        Ok(())
    }

    /// Puts share rows, and deletes those of words whose refusal no longer stands.
    ///
    /// # Errors
    /// When `dynamodb:BatchWriteItem` fails, or leaves rows unwritten.
    pub async fn write_shares(
        &self,
        image: &ImageId,
        rows: &[ShareRow],
        gone: &[String],
    ) -> Result<(), AwsError> {
        const CALL: &str = "dynamodb:BatchWriteItem";
        let mut writes = Vec::new();
        for row in rows {
            let mut item = to_item(row, image)?;
            item.extend(RowKey::share(image, &row.target).item());
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| lacks(CALL, image, error.to_string()))?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        for word in gone {
            let key = RowKey::share(image, word).item();
            let delete = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(|error| lacks(CALL, image, error.to_string()))?;
            writes.push(WriteRequest::builder().delete_request(delete).build());
        }
        for batch in writes.chunks(BATCH) {
            let request = self.client.batch_write_item().request_items(&self.table, batch.to_vec());
            let answer = request.send().await.explain(CALL, image)?;
            let unwritten = answer.unprocessed_items().is_some_and(|unprocessed| !unprocessed.is_empty());
            if unwritten {
                // The table is short of capacity for a moment; the workflow comes again.
                return Err(AwsError::Busy(self.table.clone()));
            }
        }
        Ok(())
    }

    /// Records that we let `accounts` copy a snapshot; written before the first call, as for shares.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_snapshot_accounts(
        &self,
        image: &ImageId,
        snapshot: &SnapshotId,
        accounts: &[AccountId],
    ) -> Result<(), AwsError> {
        self.add_to_set(RowKey::snapshot(image, snapshot), "accounts", accounts).await
    }

    /// Records which accounts have been told: on their bus, or not for want of one.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_told(
        &self,
        image: &ImageId,
        delivered: &[AccountId],
        without_bus: &[AccountId],
    ) -> Result<(), AwsError> {
        self.add_to_set(RowKey::told(image), "delivered", delivered).await?;
        self.add_to_set(RowKey::told(image), "without_bus", without_bus).await
    }

    async fn add_to_set(&self, row: RowKey, name: &str, accounts: &[AccountId]) -> Result<(), AwsError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(row.item()))
            .update_expression("ADD #name :accounts")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":accounts", set(accounts));
        request.send().await.explain("dynamodb:UpdateItem", &row.pk).map(|_| ())
    }

    /// Records the status that the image carries now, and when.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn set_status(&self, image: &ImageId, status: &str, at: Timestamp) -> Result<(), AwsError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(RowKey::told(image).item()))
            .update_expression("SET #status = :status, #at = :at")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":status", text(status))
            .expression_attribute_values(":at", text(at.to_string()));
        request.send().await.explain("dynamodb:UpdateItem", image).map(|_| ())
    }
}

fn to_item<T: serde::Serialize>(row: &T, image: &ImageId) -> Result<Item, AwsError> {
    serde_dynamo::to_item(row).map_err(|error| lacks("dynamodb:PutItem", image, error.to_string()))
}
