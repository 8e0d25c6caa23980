//! What other images need on a snapshot: one snapshot may be behind several images, each with its own rows in the ledger.

use std::collections::BTreeSet;

use ami_share_aws::ec2::images::ImageReader;
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::unmanaged::UnmanagedGrant;

/// Reads what other images need.
#[derive(Debug)]
pub(crate) struct OtherImages {
    pub(crate) images: ImageReader,
    pub(crate) ledger: LedgerReader,
}

impl OtherImages {
    /// The accounts that have access to a snapshot through other images than `image`, or are about to get it.
    pub(crate) async fn needing(
        &self,
        image: &ImageId,
        snapshot: &SnapshotId,
    ) -> Result<BTreeSet<AccountId>, AwsError> {
        let mut accounts = BTreeSet::new();
        for other in self.images.of_snapshot(snapshot).await?.iter().filter(|other| *other != image) {
            let mut ledger = self.ledger.image(other).await?;
            accounts.extend(ledger.snapshots.remove(snapshot).unwrap_or_default());
        }
        Ok(accounts)
    }

    /// The same before a revocation. If it cannot be read, no account is kept: revoking too much is repaired by the next
    /// reconciliation of the other image, and revoking too little by none.
    pub(crate) async fn keeping(&self, image: &ImageId, snapshot: &SnapshotId) -> BTreeSet<AccountId> {
        let needed = self.needing(image, snapshot).await;
        needed
            .inspect_err(|error| tracing::warn!(%error, "other images are not considered"))
            .unwrap_or_default()
    }

    /// The grants without those on snapshots that ami-share made for other images.
    pub(crate) async fn without_managed(
        &self,
        image: &ImageId,
        grants: Vec<UnmanagedGrant>,
    ) -> Vec<UnmanagedGrant> {
        let snapshots: BTreeSet<SnapshotId> =
            grants.iter().filter_map(|grant| grant.resource.parse().ok()).collect();
        let mut managed = BTreeSet::new();
        for snapshot in snapshots {
            let needed = self.keeping(image, &snapshot).await;
            managed.extend(needed.into_iter().map(|account| UnmanagedGrant {
                resource: snapshot.to_string(),
                grantee: account.to_string(),
            }));
        }
        grants.into_iter().filter(|grant| !managed.contains(grant)).collect()
    }
}
