//! Rows `IMAGE#` of a key: the principals that an image needs on it, and those pending revocation.

use std::collections::BTreeSet;

use ami_share_domain::ids::{ImageId, KeyArn};
use ami_share_domain::key::ledger::{ExcludedChange, KeyLedger};
use ami_share_domain::targets::target::KeyPrincipal;
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};

use crate::error::{AwsError, Explain, incomplete_request};
use crate::ledger::change::Change;
use crate::ledger::rows::{RowKey, number, set};
use crate::ledger::writer::{LedgerWriter, TRANSACT, unless_condition_failed};

impl LedgerWriter {
    /// Releases principals that an image no longer needs on a key: from now on they are pending revocation. `false`
    /// when an intent later than `intent` was recorded meanwhile, which may need them; then nothing is written.
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
        let is_last = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(RowKey::intent(image).item()))
            .condition_expression("#number = :number")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":number", number(intent))
            .build()
            .map_err(|error| incomplete_request(TRANSACT, image, error))?;
        let release = Update::builder()
            .table_name(&self.table)
            .set_key(Some(RowKey::need(key, image).item()))
            .update_expression(
                "DELETE principals :released, excluded :released ADD pending_revocation :released",
            )
            .expression_attribute_values(":released", set(principals))
            .build()
            .map_err(|error| incomplete_request(TRANSACT, image, error))?;
        let is_last = TransactWriteItem::builder().condition_check(is_last).build();
        self.transact(vec![is_last, TransactWriteItem::builder().update(release).build()], image).await
    }

    /// Forgets principals that a key's policy no longer grants, and deletes rows that are empty by then.
    ///
    /// # Errors
    /// When a write fails.
    pub async fn forget_revoked(
        &self,
        key: &KeyArn,
        ledger: &KeyLedger,
        revoked: &BTreeSet<KeyPrincipal>,
    ) -> Result<(), AwsError> {
        for (image, need) in &ledger.needed_by {
            let revoked: Vec<_> = need.pending_revocation.intersection(revoked).collect();
            if revoked.is_empty() {
                continue;
            }
            let row = RowKey::need(key, image);
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(row.item()))
                .update_expression("DELETE pending_revocation :revoked")
                .expression_attribute_values(":revoked", set(revoked));
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
        unless_condition_failed(request.send().await.explain("dynamodb:DeleteItem", &row.pk))
    }

    /// Records which principals are excluded from a key's policy, so that reconciliations of other images do not try
    /// them again.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn change_excluded(&self, key: &KeyArn, change: &ExcludedChange) -> Result<(), AwsError> {
        let ExcludedChange { image, add, remove } = change;
        let row = RowKey::need(key, image);
        // DynamoDB accepts only one change of an attribute in one update.
        self.update(&row, Change::default().add("excluded", add)).await?;
        self.update(&row, Change::default().delete("excluded", remove)).await
    }
}
