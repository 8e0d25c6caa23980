//! Access to an image and its snapshots that ami-share did not grant, and therefore never revokes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::AccountId;
use crate::image::desired::DesiredState;
use crate::image::ledger::{ImageLedger, ShareRow};
use crate::image::plan::ObservedImage;

/// Access that ami-share did not give, and therefore never takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnmanagedGrant {
    /// What is open: an image or a snapshot, by id.
    pub resource: String,
    /// To whom: an account, the ARN of an OU or organization, or `all`, which means everybody.
    pub grantee: String,
}

impl UnmanagedGrant {
    /// Whether everybody has this access.
    pub fn is_public(&self) -> bool {
        self.grantee == "all"
    }
}

impl fmt::Display for UnmanagedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.resource, self.grantee)
    }
}

/// Access to the image and its snapshots that ami-share did not give: neither in the ledger, nor wanted now.
pub fn unmanaged(
    observed: &ObservedImage,
    desired: &DesiredState,
    ledger: &ImageLedger,
) -> Vec<UnmanagedGrant> {
    let everybody = || "all".to_owned();
    let grant = |resource: &dyn fmt::Display, grantee: String| UnmanagedGrant {
        resource: resource.to_string(),
        grantee,
    };
    let is_managed = |name: &str| ledger.shares.get(name).is_some_and(ShareRow::has_access);
    let by_others = observed
        .launch
        .iter()
        .filter(|permission| !is_managed(permission.name()) && !desired.includes(permission.name()));
    let mut grants: Vec<UnmanagedGrant> =
        by_others.map(|permission| grant(&desired.image.id, permission.to_string())).collect();
    grants.extend(observed.is_public.then(|| grant(&desired.image.id, everybody())));
    let desired_accounts: BTreeSet<&AccountId> = match desired.snapshots.is_empty() {
        true => BTreeSet::new(),
        false => desired.accounts(),
    };
    for (snapshot, accounts) in &observed.snapshots {
        let managed = ledger.snapshots.get(snapshot);
        let by_others = accounts.iter().filter(|account| {
            !managed.is_some_and(|managed| managed.contains(*account)) && !desired_accounts.contains(account)
        });
        grants.extend(by_others.map(|account| grant(snapshot, account.to_string())));
    }
    grants.extend(observed.public_snapshots.iter().map(|snapshot| grant(snapshot, everybody())));
    grants
}
