//! Reads, adds and removes launch permissions of images and create-volume permissions of snapshots.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::plan::{ImageStep, ObservedImage, Verdict};
use ami_share_domain::isolation::Isolation;
use ami_share_domain::targets::target::LaunchPermission;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, ImageAttributeName,
    LaunchPermission as Ec2LaunchPermission, LaunchPermissionModifications, PermissionGroup,
    SnapshotAttributeName,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::{AwsError, Explain, Fault};
use crate::ledger::leases::Lease;

/// Snapshots that are read at the same time.
const CONCURRENT_READS: usize = 8;

/// Reads the permissions.
#[derive(Debug, Clone)]
pub struct PermissionReader {
    client: Client,
}

impl PermissionReader {
    /// A reader.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Who may launch the image, and copy each of `snapshots`.
    ///
    /// # Errors
    /// When `ec2:DescribeImageAttribute` or `ec2:DescribeSnapshotAttribute` fails.
    pub async fn observe(
        &self,
        image: &ImageId,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<ObservedImage, AwsError> {
        let (launch, snapshots) =
            futures::future::try_join(self.launch(image), self.snapshots(snapshots)).await?;
        let is_gone = launch.is_none();
        let (launch, is_public) = launch.unwrap_or_default();
        let public_snapshots = snapshots
            .iter()
            .filter(|(_, (_, is_public))| *is_public)
            .map(|(snapshot, _)| snapshot.clone())
            .collect();
        let snapshots = snapshots.into_iter().map(|(snapshot, (accounts, _))| (snapshot, accounts)).collect();
        Ok(ObservedImage { launch, snapshots, is_gone, is_public, public_snapshots })
    }

    /// Who may launch the image, and whether it is public; `None` when it is gone.
    async fn launch(&self, image: &ImageId) -> Result<Option<(BTreeSet<LaunchPermission>, bool)>, AwsError> {
        let request = self
            .client
            .describe_image_attribute()
            .image_id(image.as_str())
            .attribute(ImageAttributeName::LaunchPermission);
        match request.send().await.explain("ec2:DescribeImageAttribute", image) {
            Ok(answer) => {
                let permissions = answer.launch_permissions();
                let is_public =
                    permissions.iter().any(|permission| permission.group() == Some(&PermissionGroup::All));
                Ok(Some((permissions.iter().filter_map(from_ec2).collect(), is_public)))
            }
            Err(error) if error.fault() == Fault::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn snapshots(
        &self,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<BTreeMap<SnapshotId, (BTreeSet<AccountId>, bool)>, AwsError> {
        stream::iter(snapshots)
            .map(|snapshot| async move { Ok((snapshot.clone(), self.snapshot(snapshot).await?)) })
            .buffer_unordered(CONCURRENT_READS)
            .try_collect()
            .await
    }

    /// Which accounts may copy a snapshot, and whether it is public. A deleted snapshot has no permissions.
    async fn snapshot(&self, snapshot: &SnapshotId) -> Result<(BTreeSet<AccountId>, bool), AwsError> {
        let request = self
            .client
            .describe_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission);
        match request.send().await.explain("ec2:DescribeSnapshotAttribute", snapshot) {
            Ok(answer) => {
                let permissions = answer.create_volume_permissions();
                let is_public =
                    permissions.iter().any(|permission| permission.group() == Some(&PermissionGroup::All));
                let accounts = permissions.iter().filter_map(|permission| permission.user_id()?.parse().ok());
                Ok((accounts.collect(), is_public))
            }
            Err(error) if error.fault() == Fault::Missing => Ok((BTreeSet::new(), false)),
            Err(error) => Err(error),
        }
    }
}

/// A permission that AWS rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedPermission {
    /// The launch permission, or the account of a snapshot permission.
    pub permission: LaunchPermission,
    /// What AWS said.
    pub message: String,
}

/// The result of a step.
#[derive(Debug, Default)]
#[must_use]
pub struct Applied {
    /// The calls that AWS accepted.
    pub accepted: Vec<AcceptedPermissions>,
    /// The permissions that it rejected.
    pub rejected: Vec<RejectedPermission>,
    /// Why the step stopped. The calls that AWS had accepted by then have taken effect.
    pub failure: Option<AwsError>,
}

impl Applied {
    /// A step that failed before its first call.
    pub fn failed(failure: AwsError) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }

    /// The result for one account of the step. A resource that is gone counts as revoked for every account.
    pub fn verdict(&self, account: &AccountId) -> Verdict {
        let is_accepted =
            || self.accepted.iter().any(|call| call.principals.iter().any(|id| id == account.as_str()));
        if self.rejected.iter().any(|rejected| rejected.permission.name() == account.as_str()) {
            Verdict::Rejected
        } else if self.failure.is_none() || is_accepted() {
            Verdict::Accepted
        } else {
            Verdict::Unknown
        }
    }

    fn accept(&mut self, principals: Vec<String>, request_id: Option<String>) {
        self.accepted.push(AcceptedPermissions { principals, request_id });
    }
}

/// One accepted call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedPermissions {
    /// The ids of the accounts, OUs and organizations in the call.
    pub principals: Vec<String>,
    /// AWS's id of the request.
    pub request_id: Option<String>,
}

/// Adds and removes permissions. It has no way to add the group `all`.
#[derive(Debug, Clone)]
pub struct PermissionWriter {
    client: Client,
}

impl PermissionWriter {
    /// A writer.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Executes one step of a plan. An item that AWS rejects does not stop the others: it is isolated and returned. To
    /// revoke from an image or snapshot that is gone succeeds. Isolation may take many calls, so each of them renews the
    /// image's lease. The step fails when a call fails for another reason than one of its items, and with
    /// [`AwsError::Busy`] when the lease is lost.
    pub async fn apply(&self, lease: &Lease, image: &ImageId, step: &ImageStep) -> Applied {
        let mut applied = Applied::default();
        let failure = self.execute(lease, image, step, &mut applied).await.err();
        Applied { failure, ..applied }
    }

    /// Collects in `applied` what AWS accepts and rejects, call by call.
    async fn execute(
        &self,
        lease: &Lease,
        image: &ImageId,
        step: &ImageStep,
        applied: &mut Applied,
    ) -> Result<(), AwsError> {
        match step {
            ImageStep::GrantImage { permissions } => {
                let grant = |group: &[_]| self.image(image, Change::Add, to_ec2_list(group));
                isolated(lease, permissions.clone(), grant, applied).await
            }
            ImageStep::RevokeImage { permissions } => {
                let revoke = |group: &[_]| self.image(image, Change::Remove, to_ec2_list(group));
                unless_gone(isolated(lease, permissions.clone(), revoke, applied).await)
            }
            ImageStep::MakeImagePrivate => {
                let group_all = Ec2LaunchPermission::builder().group(PermissionGroup::All).build();
                lease.renew().await?;
                let revoked = self.image(image, Change::Remove, vec![group_all]).await;
                unless_gone(revoked.map(|request_id| applied.accept(step.principals(), request_id)))
            }
            ImageStep::GrantSnapshot { snapshot, accounts } => {
                let grant = |group: &[_]| self.snapshot(snapshot, Change::Add, users(group));
                isolated(lease, of_accounts(accounts), grant, applied).await
            }
            ImageStep::RevokeSnapshot { snapshot, accounts } => {
                let revoke = |group: &[_]| self.snapshot(snapshot, Change::Remove, users(group));
                unless_gone(isolated(lease, of_accounts(accounts), revoke, applied).await)
            }
            ImageStep::MakeSnapshotPrivate { snapshot } => {
                let group_all = CreateVolumePermission::builder().group(PermissionGroup::All).build();
                lease.renew().await?;
                let revoked = self.snapshot(snapshot, Change::Remove, vec![group_all]).await;
                unless_gone(revoked.map(|request_id| applied.accept(step.principals(), request_id)))
            }
        }
    }

    async fn image(
        &self,
        image: &ImageId,
        change: Change,
        permissions: Vec<Ec2LaunchPermission>,
    ) -> Result<Option<String>, AwsError> {
        let modifications = LaunchPermissionModifications::builder();
        let modifications = match change {
            Change::Add => modifications.set_add(Some(permissions)),
            Change::Remove => modifications.set_remove(Some(permissions)),
        };
        let request = self
            .client
            .modify_image_attribute()
            .image_id(image.as_str())
            .launch_permission(modifications.build());
        let answer = request.send().await.explain("ec2:ModifyImageAttribute", image)?;
        Ok(answer.request_id().map(str::to_owned))
    }

    async fn snapshot(
        &self,
        snapshot: &SnapshotId,
        change: Change,
        permissions: Vec<CreateVolumePermission>,
    ) -> Result<Option<String>, AwsError> {
        let modifications = CreateVolumePermissionModifications::builder();
        let modifications = match change {
            Change::Add => modifications.set_add(Some(permissions)),
            Change::Remove => modifications.set_remove(Some(permissions)),
        };
        let request = self
            .client
            .modify_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission)
            .create_volume_permission(modifications.build());
        let answer = request.send().await.explain("ec2:ModifySnapshotAttribute", snapshot)?;
        Ok(answer.request_id().map(str::to_owned))
    }
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Add,
    Remove,
}

fn to_ec2_list(permissions: &[LaunchPermission]) -> Vec<Ec2LaunchPermission> {
    permissions.iter().map(to_ec2).collect()
}

fn of_accounts(accounts: &[AccountId]) -> Vec<LaunchPermission> {
    accounts.iter().cloned().map(LaunchPermission::Account).collect()
}

fn users(accounts: &[LaunchPermission]) -> Vec<CreateVolumePermission> {
    accounts.iter().map(|account| CreateVolumePermission::builder().user_id(account.name()).build()).collect()
}

fn unless_gone(revoked: Result<(), AwsError>) -> Result<(), AwsError> {
    match revoked {
        Err(error) if error.fault() == Fault::Missing => Ok(()),
        revoked => revoked,
    }
}

/// Calls with all items. If AWS rejects one of them, halves the items until the rejected ones are found.
async fn isolated<F>(
    lease: &Lease,
    items: Vec<LaunchPermission>,
    call: impl Fn(&[LaunchPermission]) -> F,
    applied: &mut Applied,
) -> Result<(), AwsError>
where
    F: Future<Output = Result<Option<String>, AwsError>>,
{
    let mut isolation = Isolation::new(items);
    while let Some(group) = isolation.next_group() {
        lease.renew().await?;
        match call(group).await {
            Ok(request_id) => {
                let principals = group.iter().map(|permission| permission.name().to_owned()).collect();
                applied.accept(principals, request_id);
                isolation.answer(true);
            }
            Err(error) if error.fault() == Fault::Rejected => {
                if let [permission] = group {
                    applied.rejected.push(RejectedPermission {
                        permission: permission.clone(),
                        message: error.to_string(),
                    });
                }
                isolation.answer(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
