//! What `share-image` decides for one image: the plan for EC2, and what to report besides. Data, no effects.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{AccountId, SnapshotId};
use crate::image::adoption::Adopted;
use crate::image::ledger::{ImageLedger, ShareOutcome};
use crate::image::plan::{self, Desired, ImagePlan, ObservedImage};
use crate::image::request::ImageRequest;
use crate::image::unmanaged::{UnmanagedGrant, unmanaged};
use crate::refusal::Refusal;
use crate::targets::target::Target;

/// What the stack's parameters say about plans.
#[derive(Debug, Clone, Copy)]
pub struct PlanSettings {
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether public images and snapshots are made private.
    pub makes_private: bool,
}

/// A plan with what the reconciliation reports once the plan is applied.
#[derive(Debug, Clone)]
pub struct ImageDecision<'a> {
    /// The targets that have access then.
    pub shared: Vec<&'a Target>,
    /// The targets that get none, because of their keys or because the image has no room.
    pub refused: Vec<Refusal>,
    /// The calls to EC2.
    pub plan: ImagePlan,
    /// The names of the targets whose managed access is revoked.
    pub pending_revocation: BTreeSet<String>,
    /// The accounts that the ledger forgets, because their snapshot does not exist any more.
    pub forgotten: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The access that becomes managed before the first call.
    pub adopted: Adopted,
    /// The targets and accounts whose access was removed out of band, and is restored.
    pub restored: Vec<String>,
    /// The access that ami-share did not grant.
    pub unmanaged: Vec<UnmanagedGrant>,
}

impl<'a> ImageDecision<'a> {
    /// Decides by the actual state of the image and by what the ledger records.
    pub fn of(
        request: &'a ImageRequest,
        observed: &ObservedImage,
        ledger: &ImageLedger,
        settings: PlanSettings,
    ) -> Self {
        let desired = &request.share.desired;
        let (mut shared, mut refused) = request.granted();
        let has_failed = request.first_failed().is_some();
        if has_failed {
            retain_access(request, observed, ledger, &mut shared, &mut refused);
        }
        let pending_revocation = ledger.pending_revocation(desired);
        let mut plan = plan::plan(
            observed,
            &Desired {
                targets: &shared,
                snapshots: &desired.snapshots,
                pending_revocation: &ledger.permissions_pending_revocation(desired, observed),
                snapshots_pending_revocation: &ledger.snapshots_pending_revocation(desired),
                limit: settings.limit,
                makes_private: settings.makes_private,
            },
        );
        if has_failed {
            plan.grants.clear();
        }
        refused.extend(plan.refuse_all(&mut shared));
        refused.extend(observed.refused_snapshots(&desired.snapshots));
        Self {
            forgotten: ledger.accounts_of_gone_snapshots(observed),
            adopted: request.adopted(&shared, observed, ledger),
            restored: request.restored(&shared, observed, ledger),
            unmanaged: unmanaged(observed, desired, ledger),
            shared,
            refused,
            plan,
            pending_revocation,
        }
    }
}

/// Moves the targets that have managed access from `refused` to `shared`: a step that failed takes access from nobody.
fn retain_access<'a>(
    request: &'a ImageRequest,
    observed: &ObservedImage,
    ledger: &ImageLedger,
    shared: &mut Vec<&'a Target>,
    refused: &mut Vec<Refusal>,
) {
    let has_access = |target: &Target| {
        let row = ledger.shares.get(target.name());
        row.is_some_and(|row| row.has_access() && row.outcome == ShareOutcome::Shared)
            && observed.launch.contains(&target.launch_permission())
    };
    refused.retain(|refusal| {
        let target = request.share.desired.targets.iter().find(|target| target.name() == refusal.subject);
        let retained = target.filter(|target| has_access(target));
        shared.extend(retained);
        retained.is_none()
    });
}
