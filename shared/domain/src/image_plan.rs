//! What must change on an image and its snapshots so that its targets have access; data, no effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::{AccountId, SnapshotId};
use crate::refusal::{Refusal, RefusalCode};
use crate::share::{LaunchPermission, Target};
use crate::share_tags::WITH;

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
}

/// One call to EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageStep {
    /// Lets accounts copy a snapshot.
    OpenSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// At most [`SNAPSHOT_MODIFICATIONS`] accounts.
        accounts: Vec<AccountId>,
    },
    /// Lets targets launch the image.
    OpenImage {
        /// The permissions to add.
        permissions: Vec<LaunchPermission>,
    },
}

/// The steps in the order that keeps a target from seeing an image that it cannot use: snapshots first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePlan {
    /// The calls to make.
    pub steps: Vec<ImageStep>,
    /// Why nothing is done at all.
    pub refused: Option<Refusal>,
}

/// Plans what `targets` lack. Access that is there already, by our hand or another's, is left alone.
///
/// `snapshots` are those that targets may copy; `limit` is how many launch permissions an image may have.
pub fn open(
    observed: &ObservedImage,
    targets: &[&Target],
    snapshots: &[SnapshotId],
    limit: usize,
) -> ImagePlan {
    let wanted: BTreeSet<LaunchPermission> =
        targets.iter().map(|target| target.launch_permission()).collect();
    let permissions: Vec<LaunchPermission> = wanted.difference(&observed.launch).cloned().collect();
    let total = observed.launch.len() + permissions.len();
    if total > limit && !permissions.is_empty() {
        return ImagePlan { steps: Vec::new(), refused: Some(too_many(total, limit)) };
    }
    let accounts: BTreeSet<&AccountId> = targets.iter().flat_map(|target| target.accounts()).collect();
    let mut steps: Vec<ImageStep> =
        snapshots.iter().flat_map(|snapshot| open_snapshot(observed, snapshot, &accounts)).collect();
    if !permissions.is_empty() {
        steps.push(ImageStep::OpenImage { permissions });
    }
    ImagePlan { steps, refused: None }
}

fn open_snapshot(
    observed: &ObservedImage,
    snapshot: &SnapshotId,
    wanted: &BTreeSet<&AccountId>,
) -> Vec<ImageStep> {
    let live = observed.snapshots.get(snapshot);
    let lacking: Vec<AccountId> = wanted
        .iter()
        .filter(|account| live.is_none_or(|live| !live.contains(**account)))
        .map(|account| (*account).clone())
        .collect();
    lacking
        .chunks(SNAPSHOT_MODIFICATIONS)
        .map(|accounts| ImageStep::OpenSnapshot { snapshot: snapshot.clone(), accounts: accounts.to_vec() })
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
    /// The launch permissions that the plan adds.
    pub fn launch_permissions(&self) -> BTreeSet<&LaunchPermission> {
        self.steps
            .iter()
            .flat_map(|step| match step {
                ImageStep::OpenImage { permissions } => permissions.as_slice(),
                ImageStep::OpenSnapshot { .. } => &[],
            })
            .collect()
    }
}

impl ImageStep {
    /// The step without launch permissions for `rejected`; `None` when nothing is left of it.
    pub fn without(self, rejected: &BTreeSet<LaunchPermission>) -> Option<Self> {
        match self {
            Self::OpenImage { mut permissions } => {
                permissions.retain(|permission| !rejected.contains(permission));
                (!permissions.is_empty()).then_some(Self::OpenImage { permissions })
            }
            Self::OpenSnapshot { .. } => Some(self),
        }
    }
}

impl fmt::Display for LaunchPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Ou(arn) => arn.fmt(f),
            Self::Organization(arn) => arn.fmt(f),
        }
    }
}

impl fmt::Display for ImageStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenSnapshot { snapshot, accounts } => {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                write!(f, "open {snapshot} to {}", accounts.join(", "))
            }
            Self::OpenImage { permissions } => {
                let permissions: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                write!(f, "open the image to {}", permissions.join(", "))
            }
        }
    }
}
