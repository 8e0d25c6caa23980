//! Reads launch permissions of images and create-volume permissions of snapshots.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::targets::target::LaunchPermission;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Filter, ImageAttributeName, ImageState, LaunchPermission as Ec2LaunchPermission, PermissionGroup,
    SnapshotAttributeName,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault};
use crate::retry;

/// Snapshots that are read at the same time.
const CONCURRENT_READS: usize = 8;

/// How EC2 and the audit log name every AWS account at once.
const ALL: &str = "all";

/// Reads the permissions.
#[derive(Debug, Clone)]
pub struct PermissionReader {
    client: Client,
    clock: Clock,
}

/// The permissions of an image.
#[derive(Debug, Default)]
struct Launch {
    permissions: BTreeSet<LaunchPermission>,
    is_public: bool,
}

/// The permissions of a snapshot.
#[derive(Debug)]
enum SnapshotAccess {
    Granted {
        accounts: BTreeSet<AccountId>,
        is_public: bool,
    },
    Gone,
    /// EC2 does not show them to this account; this is what it answers.
    Unreadable(String),
}

/// What EC2 shows of an image or a snapshot after a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It does not exist any more, so it grants no access.
    Gone,
    /// What has access: the ids of accounts, OUs and organizations, and `all`.
    Access(BTreeSet<String>),
}

impl Shown {
    /// Whether a principal, by id, still has access.
    pub fn includes(&self, principal: &str) -> bool {
        matches!(self, Self::Access(principals) if principals.contains(principal))
    }
}

impl PermissionReader {
    /// A reader.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock }
    }

    /// What may launch the image, and copy each of `snapshots`. A snapshot of another account, or one that EC2 does not
    /// show for another lasting reason, fails no read: it is returned as unreadable.
    ///
    /// # Errors
    /// When `ec2:DescribeImageAttribute` or `ec2:DescribeImages` fails, or `ec2:DescribeSnapshotAttribute` for a reason
    /// that may pass.
    pub async fn observe(
        &self,
        image: &ImageId,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<ObservedImage, AwsError> {
        let (launch, snapshots) =
            futures::future::try_join(self.launch(image), self.snapshots(snapshots)).await?;
        let mut observed = ObservedImage { is_gone: launch.is_none(), ..ObservedImage::default() };
        let Launch { permissions, is_public } = launch.unwrap_or_default();
        observed.launch = permissions;
        observed.is_public = is_public;
        for (snapshot, access) in snapshots {
            match access {
                SnapshotAccess::Gone => {
                    observed.gone_snapshots.insert(snapshot);
                }
                SnapshotAccess::Unreadable(message) => {
                    observed.unreadable_snapshots.insert(snapshot, message);
                }
                SnapshotAccess::Granted { accounts, is_public } => {
                    if is_public {
                        observed.public_snapshots.insert(snapshot.clone());
                    }
                    observed.snapshots.insert(snapshot, accounts);
                }
            }
        }
        Ok(observed)
    }

    /// What has access to the image, or to one of its snapshots, after `principals` were revoked. EC2 is eventually
    /// consistent: while it still shows one of them, it is read again, a bounded number of times.
    ///
    /// # Errors
    /// When EC2 cannot be read.
    pub async fn after_revocation(
        &self,
        image: &ImageId,
        snapshot: Option<&SnapshotId>,
        principals: &BTreeSet<String>,
    ) -> Result<Shown, AwsError> {
        let shows_none = |shown: &Shown| !principals.iter().any(|principal| shown.includes(principal));
        let read = async || self.shown(image, snapshot).await;
        retry::READ_BACK.read_until(&self.clock, read, shows_none).await
    }

    async fn shown(&self, image: &ImageId, snapshot: Option<&SnapshotId>) -> Result<Shown, AwsError> {
        let (names, is_public): (BTreeSet<String>, bool) = match snapshot {
            None => match self.launch(image).await? {
                None => return Ok(Shown::Gone),
                Some(Launch { permissions, is_public }) => {
                    (permissions.iter().map(|permission| permission.name().to_owned()).collect(), is_public)
                }
            },
            Some(snapshot) => match self.describe_snapshot(snapshot).await {
                Err(error) if error.fault() == Fault::Missing => return Ok(Shown::Gone),
                answer => {
                    let (accounts, is_public) = answer?;
                    (accounts.iter().map(ToString::to_string).collect(), is_public)
                }
            },
        };
        let all = is_public.then(|| ALL.to_owned());
        Ok(Shown::Access(names.into_iter().chain(all).collect()))
    }

    /// The launch permissions of an image; `None` when it does not exist.
    async fn launch(&self, image: &ImageId) -> Result<Option<Launch>, AwsError> {
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
                Ok(Some(Launch { permissions: permissions.iter().filter_map(from_ec2).collect(), is_public }))
            }
            Err(error) if matches!(error.fault(), Fault::Missing | Fault::Unavailable) => {
                self.launch_without_attribute(image, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// That EC2 does not show the launch permissions may mean that the image is pending, disabled or gone. Only
    /// `DescribeImages` says which. An image that is not available can be launched by no account: EC2 removes all launch
    /// permissions of an image that is disabled.
    /// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableImage.html>
    async fn launch_without_attribute(
        &self,
        image: &ImageId,
        error: AwsError,
    ) -> Result<Option<Launch>, AwsError> {
        // A filter answers an empty list for an image that does not exist, where an id answers an error.
        let named = Filter::builder().name("image-id").values(image.as_str()).build();
        let request = self.client.describe_images().filters(named).include_disabled(true);
        let answer = request.send().await.explain("ec2:DescribeImages", image)?;
        match answer.images().first().map(|found| found.state()) {
            None => Ok(None),
            Some(Some(ImageState::Available)) => match error.fault() {
                Fault::Unavailable => Err(error),
                _ => Err(AwsError::Busy(format!("{error}, although EC2 lists the image as available"))),
            },
            Some(_) => Ok(Some(Launch::default())),
        }
    }

    async fn snapshots(
        &self,
        snapshots: &BTreeSet<SnapshotId>,
    ) -> Result<BTreeMap<SnapshotId, SnapshotAccess>, AwsError> {
        stream::iter(snapshots)
            .map(|snapshot| async move { Ok((snapshot.clone(), self.snapshot(snapshot).await?)) })
            .buffer_unordered(CONCURRENT_READS)
            .try_collect()
            .await
    }

    async fn snapshot(&self, snapshot: &SnapshotId) -> Result<SnapshotAccess, AwsError> {
        match self.describe_snapshot(snapshot).await {
            Ok((accounts, is_public)) => Ok(SnapshotAccess::Granted { accounts, is_public }),
            Err(error) if error.fault() == Fault::Missing => Ok(SnapshotAccess::Gone),
            Err(error) if !error.fault().is_retryable() => {
                tracing::warn!(%error, "the permissions of a snapshot cannot be read");
                Ok(SnapshotAccess::Unreadable(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Which accounts may copy a snapshot, and whether every account may.
    async fn describe_snapshot(
        &self,
        snapshot: &SnapshotId,
    ) -> Result<(BTreeSet<AccountId>, bool), AwsError> {
        let request = self
            .client
            .describe_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission);
        let answer = request.send().await.explain("ec2:DescribeSnapshotAttribute", snapshot)?;
        let permissions = answer.create_volume_permissions();
        let is_public =
            permissions.iter().any(|permission| permission.group() == Some(&PermissionGroup::All));
        let accounts = permissions.iter().filter_map(|permission| permission.user_id()?.parse().ok());
        Ok((accounts.collect(), is_public))
    }
}

fn from_ec2(permission: &Ec2LaunchPermission) -> Option<LaunchPermission> {
    let account = permission.user_id().and_then(|id| id.parse().ok()).map(LaunchPermission::Account);
    let ou = permission.organizational_unit_arn().and_then(|arn| arn.parse().ok()).map(LaunchPermission::Ou);
    let organization =
        permission.organization_arn().and_then(|arn| arn.parse().ok()).map(LaunchPermission::Organization);
    account.or(ou).or(organization)
}
