//! Reads and adds launch permissions of images and create-volume permissions of snapshots.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image_plan::{ImageStep, ObservedImage};
use ami_share_domain::isolation::Isolation;
use ami_share_domain::share::LaunchPermission;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, ImageAttributeName,
    LaunchPermission as Ec2LaunchPermission, LaunchPermissionModifications, SnapshotAttributeName,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::{AwsError, Explain, Fault};

/// Snapshots that are asked about at the same time.
const CONCURRENT_READS: usize = 8;

/// Reads who has access.
#[derive(Debug, Clone)]
pub struct PermissionReader {
    client: Client,
}

impl PermissionReader {
    /// A reader.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Who may launch the image, and copy each of `snapshots`. A group (`all`) is not among them:
    /// we neither grant nor take it.
    ///
    /// # Errors
    /// When `ec2:DescribeImageAttribute` or `ec2:DescribeSnapshotAttribute` fails.
    pub async fn observe(
        &self,
        image: &ImageId,
        snapshots: &[SnapshotId],
    ) -> Result<ObservedImage, AwsError> {
        let (launch, snapshots) =
            futures::future::try_join(self.launch(image), self.snapshots(snapshots)).await?;
        Ok(ObservedImage { launch, snapshots })
    }

    async fn launch(&self, image: &ImageId) -> Result<BTreeSet<LaunchPermission>, AwsError> {
        let request = self
            .client
            .describe_image_attribute()
            .image_id(image.as_str())
            .attribute(ImageAttributeName::LaunchPermission);
        let answer = request.send().await.explain("ec2:DescribeImageAttribute", image)?;
        Ok(answer.launch_permissions().iter().filter_map(from_ec2).collect())
    }

    async fn snapshots(
        &self,
        snapshots: &[SnapshotId],
    ) -> Result<BTreeMap<SnapshotId, BTreeSet<AccountId>>, AwsError> {
        stream::iter(snapshots)
            .map(|snapshot| async move { Ok((snapshot.clone(), self.snapshot(snapshot).await?)) })
            .buffer_unordered(CONCURRENT_READS)
            .try_collect()
            .await
    }

    async fn snapshot(&self, snapshot: &SnapshotId) -> Result<BTreeSet<AccountId>, AwsError> {
        let request = self
            .client
            .describe_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission);
        let answer = request.send().await.explain("ec2:DescribeSnapshotAttribute", snapshot)?;
        Ok(answer
            .create_volume_permissions()
            .iter()
            .filter_map(|permission| permission.user_id()?.parse().ok())
            .collect())
    }
}

/// What AWS did not accept of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedPermission {
    /// The launch permission, or the account of a snapshot permission.
    pub permission: LaunchPermission,
    /// What AWS said.
    pub message: String,
}

/// Adds permissions. It cannot remove any, and it knows no way to say `all`.
#[derive(Debug, Clone)]
pub struct PermissionWriter {
    client: Client,
}

impl PermissionWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Takes one step of a plan. One bad item does not stop the others: it is found, and returned.
    ///
    /// # Errors
    /// When the call fails for another reason than an item of it.
    pub async fn apply(
        &self,
        image: &ImageId,
        step: &ImageStep,
    ) -> Result<Vec<RejectedPermission>, AwsError> {
        match step {
            ImageStep::OpenImage { permissions } => {
                isolated(permissions.clone(), |group| self.open_image(image, group)).await
            }
            ImageStep::OpenSnapshot { snapshot, accounts } => {
                let accounts = accounts.iter().cloned().map(LaunchPermission::Account).collect();
                isolated(accounts, |group| self.open_snapshot(snapshot, group)).await
            }
        }
    }

    async fn open_image(&self, image: &ImageId, permissions: Vec<LaunchPermission>) -> Result<(), AwsError> {
        let add = permissions.iter().map(to_ec2).collect();
        let modifications = LaunchPermissionModifications::builder().set_add(Some(add)).build();
        let request =
            self.client.modify_image_attribute().image_id(image.as_str()).launch_permission(modifications);
        request.send().await.explain("ec2:ModifyImageAttribute", image).map(|_| ())
    }

    async fn open_snapshot(
        &self,
        snapshot: &SnapshotId,
        accounts: Vec<LaunchPermission>,
    ) -> Result<(), AwsError> {
        let add = accounts
            .iter()
            .map(|account| CreateVolumePermission::builder().user_id(account.to_string()).build());
        let modifications =
            CreateVolumePermissionModifications::builder().set_add(Some(add.collect())).build();
        let request = self
            .client
            .modify_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission)
            .create_volume_permission(modifications);
        request.send().await.explain("ec2:ModifySnapshotAttribute", snapshot).map(|_| ())
    }
}

async fn isolated<F>(
    items: Vec<LaunchPermission>,
    call: impl Fn(Vec<LaunchPermission>) -> F,
) -> Result<Vec<RejectedPermission>, AwsError>
where
    F: Future<Output = Result<(), AwsError>>,
{
    let mut isolation = Isolation::new(items);
    let mut rejected = Vec::new();
    while let Some(group) = isolation.next_group() {
        match call(group.to_vec()).await {
            Ok(()) => isolation.answer(true),
            Err(error) if error.fault() == Fault::Rejected => {
                if let [permission] = group {
                    rejected.push(RejectedPermission {
                        permission: permission.clone(),
                        message: error.to_string(),
                    });
                }
                isolation.answer(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rejected)
}

fn from_ec2(permission: &Ec2LaunchPermission) -> Option<LaunchPermission> {
    let account = permission.user_id().and_then(|id| id.parse().ok()).map(LaunchPermission::Account);
    let ou = permission.organizational_unit_arn().and_then(|arn| arn.parse().ok()).map(LaunchPermission::Ou);
    let organization =
        permission.organization_arn().and_then(|arn| arn.parse().ok()).map(LaunchPermission::Organization);
    account.or(ou).or(organization)
}

fn to_ec2(permission: &LaunchPermission) -> Ec2LaunchPermission {
    let builder = Ec2LaunchPermission::builder();
    match permission {
        LaunchPermission::Account(id) => builder.user_id(id.as_str()),
        LaunchPermission::Ou(arn) => builder.organizational_unit_arn(arn.as_str()),
        LaunchPermission::Organization(arn) => builder.organization_arn(arn.as_str()),
    }
    .build()
}
