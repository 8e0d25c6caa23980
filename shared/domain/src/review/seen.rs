//! An image as a review sees it, with everything that the comparison depends on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::KeyArn;
use crate::image;
use crate::image::desired::Share;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::plan::ObservedImage;
use crate::image::unmanaged::UnmanagedGrant;
use crate::refusal::{Refusal, RefusalCode};
use crate::review::key::ReviewedKeyState;
use crate::review::report::ReviewedShare;
use crate::targets::target::{KeyPrincipal, Target};

/// An image, and everything that the comparison depends on.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The desired state.
    pub share: &'a Share,
    /// Its digest, as an intent has it.
    pub desired_state: &'a str,
    /// The image's state in EC2; `gone` when it does not exist any more.
    pub state: &'a str,
    /// What the ledger says of it.
    pub ledger: &'a ImageLedger,
    /// What has access to the image, and to the snapshots of share and ledger.
    pub observed: &'a ObservedImage,
    /// Every key of the share.
    pub keys: &'a BTreeMap<KeyArn, ReviewedKeyState>,
    /// The keys whose own differences are reported here: of many images on one key, one reconciliation repairs it all.
    pub speaks_for: &'a BTreeSet<KeyArn>,
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether what is public is made private.
    pub makes_private: bool,
    /// The moment of the comparison.
    pub now: Timestamp,
}

impl Seen<'_> {
    /// The shares that the ledger has and that launch permissions confirm.
    pub(crate) fn shares(&self) -> Vec<ReviewedShare> {
        let previous = self.ledger.shares.values().filter(|row| {
            let is_recorded = row.has_access() || row.outcome == ShareOutcome::Shared;
            is_recorded && self.is_launched_by(&row.target)
        });
        previous.map(|row| self.share_of(row)).collect()
    }

    pub(crate) fn share_of(&self, row: &ShareRow) -> ReviewedShare {
        let target = self.share.desired.all_targets().find(|target| target.name() == row.target);
        let alone = row.target.parse().ok().into_iter().collect();
        let selectors = if row.through.is_empty() { vec![row.target.clone()] } else { row.through.clone() };
        ReviewedShare {
            accounts: target.map_or(alone, |target| target.accounts().to_vec()),
            target: row.target.clone(),
            selectors,
            permits: self.share.desired.permits(&row.target).into_iter().map(str::to_owned).collect(),
            is_managed: row.is_managed,
            since: row.since,
            until: row.until,
            triggered_by: row.triggered_by.clone(),
            event: row.event.clone(),
        }
    }

    /// What ami-share did not grant by its records; that includes desired access that is not recorded.
    pub(crate) fn all_unmanaged(&self) -> Vec<UnmanagedGrant> {
        let mut grants = self.unmanaged();
        let unrecorded = self.observed.launch.iter().filter(|permission| {
            self.share.desired.includes(permission.name())
                && !self.ledger.shares.contains_key(permission.name())
        });
        grants.extend(unrecorded.map(|permission| UnmanagedGrant {
            resource: self.share.desired.image.id.to_string(),
            grantee: permission.to_string(),
        }));
        grants
    }

    pub(crate) fn unmanaged(&self) -> Vec<UnmanagedGrant> {
        image::unmanaged::unmanaged(self.observed, &self.share.desired, self.ledger)
    }

    pub(crate) fn is_launched_by(&self, target: &str) -> bool {
        self.observed.launch.iter().any(|permission| permission.name() == target)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ReviewedKeyState> {
        self.share.desired.keys.iter().filter_map(|key| self.keys.get(key))
    }

    /// The principals that the image may need on a key.
    pub(crate) fn own(&self) -> BTreeSet<KeyPrincipal> {
        self.share.desired.all_targets().map(Target::key_principal).collect()
    }

    /// The refusal of a target that the next reconciliation would not overcome, as the last one did not.
    pub(crate) fn lasting_refusal(&self, target: &Target) -> Option<Refusal> {
        let refusal = self.ledger.shares.get(target.name())?.refusal()?;
        let principal = target.key_principal();
        let is_granted_on_keys = || self.keys().all(|key| key.actual().contains(&principal));
        let lasts = match refusal.code() {
            // The plan for the image says whether there is room by now.
            RefusalCode::TooManyTargets => false,
            // Nobody is notified when a denial or a quota changes: that is one reconciliation each review.
            RefusalCode::DeniedByAws | RefusalCode::StepFailed => false,
            RefusalCode::PolicyTooLarge => !self.keys().all(|key| self.would_grant(key, &principal)),
            RefusalCode::RejectedByAws => {
                !(is_granted_on_keys() && self.observed.launch.contains(&target.launch_permission()))
            }
            // A policy whose fault only KMS knows may be correct by now: that is one reconciliation each review.
            RefusalCode::PolicyUnsafe => self.keys().any(|key| key.problem.is_some()),
            _ => !is_granted_on_keys() || self.keys().any(|key| self.must_be_put(key)),
        };
        lasts.then(|| refusal.clone())
    }

    /// Whether the policy of a key would allow a principal after a reconciliation of this image.
    pub(crate) fn would_grant(&self, key: &ReviewedKeyState, principal: &KeyPrincipal) -> bool {
        let desired = key.ledger.required_by(&self.share.desired.image.id, &self.own());
        let plan = key.plan(&desired);
        key.actual().contains(principal) || plan.is_some_and(|plan| plan.added.contains(principal))
    }

    /// Whether a reconciliation of this image would put the policy of a key; then KMS may reject it once more.
    pub(crate) fn must_be_put(&self, key: &ReviewedKeyState) -> bool {
        let desired = key.ledger.required_by(&self.share.desired.image.id, &self.own());
        key.plan(&desired).is_none_or(|plan| plan.document.is_some() || !plan.no_room.is_empty())
    }
}
