//! Writes the ledger's rows. What they mean is in `ami_share_domain::ledger`.

use std::collections::BTreeSet;
use std::time::Duration;

use ami_share_domain::audit_log::AuditRow;
use ami_share_domain::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::{Intent, ShareRow};
use ami_share_domain::image::schedule::Schedules;
use ami_share_domain::key::ledger::{ExcludedChange, KeyLedger};
use ami_share_domain::notify::plan::{Conclusion, ReportedUnmanaged, warning_of};
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::Target;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, DeleteRequest, Put, PutRequest, TransactWriteItem, Update, WriteRequest,
};
use jiff::Timestamp;

use crate::change::Change;
use crate::error::{AwsError, Explain, Fault, lacks};
use crate::leases::Lease;
use crate::rows::{IS_MANAGED, Item, MANAGED, RowKey, number, set, text};

/// Writes that one `BatchWriteItem` takes. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;
const BATCH_WRITE: &str = "dynamodb:BatchWriteItem";
/// How often a batch of which DynamoDB left some is written.
const WRITE_ROUNDS: u32 = 5;
/// The pause before the second round; each one after it takes as much longer.
const PAUSE: Duration = Duration::from_millis(100);

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
    pub async fn record_requester(&self, image: &ImageId, requested: &Intent) -> Result<(), AwsError> {
        let mut item = to_item(requested, image)?;
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
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        // Who found none must find none still: what somebody asked for meanwhile says who asked.
        let put = match last {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(last) => put
                .condition_expression("attribute_not_exists(pk) OR #number = :last")
                .expression_attribute_names("#number", "number")
                .expression_attribute_values(":last", number(last.number)),
        };
        let put = put.build().map_err(|error| lacks(CALL, image, error.to_string()))?;
        let mut writes = vec![TransactWriteItem::builder().put(put).build()];
        if !share.targets.is_empty() {
            let principals = set(share.targets.iter().map(Target::key_principal));
            for key in &share.keys {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(RowKey::need(key, image).item()))
                    .update_expression("ADD principals :principals DELETE pending_revocation :principals")
                    .expression_attribute_values(":principals", principals.clone())
                    .build()
                    .map_err(|error| lacks(CALL, image, error.to_string()))?;
                writes.push(TransactWriteItem::builder().update(update).build());
            }
        }
        self.transact(writes, image).await
    }

    /// Gives up those whom an image needs no more on a key: they are leaving from now on. `false` when a later
    /// intent than `intent` was recorded meanwhile, which may need them; then nothing is written.
    ///
    /// # Errors
    /// When `dynamodb:TransactWriteItems` fails for another reason.
    pub async fn release_principals(
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
        let release_principals = Update::builder()
            .table_name(&self.table)
            .set_key(Some(RowKey::need(key, image).item()))
            .update_expression("DELETE principals :gone, excluded :gone ADD pending_revocation :gone")
            .expression_attribute_values(":gone", set(principals))
            .build()
            .map_err(|error| lacks(CALL, image, error.to_string()))?;
        let is_last = TransactWriteItem::builder().condition_check(is_last).build();
        self.transact(vec![is_last, TransactWriteItem::builder().update(release_principals).build()], image)
            .await
    }

    /// All of the writes, or none: `false` when one of their conditions did not hold.
    async fn transact(&self, writes: Vec<TransactWriteItem>, image: &ImageId) -> Result<bool, AwsError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let cancelled = sent.as_ref().err().and_then(|error| error.as_service_error()).and_then(cancelled);
        match (sent.explain("dynamodb:TransactWriteItems", image), cancelled) {
            (Ok(_), _) => Ok(true),
            (Err(_), Some(Cancelled::Condition)) => Ok(false),
            (Err(_), Some(Cancelled::Passing)) => Err(AwsError::Busy(format!("rows of {image}"))),
            (Err(error), None) => Err(error),
        }
    }

    /// Forgets those who have left a key's policy, and rows that say nothing any more.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn forget_revoked(
        &self,
        key: &KeyArn,
        ledger: &KeyLedger,
        left: &BTreeSet<KeyPrincipal>,
    ) -> Result<(), AwsError> {
        for (image, need) in &ledger.needed_by {
            let left: Vec<_> = need.pending_revocation.intersection(left).collect();
            if left.is_empty() {
                continue;
            }
            let row = RowKey::need(key, image);
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(row.item()))
                .update_expression("DELETE pending_revocation :left")
                .expression_attribute_values(":left", set(left));
            request.send().await.explain("dynamodb:UpdateItem", key)?;
            self.delete_if_empty(&row).await?;
        }
        Ok(())
    }

    async fn delete_if_empty(&self, row: &RowKey) -> Result<(), AwsError> {
        let request =
            self.client.delete_item().table_name(&self.table).set_key(Some(row.item())).condition_expression(
                "attribute_not_exists(principals) AND attribute_not_exists(pending_revocation)",
            );
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
    pub async fn set_schedules(&self, image: &ImageId, made: &Schedules) -> Result<(), AwsError> {
        let mut item = to_item(made, image)?;
        item.extend(RowKey::schedules(image).item());
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.explain("dynamodb:PutItem", image).map(|_| ())
    }

    /// Records whom a key's policy leaves out, so that writers for other images do not stumble over them.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn change_excluded(&self, key: &KeyArn, change: &ExcludedChange) -> Result<(), AwsError> {
        let ExcludedChange { image, add, remove } = change;
        let row = RowKey::need(key, image);
        // DynamoDB does not take two changes of one attribute at once.
        self.update(&row, Change::default().add("excluded", add)).await?;
        self.update(&row, Change::default().delete("excluded", remove)).await
    }

    /// Puts share rows, and deletes those of words whose refusal no longer stands. There may be a thousand of them, so
    /// the turn is renewed before each batch.
    ///
    /// # Errors
    /// When the turn is lost, or `dynamodb:BatchWriteItem` fails or leaves rows unwritten.
    pub async fn write_shares(
        &self,
        image: &ImageId,
        rows: &[ShareRow],
        gone: &[String],
        lease: &Lease,
    ) -> Result<(), AwsError> {
        let mut writes = Vec::new();
        for row in rows {
            let mut item = to_item(row, image)?;
            item.extend(RowKey::share(image, &row.target).item());
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| lacks(BATCH_WRITE, image, error.to_string()))?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        for selector in gone {
            let key = RowKey::share(image, selector).item();
            let delete = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(|error| lacks(BATCH_WRITE, image, error.to_string()))?;
            writes.push(WriteRequest::builder().delete_request(delete).build());
        }
        for batch in writes.chunks(BATCH) {
            self.write(batch.to_vec(), image, lease).await?;
        }
        Ok(())
    }

    /// Writes a batch, and again what DynamoDB leaves of it: what the rows speak of has been done or told
    /// already, so the workflow, which could come again too, would do it twice.
    async fn write(
        &self,
        mut batch: Vec<WriteRequest>,
        image: &ImageId,
        lease: &Lease,
    ) -> Result<(), AwsError> {
        for round in 0..WRITE_ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE * round).await;
            }
            lease.renew().await?;
            let request = self.client.batch_write_item().request_items(&self.table, batch);
            let answer = request.send().await.explain(BATCH_WRITE, image)?;
            batch = answer.unprocessed_items.unwrap_or_default().remove(&self.table).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
        }
        let left = format!("of its rows the table has not taken {}, again and again", batch.len());
        Err(AwsError::Unfinished { call: BATCH_WRITE, subject: image.to_string(), left })
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
        self.update(&RowKey::snapshot(image, snapshot), Change::default().add("accounts", accounts)).await
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
        self.update(&RowKey::snapshot(image, snapshot), Change::default().delete("accounts", accounts)).await
    }

    /// Records which accounts have been told: on their bus, or not for want of one.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_notified(
        &self,
        image: &ImageId,
        delivered: &[AccountId],
        without_bus: &[AccountId],
    ) -> Result<(), AwsError> {
        let change = Change::default().add("delivered", delivered).add("without_bus", without_bus);
        self.update(&RowKey::notified(image), change).await
    }

    /// Records which accounts have been warned of the end, as long as others have not.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_warned(
        &self,
        image: &ImageId,
        accounts: &[AccountId],
        end: Timestamp,
    ) -> Result<(), AwsError> {
        let warnings = accounts.iter().map(|account| warning_of(account, end));
        self.update(&RowKey::notified(image), Change::default().add("warning", warnings)).await
    }

    /// Forgets that accounts have been told of access: they have none any more, and are told anew of the next.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn forget_notified(&self, image: &ImageId, accounts: &[AccountId]) -> Result<(), AwsError> {
        let change = Change::default().delete("delivered", accounts).delete("without_bus", accounts);
        self.update(&RowKey::notified(image), change).await
    }

    /// Makes a change in one call, or in none where there is nothing to change.
    async fn update(&self, row: &RowKey, change: Change) -> Result<(), AwsError> {
        if change.is_empty() {
            return Ok(());
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(row.item()))
            .update_expression(change.expression())
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values).filter(|values| !values.is_empty()));
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
        let change = Change::default().set("waiting_for", text(report_id));
        let change = change.set("waiting_until", text(until.to_string()));
        self.update(&RowKey::notified(image), change).await
    }

    /// Records that all of an outcome was told at a moment, and what is to be remembered of the whole image.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn conclude(
        &self,
        image: &ImageId,
        conclusion: &Conclusion,
        at: Timestamp,
    ) -> Result<(), AwsError> {
        let Conclusion { warned, unmanaged, status } = conclusion;
        let moment = |moment: Timestamp| text(moment.to_string());
        let mut change = Change::default().set("outcome_at", moment(at));
        if let Some(status) = status {
            change = change.set("status", text(status)).set("at", moment(at));
        }
        if let Some(end) = warned {
            // All are warned: whom of them that was begun with matters no more.
            change = change.set("warned", moment(*end)).remove("warning");
        }
        if let Some(ReportedUnmanaged { grants, at }) = unmanaged {
            change = change.set("unmanaged_reported_at", moment(*at));
            // There are no empty sets.
            change = if grants.is_empty() {
                change.remove("unmanaged")
            } else {
                change.set("unmanaged", set(grants))
            };
        }
        self.update(&RowKey::notified(image), change).await
    }
}

fn to_item<T: serde::Serialize>(row: &T, image: &ImageId) -> Result<Item, AwsError> {
    serde_dynamo::to_item(row).map_err(|error| lacks("dynamodb:PutItem", image, error.to_string()))
}

/// Why a transaction was cancelled, where something follows from it.
enum Cancelled {
    /// A condition did not hold.
    Condition,
    /// It met another one, or too many at once: later it works.
    Passing,
}

/// What follows from a transaction that was cancelled. `None`: nothing, because the reason (such as a request that
/// DynamoDB does not understand) is the same however often it is sent. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn cancelled(error: &TransactWriteItemsError) -> Option<Cancelled> {
    const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return None };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return Some(Cancelled::Condition);
    }
    codes().all(|code| code == "None" || PASSING.contains(&code)).then_some(Cancelled::Passing)
}
