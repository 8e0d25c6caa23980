//! Reads and writes the ledger's rows. What they mean is in `ami_share_domain::ledger`.

use std::collections::BTreeSet;

use ami_share_domain::appointments::Appointments;
use ami_share_domain::audit::AuditRow;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{ImageLedger, Intent, KeyLedger, LeftOutChange, ShareRow};
use ami_share_domain::share::{Image, Share, Target};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    ConditionCheck, DeleteRequest, KeysAndAttributes, Put, PutRequest, TransactWriteItem, Update,
    WriteRequest,
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{AwsError, Explain, Fault, lacks};
use crate::rows::{
    APPOINTMENTS, IMAGE_PREFIX, INTENT, IS_MANAGED, Item, MANAGED, MANAGED_IMAGES, RowKey, SHARE_PREFIX,
    SNAPSHOT_PREFIX, TOLD, TURN, image_partition, key_partition, number, read, set, sort_key, text,
};

/// Writes that one `BatchWriteItem` takes. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;

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
    pub async fn appointments(&self, image: &ImageId) -> Result<Appointments, AwsError> {
        let key = RowKey::appointments(image).item();
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
                TOLD => ledger.told = read(item, image.as_str())?,
                APPOINTMENTS => ledger.appointments = read(item, image.as_str())?,
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
            } else if sk == TURN {
                let taken: Taken = read(item, key.as_str())?;
                ledger.is_taken = taken.ends >= Timestamp::now().as_millisecond();
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
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            let wanted = wanted.projection_expression("pk, managed").build();
            let mut wanted = Some(wanted.map_err(|error| lacks(CALL, &self.table, error.to_string()))?);
            let mut rounds = 0;
            while let Some(asked) = wanted.take() {
                let answer = self.client.batch_get_item().request_items(&self.table, asked).send().await;
                let answer = answer.explain(CALL, &self.table)?;
                let found = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
                let found = found.iter().filter(|item| item.contains_key(MANAGED));
                let ids = found
                    .filter_map(|item| item.get("pk")?.as_s().ok()?.strip_prefix(IMAGE_PREFIX)?.parse().ok());
                managed.extend(ids);
                wanted = answer.unprocessed_keys.unwrap_or_default().remove(&self.table);
                rounds += 1;
                if rounds == READ_ROUNDS && wanted.is_some() {
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
        item.insert(MANAGED.to_owned(), text(IS_MANAGED));
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
                    .update_expression("ADD principals :principals DELETE leaving :principals")
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

    /// Gives up those whom an image needs no more on a key: they are leaving from now on. `false` when a later
    /// intent than `intent` was recorded meanwhile, which may need them; then nothing is written.
    ///
    /// # Errors
    /// When `dynamodb:TransactWriteItems` fails for another reason.
    pub async fn give_up(
        &self,
        key: &KeyArn,
        image: &ImageId,
        intent: u64,
        principals: &BTreeSet<KeyPrincipal>,
    ) -> Result<bool, AwsError> {
        const CALL: &str = "dynamodb:TransactWriteItems";
        let is_last = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(RowKey::intent(image).item()))
            .condition_expression("#number = :number")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":number", number(intent))
            .build()
            .map_err(|error| lacks(CALL, image, error.to_string()))?;
        let give_up = Update::builder()
            .table_name(&self.table)
            .set_key(Some(RowKey::need(key, image).item()))
            .update_expression("DELETE principals :gone, left_out :gone ADD leaving :gone")
            .expression_attribute_values(":gone", set(principals))
            .build()
            .map_err(|error| lacks(CALL, image, error.to_string()))?;
        let request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(is_last).build())
            .transact_items(TransactWriteItem::builder().update(give_up).build());
        match request.send().await.explain(CALL, image) {
            Ok(_) => Ok(true),
            Err(error) if error.fault() == Fault::Condition => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets those who have left a key's policy, and rows that say nothing any more.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn forget_left(
        &self,
        key: &KeyArn,
        ledger: &KeyLedger,
        left: &BTreeSet<KeyPrincipal>,
    ) -> Result<(), AwsError> {
        for (image, need) in &ledger.needed_by {
            let left: Vec<_> = need.leaving.intersection(left).collect();
            if left.is_empty() {
                continue;
            }
            let row = RowKey::need(key, image);
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(row.item()))
                .update_expression("DELETE leaving :left")
                .expression_attribute_values(":left", set(left));
            request.send().await.explain("dynamodb:UpdateItem", key)?;
            self.delete_if_empty(&row).await?;
        }
        Ok(())
    }

    async fn delete_if_empty(&self, row: &RowKey) -> Result<(), AwsError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(row.item()))
            .condition_expression("attribute_not_exists(principals) AND attribute_not_exists(leaving)");
        match request.send().await.explain("dynamodb:DeleteItem", &row.pk) {
            Err(error) if error.fault() != Fault::Condition => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes an image out of the index of managed images, unless a later intent was recorded meanwhile.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn unmanage(&self, image: &ImageId, intent: u64) -> Result<(), AwsError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(RowKey::intent(image).item()))
            .update_expression("REMOVE managed")
            .condition_expression("#number = :number")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":number", number(intent));
        match request.send().await.explain("dynamodb:UpdateItem", image) {
            Err(error) if error.fault() != Fault::Condition => Err(error),
            _ => Ok(()),
        }
    }

    /// Appends rows to an image's history. What is there is never changed: a row whose place is taken is not
    /// written, since it is the same row. `unique` parts the rows of one invocation from those of others.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn append(&self, image: &ImageId, rows: &[AuditRow], unique: &str) -> Result<(), AwsError> {
        for (position, row) in rows.iter().enumerate() {
            let mut item = to_item(row, image)?;
            item.extend(RowKey::audit(image, row.at, &format!("{unique}-{position}")).item());
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
            let request = request.condition_expression("attribute_not_exists(pk)");
            match request.send().await.explain("dynamodb:PutItem", image) {
                Err(error) if error.fault() != Fault::Condition => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Records the appointments that were made for an image.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn set_appointments(&self, image: &ImageId, made: &Appointments) -> Result<(), AwsError> {
        let mut item = to_item(made, image)?;
        item.extend(RowKey::appointments(image).item());
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.explain("dynamodb:PutItem", image).map(|_| ())
    }

    /// Records whom a key's policy leaves out, so that writers for other images do not stumble over them.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn change_left_out(&self, key: &KeyArn, change: &LeftOutChange) -> Result<(), AwsError> {
        let LeftOutChange { image, add, remove } = change;
        self.change_set("ADD", RowKey::need(key, image), "left_out", add).await?;
        self.change_set("DELETE", RowKey::need(key, image), "left_out", remove).await
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
        self.change_set("ADD", RowKey::snapshot(image, snapshot), "accounts", accounts).await
    }

    /// Records that accounts may copy a snapshot no more.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn remove_snapshot_accounts(
        &self,
        image: &ImageId,
        snapshot: &SnapshotId,
        accounts: &[AccountId],
    ) -> Result<(), AwsError> {
        self.change_set("DELETE", RowKey::snapshot(image, snapshot), "accounts", accounts).await
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
        self.change_set("ADD", RowKey::told(image), "delivered", delivered).await?;
        self.change_set("ADD", RowKey::told(image), "without_bus", without_bus).await
    }

    /// Forgets that accounts have been told of access: they have none any more, and are told anew of the next.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn forget_told(&self, image: &ImageId, accounts: &[AccountId]) -> Result<(), AwsError> {
        self.change_set("DELETE", RowKey::told(image), "delivered", accounts).await?;
        self.change_set("DELETE", RowKey::told(image), "without_bus", accounts).await
    }

    async fn change_set<T: ToString>(
        &self,
        verb: &str,
        row: RowKey,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> Result<(), AwsError> {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(row.item()))
            .update_expression(format!("{verb} #name :items"))
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":items", set(items));
        request.send().await.explain("dynamodb:UpdateItem", &row.pk).map(|_| ())
    }

    /// Records that the notices of a withdrawal wait for a usage report, and how long.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn wait_for_report(
        &self,
        image: &ImageId,
        report_id: &str,
        until: Timestamp,
    ) -> Result<(), AwsError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(RowKey::told(image).item()))
            .update_expression("SET waiting_for = :report, waiting_until = :until")
            .expression_attribute_values(":report", text(report_id))
            .expression_attribute_values(":until", text(until.to_string()));
        request.send().await.explain("dynamodb:UpdateItem", image).map(|_| ())
    }

    /// Records what has been told of the whole image: the end that its targets were warned of, and the access
    /// by other people's hand that was reported.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn change_told(
        &self,
        image: &Image,
        warned: Option<Timestamp>,
        reported: &BTreeSet<String>,
        no_longer: &BTreeSet<String>,
    ) -> Result<(), AwsError> {
        if let Some(warned) = warned {
            self.set_told(&image.id, "warned", warned).await?;
        }
        if !(reported.is_empty() && no_longer.is_empty()) {
            self.set_told(&image.id, "unmanaged_seen", image.seen_at).await?;
        }
        self.change_set("ADD", RowKey::told(&image.id), "unmanaged", reported).await?;
        self.change_set("DELETE", RowKey::told(&image.id), "unmanaged", no_longer).await
    }

    async fn set_told(&self, image: &ImageId, name: &str, moment: Timestamp) -> Result<(), AwsError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(RowKey::told(image).item()))
            .update_expression("SET #name = :moment")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":moment", text(moment.to_string()));
        request.send().await.explain("dynamodb:UpdateItem", image).map(|_| ())
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
