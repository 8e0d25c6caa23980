//! The rows of the ledger's `IMAGE#ami-…` partitions: the intent, the shares, and the notifications that were sent.
//!
//! `shared/aws` stores the rows; what they mean is here, and for keys in `key::ledger`.

mod intent;
mod notified;
mod shares;

use std::collections::{BTreeMap, BTreeSet};

pub use self::intent::Intent;
pub use self::notified::NotifiedRow;
pub use self::shares::{NotifiableOutcome, ShareOutcome, ShareRow};
use crate::ids::{AccountId, SnapshotId};
use crate::image::desired::{DesiredState, Share};
use crate::image::plan::ObservedImage;
use crate::image::schedule::Schedules;
use crate::targets::target::LaunchPermission;

/// All that the ledger knows of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageLedger {
    /// The last intent.
    pub intent: Option<Intent>,
    /// Its shares, by target or refused selector.
    pub shares: BTreeMap<String, ShareRow>,
    /// The notifications that were sent.
    pub notified: NotifiedRow,
    /// The accounts to which ami-share granted each snapshot.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The schedules that were created.
    pub schedules: Schedules,
}

impl ImageLedger {
    /// Whether a later intent than that of `share` has taken over.
    pub fn supersedes(&self, share: &Share) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.number > share.run.intent)
    }

    /// The targets with managed access that is no longer desired.
    pub fn pending_revocation(&self, desired: &DesiredState) -> BTreeSet<String> {
        self.rows_pending_revocation(desired).map(|row| row.target.clone()).collect()
    }

    /// Their launch permissions, whether EC2 shows them now or not. A row that an earlier version wrote does not have the
    /// permission of an OU or organization; then it is the one that EC2 shows.
    pub fn permissions_pending_revocation(
        &self,
        desired: &DesiredState,
        observed: &ObservedImage,
    ) -> BTreeSet<LaunchPermission> {
        let shown = |row: &ShareRow| {
            observed.launch.iter().find(|permission| permission.name() == row.target).cloned()
        };
        let pending_revocation = self.rows_pending_revocation(desired);
        pending_revocation.filter_map(|row| row.launch_permission().or_else(|| shown(row))).collect()
    }

    fn rows_pending_revocation(&self, desired: &DesiredState) -> impl Iterator<Item = &ShareRow> {
        self.shares.values().filter(|row| row.has_access() && !desired.includes(&row.target))
    }

    /// The accounts on record of snapshots that do not exist any more: their access has ended.
    pub fn accounts_of_gone_snapshots(
        &self,
        observed: &ObservedImage,
    ) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
        let is_gone = |snapshot: &SnapshotId| observed.gone_snapshots.contains(snapshot);
        let gone =
            self.snapshots.iter().filter(|(snapshot, accounts)| is_gone(snapshot) && !accounts.is_empty());
        gone.map(|(snapshot, accounts)| (snapshot.clone(), accounts.clone())).collect()
    }

    /// The accounts with managed access to each snapshot that is no longer desired.
    pub fn snapshots_pending_revocation(
        &self,
        desired: &DesiredState,
    ) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
        let desired_accounts = desired.accounts();
        let pending_revocation = self.snapshots.iter().map(|(snapshot, accounts)| {
            let is_desired = desired.grants_snapshot(snapshot);
            let may_hold =
                |account: &AccountId| desired.has_unknown_accounts || desired_accounts.contains(account);
            let accounts = accounts.iter().filter(|account| !is_desired || !may_hold(account));
            (snapshot.clone(), accounts.cloned().collect::<BTreeSet<_>>())
        });
        pending_revocation.filter(|(_, accounts)| !accounts.is_empty()).collect()
    }

    /// The accounts that were notified of their access, or are targets themselves, and lose it by `desired`.
    pub fn accounts_losing_access(&self, desired: &DesiredState) -> BTreeSet<AccountId> {
        let desired_accounts = desired.accounts();
        let named = self.pending_revocation(desired);
        let notified = self.notified.delivered.iter().chain(&self.notified.without_bus).chain(&named);
        notified
            .filter_map(|account| account.parse().ok())
            .filter(|account| !desired.has_unknown_accounts && !desired_accounts.contains(account))
            .collect()
    }

    /// Whether there is no managed access.
    pub fn has_no_access(&self) -> bool {
        self.shares.values().all(|row| !row.has_access()) && self.snapshots.values().all(BTreeSet::is_empty)
    }

    /// Whether there is no managed access, and the hub knows: then an image that is gone needs no review.
    pub fn is_settled(&self) -> bool {
        self.has_no_access() && self.shares.values().all(|row| !row.needs_notification())
    }
}
