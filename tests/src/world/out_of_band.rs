//! Out-of-band changes of the permissions of images and snapshots.

use anyhow::{Context, Result};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};

use super::Account;

impl Account {
    /// Adds a launch permission for an account.
    pub async fn grant_out_of_band(&self, image: &str, account: &str) -> Result<()> {
        self.grant_accounts_out_of_band(image, &[account.to_owned()]).await
    }

    /// Adds launch permissions for several accounts, with one call.
    pub async fn grant_accounts_out_of_band(&self, image: &str, accounts: &[String]) -> Result<()> {
        let add = accounts.iter().map(|id| LaunchPermission::builder().user_id(id).build()).collect();
        self.change_image(image, LaunchPermissionModifications::builder().set_add(Some(add)).build()).await
    }

    /// Removes the launch permission of an account.
    pub async fn revoke_out_of_band(&self, image: &str, account: &str) -> Result<()> {
        let remove = LaunchPermission::builder().user_id(account).build();
        self.change_image(image, LaunchPermissionModifications::builder().remove(remove).build()).await
    }

    /// Adds the launch permission of the group `all`.
    pub async fn make_public(&self, image: &str) -> Result<()> {
        let add = LaunchPermission::builder().group(PermissionGroup::All).build();
        self.change_image(image, LaunchPermissionModifications::builder().add(add).build()).await
    }

    /// Removes the launch permission of the group `all`; those of accounts stay.
    pub async fn make_private(&self, image: &str) -> Result<()> {
        let remove = LaunchPermission::builder().group(PermissionGroup::All).build();
        self.change_image(image, LaunchPermissionModifications::builder().remove(remove).build()).await
    }

    async fn change_image(&self, image: &str, change: LaunchPermissionModifications) -> Result<()> {
        let request = self.ec2.modify_image_attribute().image_id(image).launch_permission(change);
        request.send().await.context("ModifyImageAttribute")?;
        Ok(())
    }

    /// Adds the permission to copy a snapshot for an account.
    pub async fn grant_snapshot_out_of_band(&self, snapshot: &str, account: &str) -> Result<()> {
        self.grant_snapshot_accounts_out_of_band(snapshot, &[account.to_owned()]).await
    }

    /// Adds the permission to copy a snapshot for several accounts, with one call.
    pub async fn grant_snapshot_accounts_out_of_band(
        &self,
        snapshot: &str,
        accounts: &[String],
    ) -> Result<()> {
        let add = accounts.iter().map(|id| CreateVolumePermission::builder().user_id(id).build()).collect();
        let change = CreateVolumePermissionModifications::builder().set_add(Some(add)).build();
        self.change_snapshot(snapshot, change).await
    }

    /// Removes the permission of an account to copy a snapshot.
    pub async fn revoke_snapshot_out_of_band(&self, snapshot: &str, account: &str) -> Result<()> {
        let remove = CreateVolumePermission::builder().user_id(account).build();
        self.change_snapshot(snapshot, CreateVolumePermissionModifications::builder().remove(remove).build())
            .await
    }

    /// Adds the permission of the group `all` to copy a snapshot.
    pub async fn make_snapshot_public(&self, snapshot: &str) -> Result<()> {
        let add = CreateVolumePermission::builder().group(PermissionGroup::All).build();
        self.change_snapshot(snapshot, CreateVolumePermissionModifications::builder().add(add).build()).await
    }

    async fn change_snapshot(
        &self,
        snapshot: &str,
        change: CreateVolumePermissionModifications,
    ) -> Result<()> {
        let request = self.ec2.modify_snapshot_attribute().snapshot_id(snapshot);
        let request = request.attribute(SnapshotAttributeName::CreateVolumePermission);
        request.create_volume_permission(change).send().await.context("ModifySnapshotAttribute")?;
        Ok(())
    }
}
