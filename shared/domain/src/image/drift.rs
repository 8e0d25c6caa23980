//! Access that is open and for which the ledger has no row: what a rebuilt ledger takes for ours, what an
//! earlier look did without living to write it down, and what somebody took that is given again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::audit_log::{AuditAction, AuditRow};
use crate::ids::{AccountId, SnapshotId};
use crate::image::desired::Share;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::plan::ObservedImage;
use crate::image::request::ImageRequest;
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;

/// What is taken for ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopted {
    /// The names of targets whose launch permission is taken for ours.
    pub targets: BTreeSet<String>,
    /// The accounts whose permission on a snapshot is taken for ours.
    pub snapshots: BTreeMap<SnapshotId, Vec<AccountId>>,
}

impl Adopted {
    /// The rows of history that say so. When access was given, and by whom, can no longer be known.
    pub fn rows(&self, share: &Share) -> Vec<AuditRow> {
        let row = |resource: &dyn ToString, principals: Vec<String>| {
            let row = AuditRow::new(
                AuditAction::Adopted,
                resource.to_string(),
                principals,
                &share.triggered_by,
                share.intent,
            );
            row.because(
                "open and asked for by the tags, but not in the ledger; since when and by whom is not known",
            )
        };
        let snapshots = self
            .snapshots
            .iter()
            .map(|(snapshot, accounts)| row(snapshot, accounts.iter().map(ToString::to_string).collect()));
        let image =
            (!self.targets.is_empty()).then(|| row(&share.image.id, self.targets.iter().cloned().collect()));
        image.into_iter().chain(snapshots).collect()
    }
}

impl ImageRequest {
    /// What is taken for ours of what is open to `targets`: only where the look was asked to, only what the
    /// tags ask for, and, on encrypted images, only of whom our statements had admitted to every key.
    pub fn adopted(&self, targets: &[&Target], observed: &ObservedImage, ledger: &ImageLedger) -> Adopted {
        if !self.share.adopt {
            return Adopted::default();
        }
        let was_granted =
            |target: &Target| !self.keys.iter().any(|key| key.added.contains(&target.key_principal()));
        let is_unknown = |target: &Target| {
            !ledger.shares.contains_key(target.name())
                && observed.launch.contains(&target.launch_permission())
        };
        let known = || targets.iter().filter(|target| was_granted(target));
        let adopted = known().filter(|target| is_unknown(target));
        let desired: BTreeSet<&AccountId> = known().flat_map(|target| target.accounts()).collect();
        let snapshots = self.share.snapshots.iter().filter_map(|snapshot| {
            let open = observed.snapshots.get(snapshot)?;
            let recorded = ledger.snapshots.get(snapshot);
            let unknown = open.iter().filter(|account| {
                desired.contains(account) && !recorded.is_some_and(|recorded| recorded.contains(*account))
            });
            let unknown: Vec<AccountId> = unknown.cloned().collect();
            (!unknown.is_empty()).then(|| (snapshot.clone(), unknown))
        });
        Adopted {
            targets: adopted.map(|target| target.name().to_owned()).collect(),
            snapshots: snapshots.collect(),
        }
    }

    /// Whose access somebody has taken by hand since we gave it: on the image, a snapshot or a key.
    ///
    /// That this look has put somebody on a key says so only of access that stood when it began: another look may have
    /// given it since, when the key was ready. What a look lacks that died while it let copy, or while it took access that
    /// is wanted again, cannot be told from what somebody took.
    pub fn restored(
        &self,
        targets: &[&Target],
        observed: &ObservedImage,
        ledger: &ImageLedger,
    ) -> Vec<String> {
        let previous = || {
            targets.iter().filter_map(|target| {
                let row = ledger.shares.get(target.name())?;
                (row.has_access() && row.outcome == ShareOutcome::Shared).then_some((*target, row))
            })
        };
        let was_removed = |target: &Target, row: &ShareRow| {
            let principal: KeyPrincipal = target.key_principal();
            let was_put =
                self.keys.iter().any(|key| row.keys.contains(&key.key) && key.added.contains(&principal));
            let from_key = was_put && row.since < self.share.image.seen_at;
            from_key || !observed.launch.contains(&target.launch_permission())
        };
        let from_image = previous().filter(|(target, row)| was_removed(target, row));
        let desired: BTreeSet<&AccountId> = previous().flat_map(|(target, _)| target.accounts()).collect();
        let from_snapshots = self.share.snapshots.iter().filter_map(|snapshot| {
            let (managed, open) = (ledger.snapshots.get(snapshot)?, observed.snapshots.get(snapshot)?);
            Some(managed.difference(open).filter(|account| desired.contains(account)))
        });
        let mut restored: BTreeSet<String> = from_image.map(|(target, _)| target.name().to_owned()).collect();
        restored.extend(from_snapshots.flatten().map(ToString::to_string));
        restored.into_iter().collect()
    }
}

impl ImageLedger {
    /// Rows of history for what an earlier look did and did not live to write down: access that is open as it
    /// was about to be given, and access that is gone as it was about to be taken.
    pub fn unrecorded(&self, share: &Share, observed: &ObservedImage) -> Vec<AuditRow> {
        let open: BTreeSet<&str> = observed.launch.iter().map(|permission| permission.name()).collect();
        let pending_revocation = self.pending_revocation(share);
        let result = self
            .shares
            .values()
            .filter(|row| row.outcome == ShareOutcome::Granting && open.contains(row.target.as_str()));
        let taken = pending_revocation.iter().filter(|target| !open.contains(target.as_str()));
        let row = |principals: Vec<String>, what: &str| {
            let row = AuditRow::new(
                AuditAction::Recovered,
                &share.image.id,
                principals,
                &share.triggered_by,
                share.intent,
            );
            row.done(Timestamp::max(share.triggered_by.at, share.image.seen_at), None).because(what)
        };
        let result: Vec<String> = result.map(|row| row.target.clone()).collect();
        let taken: Vec<String> = taken.cloned().collect();
        let result =
            (!result.is_empty()).then(|| row(result, "found open, as an earlier look was about to leave it"));
        let taken = (!taken.is_empty()).then(|| row(taken, "found closed already"));
        result.into_iter().chain(taken).collect()
    }
}
