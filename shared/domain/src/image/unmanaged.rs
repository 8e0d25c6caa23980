//! Access to an image and its snapshots that ami-share did not grant, and therefore never revokes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ImageId};
use crate::image::desired::Share;
use crate::image::ledger::{ImageLedger, ShareRow};
use crate::image::plan::ObservedImage;

/// Access that ami-share did not grant, and therefore never revokes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnmanagedGrant {
    /// The image or snapshot, by id.
    pub resource: String,
    /// Who has access: an account, the ARN of an OU or organization, or `all`, which means every AWS account.
    pub grantee: String,
}

impl UnmanagedGrant {
    /// Whether every AWS account has this access.
    pub fn is_public(&self) -> bool {
        self.grantee == "all"
    }
}

impl fmt::Display for UnmanagedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.resource, self.grantee)
    }
}

/// Access to the image and its snapshots that ami-share did not grant: neither in the ledger, nor desired now.
pub fn unmanaged(
    observed: &ObservedImage,
    image: &ImageId,
    share: &Share,
    ledger: &ImageLedger,
) -> Vec<UnmanagedGrant> {
    let all = || "all".to_owned();
    let grant = |resource: &dyn fmt::Display, grantee: String| UnmanagedGrant {
        resource: resource.to_string(),
        grantee,
    };
    let is_managed = |name: &str| ledger.shares.get(name).is_some_and(ShareRow::has_access);
    let unmanaged = observed
        .launch
        .iter()
        .filter(|permission| !is_managed(permission.name()) && !share.includes(permission.name()));
    let mut grants: Vec<UnmanagedGrant> =
        unmanaged.map(|permission| grant(image, permission.to_string())).collect();
    grants.extend(observed.is_public.then(|| grant(image, all())));
    let desired: BTreeSet<&AccountId> = match share.snapshots.is_empty() {
        true => BTreeSet::new(),
        false => share.desired_accounts(),
    };
    for (snapshot, accounts) in &observed.snapshots {
        let managed = ledger.snapshots.get(snapshot);
        let unmanaged = accounts.iter().filter(|account| {
            !managed.is_some_and(|managed| managed.contains(*account)) && !desired.contains(account)
        });
        grants.extend(unmanaged.map(|account| grant(snapshot, account.to_string())));
    }
    grants.extend(observed.public_snapshots.iter().map(|snapshot| grant(snapshot, all())));
    grants
}
