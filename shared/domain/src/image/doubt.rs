//! Reads that contradict the ledger. EC2 is eventually consistent, so such a read may be older than what was recorded:
//! it is read again before it is believed.

use std::collections::BTreeSet;

use crate::ids::AccountId;
use crate::image::desired::Share;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::plan::ObservedImage;

impl ImageLedger {
    /// Whether what was read contradicts the ledger: it lacks access that was granted and is still desired, or shows
    /// access that was revoked. Of the former there is no doubt where the trigger names the principal that removed it.
    pub fn contradicts(&self, share: &Share, observed: &ObservedImage) -> bool {
        let lacks = share.run.changed_by.is_none() && self.grants_more_than(share, observed);
        !observed.is_gone && (lacks || self.revoked_what_is_shown(observed))
    }

    fn grants_more_than(&self, share: &Share, observed: &ObservedImage) -> bool {
        let targets = share.desired.targets.iter().filter(|target| {
            let row = self.shares.get(target.name());
            row.is_some_and(|row| row.has_access() && row.outcome == ShareOutcome::Shared)
        });
        let mut accounts: BTreeSet<&AccountId> = BTreeSet::new();
        for target in targets {
            if !observed.launch.contains(&target.launch_permission()) {
                return true;
            }
            accounts.extend(target.accounts());
        }
        share.desired.snapshots.iter().any(|snapshot| {
            match (self.snapshots.get(snapshot), observed.snapshots.get(snapshot)) {
                (Some(managed), Some(actual)) => {
                    managed.difference(actual).any(|account| accounts.contains(account))
                }
                _ => false,
            }
        })
    }

    fn revoked_what_is_shown(&self, observed: &ObservedImage) -> bool {
        let is_revoked = |name: &str| {
            let is_over = |row: &ShareRow| row.outcome == ShareOutcome::Revoked;
            self.shares.get(name).is_some_and(is_over)
        };
        observed.launch.iter().any(|permission| is_revoked(permission.name()))
    }
}
