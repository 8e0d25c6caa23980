//! Writes the ledger's rows. The methods of each kind of row stand in a module of their own.

use ami_share_domain::ids::ImageId;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault, incomplete_request};
use crate::ledger::change::Change;
use crate::ledger::rows::{Item, RowKey};

pub(super) const TRANSACT: &str = "dynamodb:TransactWriteItems";
const PUT: &str = "dynamodb:PutItem";

/// Writes the ledger.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) clock: Clock,
}

impl LedgerWriter {
    /// A writer of `table`.
    pub fn new(client: Client, table: String, clock: Clock) -> Self {
        Self { client, table, clock }
    }

    /// Puts a row, unless there is one with its key.
    pub(super) async fn put_new(&self, item: Item, image: &ImageId) -> Result<(), AwsError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = request.condition_expression("attribute_not_exists(pk)");
        unless_condition_failed(request.send().await.explain(PUT, image))
    }

    /// Makes a change in one call; an empty change makes no call.
    pub(super) async fn update(&self, row: &RowKey, change: Change) -> Result<(), AwsError> {
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

    /// Sends all of the writes, or none: `false` when one of their conditions does not hold.
    pub(super) async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
        image: &ImageId,
    ) -> Result<bool, AwsError> {
        let sent = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let cancelled = sent.as_ref().err().and_then(|error| error.as_service_error()).and_then(cancelled);
        match (sent.explain(TRANSACT, image), cancelled) {
            (Ok(_), _) => Ok(true),
            (Err(_), Some(Cancelled::Condition)) => Ok(false),
            (Err(_), Some(Cancelled::Transient)) => {
                Err(AwsError::Busy(format!("DynamoDB cannot write rows of {image} at the moment")))
            }
            (Err(error), None) => Err(error),
        }
    }
}

/// A write whose condition does not hold has nothing to do.
pub(super) fn unless_condition_failed<T>(result: Result<T, AwsError>) -> Result<(), AwsError> {
    match result {
        Err(error) if error.fault() == Fault::Condition => Ok(()),
        result => result.map(|_| ()),
    }
}

pub(super) fn to_item<T: serde::Serialize>(row: &T, image: &ImageId) -> Result<Item, AwsError> {
    serde_dynamo::to_item(row).map_err(|error| incomplete_request(PUT, image, error))
}

/// Why a transaction was cancelled, as far as the caller reacts to it.
enum Cancelled {
    /// A condition did not hold.
    Condition,
    /// It met another transaction, or the table was throttled: it may succeed later.
    Transient,
}

/// Why a transaction was cancelled. `None` when the same request would be cancelled again, for example because
/// DynamoDB does not understand it. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn cancelled(error: &TransactWriteItemsError) -> Option<Cancelled> {
    const TRANSIENT: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return None };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return Some(Cancelled::Condition);
    }
    codes().all(|code| code == "None" || TRANSIENT.contains(&code)).then_some(Cancelled::Transient)
}
