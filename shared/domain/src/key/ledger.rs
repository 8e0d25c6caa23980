//! The rows of the ledger's `KEY#arn…` partitions: the principals that each image needs on a key, from which key policies are computed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::ImageId;
use crate::targets::target::KeyPrincipal;

/// What one image needs on a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// The principals of all its shares.
    #[serde(default)]
    pub principals: BTreeSet<KeyPrincipal>,
    /// The principals that it no longer needs, and that the policy may still allow.
    #[serde(default)]
    pub pending_revocation: BTreeSet<KeyPrincipal>,
    /// Those of `principals` that KMS rejected, or for which the policy had no room.
    #[serde(default)]
    pub excluded: BTreeSet<KeyPrincipal>,
}

/// All that the ledger knows of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyLedger {
    /// What each image needs on the key.
    pub needed_by: BTreeMap<ImageId, Need>,
    /// Whether a writer holds the lease of the key now.
    pub is_leased: bool,
}

impl KeyLedger {
    /// The principals that the key policy must allow when `image` needs `own`: the union over all images. What was
    /// excluded for `image` itself is tried again; for the other images it is not, so that one rejected principal does
    /// not hold up all images on the key.
    pub fn required_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let desired = self.needed_by.iter().flat_map(|(needing, need)| {
            need.principals.iter().filter(move |principal| match needing == image {
                true => own.contains(*principal),
                false => !need.excluded.contains(*principal),
            })
        });
        desired.cloned().collect()
    }

    /// The principals that `image` no longer needs, now that it needs `own`, and has not released yet.
    pub fn released_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let need = self.needed_by.get(image);
        need.map(|need| need.principals.difference(own).cloned().collect()).unwrap_or_default()
    }

    /// The principals that other images than `image` need.
    pub fn required_by_others(&self, image: &ImageId) -> BTreeSet<KeyPrincipal> {
        let others = self.needed_by.iter().filter(|(needing, _)| *needing != image);
        others.flat_map(|(_, need)| &need.principals).cloned().collect()
    }

    /// The principals that the policy may still allow although no image needs them.
    pub fn pending_revocation(&self) -> BTreeSet<KeyPrincipal> {
        let needed: BTreeSet<&KeyPrincipal> =
            self.needed_by.values().flat_map(|need| &need.principals).collect();
        let pending_revocation = self.needed_by.values().flat_map(|need| &need.pending_revocation);
        pending_revocation.filter(|principal| !needed.contains(principal)).cloned().collect()
    }

    /// The images whose row must change when `excluded` were excluded from what was `tried`, each with the principals to
    /// add to and to remove from its `excluded`.
    pub fn excluded_changes(
        &self,
        tried: &BTreeSet<KeyPrincipal>,
        excluded: &BTreeSet<KeyPrincipal>,
    ) -> Vec<ExcludedChange> {
        let changes = self.needed_by.iter().map(|(image, need)| ExcludedChange {
            image: image.clone(),
            add: need
                .principals
                .intersection(excluded)
                .filter(|principal| !need.excluded.contains(*principal))
                .cloned()
                .collect(),
            remove: need
                .excluded
                .intersection(tried)
                .filter(|principal| !excluded.contains(*principal))
                .cloned()
                .collect(),
        });
        changes.filter(|change| !change.add.is_empty() || !change.remove.is_empty()).collect()
    }
}

/// How one image's `excluded` on a key changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedChange {
    /// The image.
    pub image: ImageId,
    /// Newly excluded.
    pub add: Vec<KeyPrincipal>,
    /// No longer excluded.
    pub remove: Vec<KeyPrincipal>,
}
