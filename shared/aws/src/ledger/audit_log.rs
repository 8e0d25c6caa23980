//! Rows `AUDIT#`: what was granted and revoked, by which trigger.

use ami_share_domain::audit_log::AuditRow;
use ami_share_domain::ids::ImageId;

use crate::error::AwsError;
use crate::ledger::rows::RowKey;
use crate::ledger::writer::{LedgerWriter, to_item};

impl LedgerWriter {
    /// Appends rows to an image's audit log, which never change: a row that exists already is the same row, and is
    /// not written again. `unique` separates the rows of one invocation from those of others.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn append(&self, image: &ImageId, rows: &[AuditRow], unique: &str) -> Result<(), AwsError> {
        for (position, row) in rows.iter().enumerate() {
            let mut item = to_item(row, image)?;
            item.extend(RowKey::audit(image, row.at, &format!("{unique}-{position}")).item());
            self.put_new(item, image).await?;
        }
        Ok(())
    }
}
