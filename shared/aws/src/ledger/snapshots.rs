//! Rows `SNAPSHOT#`: the accounts that ami-share granted a snapshot.

use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};

use crate::error::AwsError;
use crate::ledger::change::Change;
use crate::ledger::rows::RowKey;
use crate::ledger::writer::LedgerWriter;

impl LedgerWriter {
    /// Records that `accounts` are granted a snapshot. Written before the first call to EC2, as for shares.
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

    /// Records that a snapshot is revoked from `accounts`.
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
}
