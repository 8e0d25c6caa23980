//! What people do with permissions by hand, beside ami-share.

use anyhow::{Context, Result};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};

use super::Account;

impl Account {
    /// Opens an image to an account by hand, as people without ami-share do.
    pub async fn grant_out_of_band(&self, image: &str, account: &str) -> Result<()> {
        self.make_public_out_of_band(image, &[account.to_owned()]).await
    }

    /// Opens an image to accounts, with one call.
    pub async fn make_public_out_of_band(&self, image: &str, accounts: &[String]) -> Result<()> {
        let add = accounts.iter().map(|id| LaunchPermission::builder().user_id(id).build()).collect();
        self.change_image(image, LaunchPermissionModifications::builder().set_add(Some(add)).build()).await
    }

    /// Takes an image from an account by hand.
    pub async fn revoke_out_of_band(&self, image: &str, account: &str) -> Result<()> {
        let remove = LaunchPermission::builder().user_id(account).build();
        self.change_image(image, LaunchPermissionModifications::builder().remove(remove).build()).await
    }

    /// Opens an image to everybody.
    pub async fn make_public(&self, image: &str) -> Result<()> {
        let add = LaunchPermission::builder().group(PermissionGroup::All).build();
        self.change_image(image, LaunchPermissionModifications::builder().add(add).build()).await
    }

    /// Takes an image from everybody who is not named.
    pub async fn make_private(&self, image: &str) -> Result<()> {
        let remove = LaunchPermission::builder().group(PermissionGroup::All).build();
        self.change_image(image, LaunchPermissionModifications::builder().remove(remove).build()).await
    }

    async fn change_image(&self, image: &str, change: LaunchPermissionModifications) -> Result<()> {
        let request = self.ec2.modify_image_attribute().image_id(image).launch_permission(change);
        request.send().await.context("ModifyImageAttribute")?;
        Ok(())
    }

    /// Opens a snapshot to an account by hand.
    pub async fn grant_snapshot_out_of_band(&self, snapshot: &str, account: &str) -> Result<()> {
        self.make_snapshot_public_out_of_band(snapshot, &[account.to_owned()]).await
    }

    /// Opens a snapshot to accounts, with one call.
    pub async fn make_snapshot_public_out_of_band(&self, snapshot: &str, accounts: &[String]) -> Result<()> {
        let add = accounts.iter().map(|id| CreateVolumePermission::builder().user_id(id).build()).collect();
        let change = CreateVolumePermissionModifications::builder().set_add(Some(add)).build();
        self.change_snapshot(snapshot, change).await
    }

    /// Takes a snapshot from an account by hand.
    pub async fn revoke_snapshot_out_of_band(&self, snapshot: &str, account: &str) -> Result<()> {
        let remove = CreateVolumePermission::builder().user_id(account).build();
        self.change_snapshot(snapshot, CreateVolumePermissionModifications::builder().remove(remove).build())
            .await
    }

    /// Opens a snapshot to everybody.
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
