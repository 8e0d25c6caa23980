//! The rows of the ledger's `KEY#arn…` partitions: whom each image needs on a key, from which key policies are computed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::ImageId;
use crate::key_statements::KeyPrincipal;

/// Whom one image needs on a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// The principals of all its live shares.
    #[serde(default)]
    pub principals: BTreeSet<KeyPrincipal>,
    /// Whom it needs no more, and whom the policy may still admit.
    #[serde(default)]
    pub leaving: BTreeSet<KeyPrincipal>,
    /// Those of them that KMS did not take, or for which the policy had no room.
    #[serde(default)]
    pub left_out: BTreeSet<KeyPrincipal>,
}

/// All that the ledger knows of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyLedger {
    /// Whom each image needs on the key.
    pub needed_by: BTreeMap<ImageId, Need>,
    /// Whether a writer has the key now.
    pub is_taken: bool,
}

impl KeyLedger {
    /// Whom the key must admit, as a look at `image` that still wants `own` sees it: the union over all images.
    /// What was left out for `image` itself is tried again; for the others it is not, so that one bad apple
    /// does not hold up everybody who uses the key.
    pub fn wanted_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let wanted = self.needed_by.iter().flat_map(|(needing, need)| {
            need.principals.iter().filter(move |principal| match needing == image {
                true => own.contains(*principal),
                false => !need.left_out.contains(*principal),
            })
        });
        wanted.cloned().collect()
    }

    /// Whom `image` needs no more, now that it wants `own`, and has not given up yet.
    pub fn given_up_by(&self, image: &ImageId, own: &BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal> {
        let need = self.needed_by.get(image);
        need.map(|need| need.principals.difference(own).cloned().collect()).unwrap_or_default()
    }

    /// Whom other images than `image` need.
    pub fn wanted_by_others(&self, image: &ImageId) -> BTreeSet<KeyPrincipal> {
        let others = self.needed_by.iter().filter(|(needing, _)| *needing != image);
        others.flat_map(|(_, need)| &need.principals).cloned().collect()
    }

    /// Whom the policy may still admit by our hand although no image needs them.
    pub fn leaving(&self) -> BTreeSet<KeyPrincipal> {
        let needed: BTreeSet<&KeyPrincipal> =
            self.needed_by.values().flat_map(|need| &need.principals).collect();
        let leaving = self.needed_by.values().flat_map(|need| &need.leaving);
        leaving.filter(|principal| !needed.contains(principal)).cloned().collect()
    }

    /// The images whose row must change when `left_out` were left out of what was `tried`,
    /// each with those to add to and those to take from its `left_out`.
    pub fn left_out_changes(
        &self,
        tried: &BTreeSet<KeyPrincipal>,
        left_out: &BTreeSet<KeyPrincipal>,
    ) -> Vec<LeftOutChange> {
        let changes = self.needed_by.iter().map(|(image, need)| LeftOutChange {
            image: image.clone(),
            add: need
                .principals
                .intersection(left_out)
                .filter(|principal| !need.left_out.contains(*principal))
                .cloned()
                .collect(),
            remove: need
                .left_out
                .intersection(tried)
                .filter(|principal| !left_out.contains(*principal))
                .cloned()
                .collect(),
        });
        changes.filter(|change| !change.add.is_empty() || !change.remove.is_empty()).collect()
    }
}

/// How one image's `left_out` on a key changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutChange {
    /// The image.
    pub image: ImageId,
    /// Newly left out.
    pub add: Vec<KeyPrincipal>,
    /// No longer left out.
    pub remove: Vec<KeyPrincipal>,
}
