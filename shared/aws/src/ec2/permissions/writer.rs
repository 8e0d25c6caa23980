//! Adds and removes launch permissions of images and create-volume permissions of snapshots.

use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::plan::{ImageStep, Verdict};
use ami_share_domain::isolation::Isolation;
use ami_share_domain::refusal::RefusalReason;
use ami_share_domain::targets::target::LaunchPermission;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, LaunchPermission as Ec2LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};

use crate::error::{AwsError, Explain, Fault};
use crate::ledger::leases::Lease;

/// How often a denied grant is halved to find the items that a policy denies: `ec2:Add/userId` may name one account. Where
/// it denies all, that costs about twice as many calls.
const DENIALS: usize = 12;

/// A permission that AWS rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedPermission {
    /// The launch permission, or the account of a snapshot permission.
    pub permission: LaunchPermission,
    /// What AWS said, and whether about this permission or about any.
    pub reason: RefusalReason,
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

    /// The result for one account of the step.
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

    /// Executes one step of a plan. An item that AWS rejects does not stop the others: it is isolated and returned. So is
    /// a grant that AWS refuses for good, whatever its items. Isolation may take many calls, so each of them renews the
    /// image's lease. The step fails when a call fails for a reason that may pass, when AWS refuses a revocation, and
    /// with [`AwsError::Busy`] when the lease is lost.
    ///
    /// EC2 accepts the removal of a permission that is not there (`docs/assumptions.md`, `absent-permission`).
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
                isolated(lease, permissions.clone(), Change::Add, grant, applied).await
            }
            ImageStep::RevokeImage { permissions } => {
                let revoke = |group: &[_]| self.image(image, Change::Remove, to_ec2_list(group));
                isolated(lease, permissions.clone(), Change::Remove, revoke, applied).await
            }
            ImageStep::MakeImagePrivate => {
                let group_all = Ec2LaunchPermission::builder().group(PermissionGroup::All).build();
                lease.renew().await?;
                let revoked = self.image(image, Change::Remove, vec![group_all]).await;
                revoked.map(|request_id| applied.accept(step.principals(), request_id))
            }
            ImageStep::GrantSnapshot { snapshot, accounts } => {
                let grant = |group: &[_]| self.snapshot(snapshot, Change::Add, users(group));
                isolated(lease, of_accounts(accounts), Change::Add, grant, applied).await
            }
            ImageStep::RevokeSnapshot { snapshot, accounts } => {
                let revoke = |group: &[_]| self.snapshot(snapshot, Change::Remove, users(group));
                isolated(lease, of_accounts(accounts), Change::Remove, revoke, applied).await
            }
            ImageStep::MakeSnapshotPrivate { snapshot } => {
                let group_all = CreateVolumePermission::builder().group(PermissionGroup::All).build();
                lease.renew().await?;
                let revoked = self.snapshot(snapshot, Change::Remove, vec![group_all]).await;
                revoked.map(|request_id| applied.accept(step.principals(), request_id))
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

/// Calls with all items. If AWS rejects one of them, halves the items until the rejected ones are found.
async fn isolated<F>(
    lease: &Lease,
    items: Vec<LaunchPermission>,
    change: Change,
    call: impl Fn(&[LaunchPermission]) -> F,
    applied: &mut Applied,
) -> Result<(), AwsError>
where
    F: Future<Output = Result<Option<String>, AwsError>>,
{
    let mut isolation = Isolation::new(items);
    let mut denials = 0;
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
                    let reason = RefusalReason::Ec2Rejected { message: error.to_string() };
                    applied.rejected.push(RejectedPermission { permission: permission.clone(), reason });
                }
                isolation.answer(false);
            }
            Err(error) if matches!(change, Change::Add) && is_refusal(&error) => {
                denials += 1;
                if error.fault() == Fault::Denied && group.len() > 1 && denials <= DENIALS {
                    isolation.answer(false);
                    continue;
                }
                let reason = RefusalReason::Ec2Denied { message: error.to_string() };
                let reject = |permission: &LaunchPermission| RejectedPermission {
                    permission: permission.clone(),
                    reason: reason.clone(),
                };
                applied.rejected.extend(group.iter().map(reject));
                isolation.reject_group();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether EC2 answered that it does not do it, now or later, although the image and snapshot exist.
fn is_refusal(error: &AwsError) -> bool {
    matches!(error, AwsError::Call { fault: Fault::Denied | Fault::Condition | Fault::Other, .. })
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
