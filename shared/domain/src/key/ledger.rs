//! The rows of the ledger's `KEY#arn…` partitions: whom each image needs on a key, from which key policies are computed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::ImageId;
use crate::targets::target::KeyPrincipal;

/// Whom one image needs on a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// The principals of all its live shares.
    #[serde(default)]
    pub principals: BTreeSet<KeyPrincipal>,
    /// Whom it needs no more, and whom the policy may still admit.
    #[serde(default)]
    pub pending_revocation: BTreeSet<KeyPrincipal>,
    /// Those of them that KMS did not take, or for which the policy had no room.
    #[serde(default)]
    pub excluded: BTreeSet<KeyPrincipal>,
}

/// All that the ledger knows of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyLedger {
    /// Whom each image needs on the key.
    pub needed_by: BTreeMap<ImageId, Need>,
    /// Whether a writer has the key now.
    pub is_leased: bool,
}

impl KeyLedger {
    /// Whom the key must admit, as a look at `image` that still wants `own` sees it: the union over all images.
    /// What was left out for `image` itself is tried again; for the others it is not, so that one bad apple
    /// does not hold up everybody who uses the key.
    pub fn required_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let desired = self.needed_by.iter().flat_map(|(needing, need)| {
            need.principals.iter().filter(move |principal| match needing == image {
                true => own.contains(*principal),
                false => !need.excluded.contains(*principal),
            })
        });
        desired.cloned().collect()
    }

    /// Whom `image` needs no more, now that it wants `own`, and has not given up yet.
    pub fn released_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let need = self.needed_by.get(image);
        need.map(|need| need.principals.difference(own).cloned().collect()).unwrap_or_default()
    }

    /// Whom other images than `image` need.
    pub fn required_by_others(&self, image: &ImageId) -> BTreeSet<KeyPrincipal> {
        let others = self.needed_by.iter().filter(|(needing, _)| *needing != image);
        others.flat_map(|(_, need)| &need.principals).cloned().collect()
    }

    /// Whom the policy may still admit by our hand although no image needs them.
    pub fn pending_revocation(&self) -> BTreeSet<KeyPrincipal> {
        let needed: BTreeSet<&KeyPrincipal> =
            self.needed_by.values().flat_map(|need| &need.principals).collect();
        let pending_revocation = self.needed_by.values().flat_map(|need| &need.pending_revocation);
        pending_revocation.filter(|principal| !needed.contains(principal)).cloned().collect()
    }

    /// The images whose row must change when `excluded` were left out of what was `tried`,
    /// each with those to add to and those to take from its `excluded`.
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
    /// Newly left out.
    pub add: Vec<KeyPrincipal>,
    /// No longer left out.
    pub remove: Vec<KeyPrincipal>,
}
