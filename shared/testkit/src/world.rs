//! A small model of what reconciliations change: the hub's images with their snapshots, one key, and the ledger.
//!
//! It changes one call at a time: [`crate::looks`] makes the calls, in any order and as far as a test lets it.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::audit_log::AuditRow;
use ami_share_domain::ids::{AccountId, ImageId, SnapshotId};
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::plan::{ImageStep, ObservedImage};
use ami_share_domain::key::ledger::KeyLedger;
use ami_share_domain::key::plan::{KeyPlan, grant, revoke};
use ami_share_domain::key::policy::KeyPolicy;
use ami_share_domain::notify::notification::Notification;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::LaunchPermission;
use jiff::Timestamp;

use crate::ids::{image_id, now};
use crate::policies::default_policy;

/// One image and its rows in the ledger.
#[derive(Debug, Clone, Default)]
pub struct Managed {
    /// The actual access.
    pub observed: ObservedImage,
    /// The image's rows in the ledger.
    pub ledger: ImageLedger,
    /// Its audit log, the oldest row first.
    pub audit_log: Vec<AuditRow>,
    /// The notifications about it: to the bus of an account, or to the hub (`None`).
    pub sent: Vec<(Option<AccountId>, Notification)>,
}

/// The hub with its images, their key and the ledger.
#[derive(Debug, Clone)]
pub struct World {
    /// The hub's images.
    pub images: BTreeMap<ImageId, Managed>,
    /// The key of all images.
    pub key: Key,
    /// Whether AWS denies reading it.
    pub key_is_unreadable: bool,
    /// The principals that each image needs on the key.
    pub needs: KeyLedger,
    /// The principals that KMS rejects.
    pub rejected: BTreeSet<KeyPrincipal>,
    /// Accounts without a bus for the hub.
    pub without_bus: BTreeSet<AccountId>,
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether public images and snapshots are made private.
    pub makes_private: bool,
    /// The present moment.
    pub clock: Timestamp,
    /// Which reconciliation holds which lease.
    pub(crate) leases: BTreeMap<Lease, usize>,
    /// How many reconciliations there have been.
    pub(crate) reconciliations: usize,
}

/// What only one reconciliation at a time may write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lease {
    Key,
    Image(ImageId),
}

/// All access, and what the ledger records of it; two worlds in which it is equal are equal for every account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The launch permissions of each image, unmanaged ones included.
    pub launch: BTreeMap<ImageId, BTreeSet<LaunchPermission>>,
    /// The accounts of each snapshot, unmanaged ones included.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The key's policy: foreign and managed statements.
    pub policy: KeyPolicy,
    /// The targets with managed access by the ledger, by image.
    pub managed: BTreeSet<(ImageId, String)>,
    /// The accounts with managed access to each snapshot by the ledger.
    pub copiers: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The principals that each image needs on the key by the ledger.
    pub needed: BTreeMap<ImageId, BTreeSet<KeyPrincipal>>,
    /// The principals that are still to be revoked on the key by the ledger.
    pub pending_revocation: BTreeSet<KeyPrincipal>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            images: BTreeMap::new(),
            key: Key { policy: default_policy().written(&[]) },
            key_is_unreadable: false,
            needs: KeyLedger::default(),
            rejected: BTreeSet::new(),
            without_bus: BTreeSet::new(),
            limit: usize::MAX,
            makes_private: false,
            clock: now(),
            leases: BTreeMap::new(),
            reconciliations: 0,
        }
    }
}

impl World {
    /// A world in which image 1 has access that was granted out of band.
    pub fn granted_out_of_band(observed: ObservedImage) -> Self {
        let managed = Managed { observed, ..Managed::default() };
        Self { images: BTreeMap::from([(image_id(1), managed)]), ..Self::default() }
    }

    /// The same world with this policy of the key.
    #[must_use]
    pub fn with_policy(self, policy: String) -> Self {
        Self { key: Key { policy }, ..self }
    }

    /// The same world, in which KMS rejects these principals.
    #[must_use]
    pub fn with_rejected(self, rejected: BTreeSet<KeyPrincipal>) -> Self {
        Self { rejected, ..self }
    }

    /// The image with this id.
    pub fn image(&self, image: &ImageId) -> Managed {
        self.images.get(image).cloned().unwrap_or_default()
    }

    /// Image 1, which most tests are about.
    pub fn first(&self) -> Managed {
        self.image(&image_id(1))
    }

    pub(crate) fn image_mut(&mut self, image: &ImageId) -> &mut Managed {
        self.images.entry(image.clone()).or_default()
    }

    /// An image is deregistered; its snapshots stay.
    pub fn deregister(&mut self, image: &ImageId) {
        let observed = &mut self.image_mut(image).observed;
        observed.launch.clear();
        observed.is_gone = true;
        observed.is_public = false;
    }

    /// All access, and what the ledger records of it.
    pub fn access(&self) -> Access {
        let images = || self.images.iter();
        let managed = images().flat_map(|(image, managed)| {
            let rows = managed.ledger.shares.values().filter(|row| row.has_access());
            rows.map(|row| (image.clone(), row.target.clone()))
        });
        let needs = || self.needs.needed_by.iter();
        Access {
            launch: images()
                .map(|(image, managed)| (image.clone(), managed.observed.launch.clone()))
                .collect(),
            snapshots: without_empty(images().flat_map(|(_, managed)| managed.observed.snapshots.clone())),
            policy: self.key.read(),
            managed: managed.collect(),
            copiers: without_empty(images().flat_map(|(_, managed)| managed.ledger.snapshots.clone())),
            needed: without_empty(needs().map(|(image, need)| (image.clone(), need.principals.clone()))),
            pending_revocation: needs().flat_map(|(_, need)| need.pending_revocation.clone()).collect(),
        }
    }

    /// Makes one call to EC2 for an image.
    pub fn apply(&mut self, image: &ImageId, step: &ImageStep) {
        apply(&mut self.image_mut(image).observed, step);
    }
}

/// Makes one call to EC2.
pub fn apply(observed: &mut ObservedImage, step: &ImageStep) {
    match step {
        ImageStep::GrantSnapshot { snapshot, accounts } => {
            observed.snapshots.entry(snapshot.clone()).or_default().extend(accounts.iter().cloned());
        }
        ImageStep::GrantImage { permissions } => observed.launch.extend(permissions.iter().cloned()),
        ImageStep::RevokeImage { permissions } => {
            observed.launch.retain(|permission| !permissions.contains(permission));
        }
        ImageStep::RevokeSnapshot { snapshot, accounts } => {
            let granted = observed.snapshots.entry(snapshot.clone()).or_default();
            granted.retain(|account| !accounts.contains(account));
        }
        ImageStep::MakeImagePrivate => observed.is_public = false,
        ImageStep::MakeSnapshotPrivate { snapshot } => {
            observed.public_snapshots.remove(snapshot);
        }
    }
}

impl Managed {
    pub(crate) fn store(&mut self, rows: Vec<ShareRow>) {
        self.ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
    }
}

fn without_empty<K: Ord, V: Ord>(sets: impl Iterator<Item = (K, BTreeSet<V>)>) -> BTreeMap<K, BTreeSet<V>> {
    sets.filter(|(_, set)| !set.is_empty()).collect()
}

/// A key with its policy, as KMS stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The document.
    pub policy: String,
}

impl Key {
    /// Plans to grant the key to `desired`.
    pub fn plan(&self, desired: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        grant(&self.read(), desired, "aws")
    }

    /// Plans to revoke `pending_revocation`.
    pub fn plan_without(&self, pending_revocation: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        revoke(&self.read(), pending_revocation, "aws")
    }

    /// Puts the policy of a plan, if the plan changes it.
    pub fn apply(&mut self, plan: &KeyPlan) {
        if let Some(document) = &plan.document {
            self.policy.clone_from(document);
        }
    }

    /// Plans to grant `desired`, and applies the plan.
    pub fn grant(&mut self, desired: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        let plan = self.plan(desired);
        self.apply(&plan);
        plan
    }

    /// Plans to revoke `pending_revocation`, and applies the plan.
    pub fn revoke(&mut self, pending_revocation: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        let plan = self.plan_without(pending_revocation);
        self.apply(&plan);
        plan
    }

    /// The principals that managed statements grant the key.
    pub fn granted(&self) -> BTreeSet<KeyPrincipal> {
        self.read().granted().complete()
    }

    /// The policy, split into foreign and managed statements.
    pub fn read(&self) -> KeyPolicy {
        KeyPolicy::parse(&self.policy).unwrap()
    }
}
