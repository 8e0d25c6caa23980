//! Rows `INTENT`: the desired state that was last recorded for an image.

use ami_share_domain::ids::ImageId;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::targets::target::Target;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use crate::error::{AwsError, Explain, incomplete_request};
use crate::ledger::rows::{IS_MANAGED, MANAGED, RowKey, number, set, text};
use crate::ledger::writer::{LedgerWriter, TRANSACT, to_item, unless_condition_failed};

impl LedgerWriter {
    /// Records who triggered the sharing of an image that cannot be shared yet. An intent that exists already stays.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn record_requester(&self, image: &ImageId, requested: &Intent) -> Result<(), AwsError> {
        let mut item = to_item(requested, image)?;
        item.extend(RowKey::intent(image).item());
        self.put_new(item, image).await
    }

    /// Records an intent, and the principals that it needs on each key, in one transaction. `false` when another
    /// reconciliation recorded an intent after `last` was read: the caller must read the image again.
    ///
    /// # Errors
    /// When `dynamodb:TransactWriteItems` fails for another reason.
    pub async fn record_intent(
        &self,
        share: &Share,
        last: Option<&Intent>,
        next: &Intent,
    ) -> Result<bool, AwsError> {
        let image = &share.desired.image.id;
        let mut item = to_item(next, image)?;
        item.extend(RowKey::intent(image).item());
        item.insert(MANAGED.to_owned(), text(IS_MANAGED));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        // A caller that read no row must still find none: a row written since then names its own requester.
        let put = match last {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(last) => put
                .condition_expression("attribute_not_exists(pk) OR #number = :last")
                .expression_attribute_names("#number", "number")
                .expression_attribute_values(":last", number(last.number)),
        };
        let put = put.build().map_err(|error| incomplete_request(TRANSACT, image, error))?;
        let mut writes = vec![TransactWriteItem::builder().put(put).build()];
        if !share.desired.targets.is_empty() {
            let principals = set(share.desired.targets.iter().map(Target::key_principal));
            for key in &share.desired.keys {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(RowKey::need(key, image).item()))
                    .update_expression("ADD principals :principals DELETE pending_revocation :principals")
                    .expression_attribute_values(":principals", principals.clone())
                    .build()
                    .map_err(|error| incomplete_request(TRANSACT, image, error))?;
                writes.push(TransactWriteItem::builder().update(update).build());
            }
        }
        self.transact(writes, image).await
    }

    /// Removes an image from the index of managed images, unless a later intent was recorded meanwhile.
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
        unless_condition_failed(request.send().await.explain("dynamodb:UpdateItem", image))
    }
}
