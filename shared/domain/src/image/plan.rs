//! What must change on an image and its snapshots so that its targets have access, and former targets have none;
//! data, no effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit_log::AuditAction;
use crate::ids::{AccountId, SnapshotId};
use crate::refusal::{Refusal, RefusalReason};
use crate::targets::target::LaunchPermission;
use crate::targets::target::Target;

/// Modifications that one `ModifySnapshotAttribute` accepts. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>
pub const SNAPSHOT_MODIFICATIONS: usize = 500;

/// The actual state: what has access to the image and to each of its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedImage {
    /// The image's launch permissions.
    pub launch: BTreeSet<LaunchPermission>,
    /// The accounts that may copy each snapshot.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// Whether the image does not exist any more.
    pub is_gone: bool,
    /// Whether every AWS account may launch the image.
    pub is_public: bool,
    /// The snapshots that every AWS account may copy.
    pub public_snapshots: BTreeSet<SnapshotId>,
    /// The snapshots that do not exist any more.
    pub gone_snapshots: BTreeSet<SnapshotId>,
    /// The snapshots whose permissions EC2 does not show to their image's owner, and what it answers.
    pub unreadable_snapshots: BTreeMap<SnapshotId, String>,
}

/// One call to EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageStep {
    /// Lets accounts copy a snapshot.
    GrantSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// At most [`SNAPSHOT_MODIFICATIONS`] accounts.
        accounts: Vec<AccountId>,
    },
    /// Lets targets launch the image.
    GrantImage {
        /// The permissions to add.
        permissions: Vec<LaunchPermission>,
    },
    /// Revokes launch permissions that ami-share granted.
    RevokeImage {
        /// The permissions to remove.
        permissions: Vec<LaunchPermission>,
    },
    /// Revokes permissions on a snapshot that ami-share granted.
    RevokeSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// At most [`SNAPSHOT_MODIFICATIONS`] accounts.
        accounts: Vec<AccountId>,
    },
    /// Makes an image private that was made public out of band.
    MakeImagePrivate,
    /// Makes a snapshot private that was made public out of band.
    MakeSnapshotPrivate {
        /// The snapshot.
        snapshot: SnapshotId,
    },
}

/// What became of one item of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// AWS has done it.
    Accepted,
    /// AWS rejected it, and has done nothing.
    Rejected,
    /// An earlier call failed, or its own; it may have been done.
    Unknown,
}

/// What should have access, and what should not any more.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The targets that get access.
    pub targets: &'a [&'a Target],
    /// The snapshots that they may copy.
    pub snapshots: &'a [SnapshotId],
    /// The launch permissions of the targets that lose the image.
    pub pending_revocation: &'a BTreeSet<LaunchPermission>,
    /// The accounts that lose each snapshot.
    pub snapshots_pending_revocation: &'a BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether what is public is made private.
    pub makes_private: bool,
}

/// The steps, in rounds of which each must be over before the next begins: snapshots are granted before the image and
/// revoked after it, so that no target sees an image whose snapshots it cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePlan {
    /// The calls that grant access.
    pub grants: Vec<ImageStep>,
    /// The calls that revoke access.
    pub revocations: Vec<ImageStep>,
    /// Whether the image has room for the new targets only after the revocations.
    pub revokes_first: bool,
    /// Why nothing is granted at all.
    pub refused: Option<RefusalReason>,
}

/// Plans what is lacking, and what is too much. Unmanaged access stays.
///
/// Whatever is pending revocation is revoked, whether EC2 shows it or not: a read may be older than the grant. Only what
/// does not exist any more is never called.
///
/// An account that moves from one target to another, because its OU is named now, keeps access all the while: grants come
/// first, unless the image has no room for both.
pub fn plan(observed: &ObservedImage, desired: &Desired<'_>) -> ImagePlan {
    let targets: BTreeSet<LaunchPermission> =
        desired.targets.iter().map(|target| target.launch_permission()).collect();
    let missing: Vec<LaunchPermission> = targets.difference(&observed.launch).cloned().collect();
    let freed = observed.launch.intersection(desired.pending_revocation).count();
    let before = observed.launch.len();
    let after = before + missing.len() - freed;
    let mut plan = ImagePlan { revocations: revocations(observed, desired), ..ImagePlan::default() };
    if after > desired.limit && !missing.is_empty() {
        plan.refused = Some(RefusalReason::TooManyPermissions { permissions: after, limit: desired.limit });
        return plan;
    }
    plan.revokes_first = before + missing.len() > desired.limit;
    let accounts: BTreeSet<&AccountId> =
        desired.targets.iter().flat_map(|target| target.accounts()).collect();
    let snapshots = desired.snapshots.iter().filter(|snapshot| observed.can_be_granted(snapshot));
    plan.grants = snapshots.flat_map(|snapshot| grant_snapshot(observed, snapshot, &accounts)).collect();
    if !missing.is_empty() {
        plan.grants.push(ImageStep::GrantImage { permissions: missing });
    }
    plan
}

/// The image first, then its snapshots.
fn revocations(observed: &ObservedImage, desired: &Desired<'_>) -> Vec<ImageStep> {
    let mut steps = Vec::new();
    if desired.makes_private && observed.is_public {
        steps.push(ImageStep::MakeImagePrivate);
    }
    if !desired.pending_revocation.is_empty() && !observed.is_gone {
        let permissions = desired.pending_revocation.iter().cloned().collect();
        steps.push(ImageStep::RevokeImage { permissions });
    }
    let snapshots = desired.snapshots_pending_revocation.iter();
    for (snapshot, accounts) in snapshots.filter(|(snapshot, _)| !observed.gone_snapshots.contains(*snapshot))
    {
        let accounts: Vec<AccountId> = accounts.iter().cloned().collect();
        steps.extend(accounts.chunks(SNAPSHOT_MODIFICATIONS).map(|accounts| ImageStep::RevokeSnapshot {
            snapshot: snapshot.clone(),
            accounts: accounts.to_vec(),
        }));
    }
    if desired.makes_private {
        let public = observed.public_snapshots.iter().cloned();
        steps.extend(public.map(|snapshot| ImageStep::MakeSnapshotPrivate { snapshot }));
    }
    steps
}

fn grant_snapshot(
    observed: &ObservedImage,
    snapshot: &SnapshotId,
    desired: &BTreeSet<&AccountId>,
) -> Vec<ImageStep> {
    let actual = observed.snapshots.get(snapshot);
    let lacking: Vec<AccountId> = desired
        .iter()
        .filter(|account| actual.is_none_or(|actual| !actual.contains(**account)))
        .map(|account| (*account).clone())
        .collect();
    lacking
        .chunks(SNAPSHOT_MODIFICATIONS)
        .map(|accounts| ImageStep::GrantSnapshot { snapshot: snapshot.clone(), accounts: accounts.to_vec() })
        .collect()
}

impl ObservedImage {
    /// Whether accounts can be granted a snapshot: it exists, and EC2 shows who has access.
    fn can_be_granted(&self, snapshot: &SnapshotId) -> bool {
        !self.gone_snapshots.contains(snapshot) && !self.unreadable_snapshots.contains_key(snapshot)
    }

    /// The snapshots that targets should be able to copy and that cannot be granted, and why.
    pub fn refused_snapshots(&self, snapshots: &[SnapshotId]) -> Vec<Refusal> {
        let reason = |snapshot: &SnapshotId| match self.unreadable_snapshots.get(snapshot) {
            Some(message) => Some(RefusalReason::UnreadableSnapshot {
                snapshot: snapshot.clone(),
                message: message.clone(),
            }),
            None => {
                let missing = || RefusalReason::MissingSnapshot { snapshot: snapshot.clone() };
                self.gone_snapshots.contains(snapshot).then(missing)
            }
        };
        let refused =
            snapshots.iter().filter_map(|snapshot| Some(Refusal::new(snapshot.as_str(), reason(snapshot)?)));
        refused.collect()
    }
}

impl ImagePlan {
    /// Empties `targets` when the plan grants nothing at all, and returns why.
    pub fn refuse_all(&self, targets: &mut Vec<&Target>) -> Vec<Refusal> {
        let Some(reason) = &self.refused else { return Vec::new() };
        targets.drain(..).map(|target| Refusal::new(target.name(), reason.clone())).collect()
    }

    /// The launch permissions that the plan adds.
    pub fn launch_permissions(&self) -> BTreeSet<&LaunchPermission> {
        let granted = self.grants.iter().filter_map(|step| match step {
            ImageStep::GrantImage { permissions } => Some(permissions),
            _ => None,
        });
        granted.flatten().collect()
    }

    /// All calls, in the order in which they are made.
    pub fn steps(&self) -> impl Iterator<Item = &ImageStep> {
        let (first, second) = match self.revokes_first {
            true => (&self.revocations, &self.grants),
            false => (&self.grants, &self.revocations),
        };
        first.iter().chain(second)
    }
}

impl ImageStep {
    /// Whether the step is about the image itself, not one of its snapshots.
    pub fn is_of_image(&self) -> bool {
        match self {
            Self::GrantImage { .. } | Self::RevokeImage { .. } | Self::MakeImagePrivate => true,
            Self::GrantSnapshot { .. } | Self::RevokeSnapshot { .. } | Self::MakeSnapshotPrivate { .. } => {
                false
            }
        }
    }

    /// The step without launch permissions for `rejected`; `None` when nothing is left of it.
    pub fn without(self, rejected: &BTreeSet<LaunchPermission>) -> Option<Self> {
        match self {
            Self::GrantImage { mut permissions } => {
                permissions.retain(|permission| !rejected.contains(permission));
                (!permissions.is_empty()).then_some(Self::GrantImage { permissions })
            }
            other => Some(other),
        }
    }

    /// The accounts of a snapshot that the ledger must forget once AWS has answered: those that the step has revoked, and
    /// those that AWS rejected and that had no access before. An account that has access, or may have it, stays managed.
    pub fn forgets(
        &self,
        observed: &ObservedImage,
        verdict: impl Fn(&AccountId) -> Verdict,
    ) -> Vec<AccountId> {
        let (snapshot, accounts, revokes) = match self {
            Self::GrantSnapshot { snapshot, accounts } => (snapshot, accounts, false),
            Self::RevokeSnapshot { snapshot, accounts } => (snapshot, accounts, true),
            Self::GrantImage { .. }
            | Self::RevokeImage { .. }
            | Self::MakeImagePrivate
            | Self::MakeSnapshotPrivate { .. } => return Vec::new(),
        };
        let had_access = |account: &AccountId| {
            observed.snapshots.get(snapshot).is_some_and(|accounts| accounts.contains(account))
        };
        let is_forgotten = |account: &&AccountId| match verdict(account) {
            Verdict::Accepted => revokes,
            Verdict::Rejected => !had_access(account),
            Verdict::Unknown => false,
        };
        accounts.iter().filter(is_forgotten).cloned().collect()
    }

    /// The principals of the step; `all` when it makes something private.
    pub fn principals(&self) -> Vec<String> {
        match self {
            Self::GrantImage { permissions } | Self::RevokeImage { permissions } => {
                permissions.iter().map(|permission| permission.name().to_owned()).collect()
            }
            Self::GrantSnapshot { accounts, .. } | Self::RevokeSnapshot { accounts, .. } => {
                accounts.iter().map(ToString::to_string).collect()
            }
            Self::MakeImagePrivate | Self::MakeSnapshotPrivate { .. } => vec!["all".to_owned()],
        }
    }

    /// What the audit log calls it.
    pub fn action(&self) -> AuditAction {
        match self {
            Self::GrantImage { .. } => AuditAction::ImageGranted,
            Self::RevokeImage { .. } => AuditAction::ImageRevoked,
            Self::GrantSnapshot { .. } => AuditAction::SnapshotGranted,
            Self::RevokeSnapshot { .. } => AuditAction::SnapshotRevoked,
            Self::MakeImagePrivate | Self::MakeSnapshotPrivate { .. } => AuditAction::MadePrivate,
        }
    }

    /// The snapshot that it is about, if it is about one.
    pub fn snapshot(&self) -> Option<&SnapshotId> {
        match self {
            Self::GrantSnapshot { snapshot, .. }
            | Self::RevokeSnapshot { snapshot, .. }
            | Self::MakeSnapshotPrivate { snapshot } => Some(snapshot),
            Self::GrantImage { .. } | Self::RevokeImage { .. } | Self::MakeImagePrivate => None,
        }
    }
}

impl fmt::Display for ImageStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantSnapshot { snapshot, accounts } => {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                write!(f, "grant {snapshot} to {}", accounts.join(", "))
            }
            Self::GrantImage { permissions } => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "grant the image to {}", permissions.join(", "))
            }
            Self::RevokeImage { permissions } => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "revoke the image from {}", permissions.join(", "))
            }
            Self::RevokeSnapshot { snapshot, accounts } => {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                write!(f, "revoke {snapshot} from {}", accounts.join(", "))
            }
            Self::MakeImagePrivate => f.write_str("make the image private"),
            Self::MakeSnapshotPrivate { snapshot } => write!(f, "make {snapshot} private"),
        }
    }
}
