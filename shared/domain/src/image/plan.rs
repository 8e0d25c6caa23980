//! What must change on an image and its snapshots so that its targets have access and those who left have
//! none; data, no effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit_log::AuditAction;
use crate::ids::{AccountId, SnapshotId};
use crate::refusal::{Refusal, RefusalCode};
use crate::tags::share_tags::WITH;
use crate::targets::target::LaunchPermission;
use crate::targets::target::Target;

/// Modifications that one `ModifySnapshotAttribute` takes. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html>
pub const SNAPSHOT_MODIFICATIONS: usize = 500;

/// What is, before the plan: who has access to the image and to each of its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedImage {
    /// The image's launch permissions.
    pub launch: BTreeSet<LaunchPermission>,
    /// The accounts that may copy each snapshot.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// Whether the image does not exist any more.
    pub is_gone: bool,
    /// Whether everybody may launch the image.
    pub is_public: bool,
    /// The snapshots that everybody may copy.
    pub public_snapshots: BTreeSet<SnapshotId>,
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
    /// Takes the image from targets that ami-share gave it to.
    RevokeImage {
        /// The permissions to remove.
        permissions: Vec<LaunchPermission>,
    },
    /// Takes a snapshot from accounts that ami-share gave it to.
    RevokeSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// At most [`SNAPSHOT_MODIFICATIONS`] accounts.
        accounts: Vec<AccountId>,
    },
    /// Takes the image from everybody, whom somebody else gave it to.
    MakeImagePrivate,
    /// Takes a snapshot from everybody, whom somebody else gave it to.
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
    /// AWS does not take it, and has done nothing.
    Rejected,
    /// A call failed before it was its turn, or with it; it may have been done.
    Unknown,
}

/// Who should have access, and who should not any more.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The targets that get access.
    pub targets: &'a [&'a Target],
    /// The snapshots that they may copy.
    pub snapshots: &'a [SnapshotId],
    /// The names of the targets that lose the image.
    pub pending_revocation: &'a BTreeSet<String>,
    /// The accounts that lose each snapshot.
    pub snapshots_pending_revocation: &'a BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether what is public is made private.
    pub makes_private: bool,
}

/// The steps, in three rounds of which each must be over before the next begins: snapshots are opened before
/// the image and closed after it, so that nobody sees an image whose snapshots are closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePlan {
    /// The calls that give access.
    pub grants: Vec<ImageStep>,
    /// The calls that take access.
    pub revocations: Vec<ImageStep>,
    /// Whether the image has room for the new targets only when those who leave are gone.
    pub revokes_first: bool,
    /// Why nothing is given at all.
    pub refused: Option<Refusal>,
}

/// Plans what is lacking, and what is too much. Access that other people gave is left alone.
///
/// Somebody who changes from one target to another, as an account does whose OU is named now, has access all
/// the while: giving comes first, unless the image has no room for both.
pub fn plan(observed: &ObservedImage, desired: &Desired<'_>) -> ImagePlan {
    let targets: BTreeSet<LaunchPermission> =
        desired.targets.iter().map(|target| target.launch_permission()).collect();
    let missing: Vec<LaunchPermission> = targets.difference(&observed.launch).cloned().collect();
    let pending_revocation: Vec<LaunchPermission> = observed
        .launch
        .iter()
        .filter(|permission| desired.pending_revocation.contains(permission.name()))
        .cloned()
        .collect();
    let before = observed.launch.len();
    let after = before + missing.len() - pending_revocation.len();
    let mut plan =
        ImagePlan { revocations: close(observed, desired, &pending_revocation), ..ImagePlan::default() };
    if after > desired.limit && !missing.is_empty() {
        plan.refused = Some(too_many(after, desired.limit));
        return plan;
    }
    plan.revokes_first = before + missing.len() > desired.limit;
    let accounts: BTreeSet<&AccountId> =
        desired.targets.iter().flat_map(|target| target.accounts()).collect();
    plan.grants =
        desired.snapshots.iter().flat_map(|snapshot| grant_snapshot(observed, snapshot, &accounts)).collect();
    if !missing.is_empty() {
        plan.grants.push(ImageStep::GrantImage { permissions: missing });
    }
    plan
}

/// The image first, then its snapshots.
fn close(
    observed: &ObservedImage,
    desired: &Desired<'_>,
    pending_revocation: &[LaunchPermission],
) -> Vec<ImageStep> {
    let mut steps = Vec::new();
    if desired.makes_private && observed.is_public {
        steps.push(ImageStep::MakeImagePrivate);
    }
    if !pending_revocation.is_empty() {
        steps.push(ImageStep::RevokeImage { permissions: pending_revocation.to_vec() });
    }
    for (snapshot, accounts) in desired.snapshots_pending_revocation {
        // Those whom the snapshot does not let in any more, too: a look may have shut them out without living to
        // write it down, and the ledger forgets them with this call.
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

fn too_many(total: usize, limit: usize) -> Refusal {
    Refusal::new(
        WITH,
        RefusalCode::TooManyTargets,
        format!(
            "with those that it has, the image would have {total} launch permissions of {limit}; name OUs or `org` instead of their accounts, or remove some by hand"
        ),
    )
}

impl ImagePlan {
    /// Takes everybody out of `targets` when the plan refuses to give anything, and says why.
    pub fn refuse_all(&self, targets: &mut Vec<&Target>) -> Vec<Refusal> {
        let Some(refusal) = &self.refused else { return Vec::new() };
        targets
            .drain(..)
            .map(|target| Refusal { subject: target.name().to_owned(), ..refusal.clone() })
            .collect()
    }

    /// The launch permissions that the plan adds.
    pub fn launch_permissions(&self) -> BTreeSet<&LaunchPermission> {
        let opened = self.grants.iter().filter_map(|step| match step {
            ImageStep::GrantImage { permissions } => Some(permissions),
            _ => None,
        });
        opened.flatten().collect()
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

    /// The accounts of a snapshot that the ledger must forget once AWS has answered: those that the step has shut
    /// out, and those that AWS does not take and that were not let in before. Whoever is still in, or may be, is ours.
    pub fn forgets(
        &self,
        observed: &ObservedImage,
        verdict: impl Fn(&AccountId) -> Verdict,
    ) -> Vec<AccountId> {
        let (snapshot, accounts, closes) = match self {
            Self::GrantSnapshot { snapshot, accounts } => (snapshot, accounts, false),
            Self::RevokeSnapshot { snapshot, accounts } => (snapshot, accounts, true),
            Self::GrantImage { .. }
            | Self::RevokeImage { .. }
            | Self::MakeImagePrivate
            | Self::MakeSnapshotPrivate { .. } => return Vec::new(),
        };
        let was_in = |account: &AccountId| {
            observed.snapshots.get(snapshot).is_some_and(|accounts| accounts.contains(account))
        };
        let is_out = |account: &&AccountId| match verdict(account) {
            Verdict::Accepted => closes,
            Verdict::Rejected => !was_in(account),
            Verdict::Unknown => false,
        };
        accounts.iter().filter(is_out).cloned().collect()
    }

    /// Whom the step is about; nobody in particular when it takes access from everybody.
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

    /// What the history calls it.
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
                write!(f, "open {snapshot} to {}", accounts.join(", "))
            }
            Self::GrantImage { permissions } => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "open the image to {}", permissions.join(", "))
            }
            Self::RevokeImage { permissions } => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "close the image to {}", permissions.join(", "))
            }
            Self::RevokeSnapshot { snapshot, accounts } => {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                write!(f, "close {snapshot} to {}", accounts.join(", "))
            }
            Self::MakeImagePrivate => f.write_str("make the image private"),
            Self::MakeSnapshotPrivate { snapshot } => write!(f, "make {snapshot} private"),
        }
    }
}
