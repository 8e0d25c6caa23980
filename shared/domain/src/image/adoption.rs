//! Access that becomes managed again: how a lost ledger is rebuilt.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit_log::{AuditAction, AuditRow};
use crate::ids::{AccountId, SnapshotId};
use crate::image::desired::Share;
use crate::image::ledger::ImageLedger;
use crate::image::plan::ObservedImage;
use crate::image::request::ImageRequest;
use crate::targets::target::Target;

/// Access that becomes managed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopted {
    /// The names of the targets whose launch permission becomes managed.
    pub targets: BTreeSet<String>,
    /// The accounts whose permission on a snapshot becomes managed.
    pub snapshots: BTreeMap<SnapshotId, Vec<AccountId>>,
}

impl Adopted {
    /// The rows of the audit log that say so. When access was granted, and by which principal, is no longer known.
    pub fn rows(&self, share: &Share) -> Vec<AuditRow> {
        let row = |resource: &dyn ToString, principals: Vec<String>| {
            let row = AuditRow::new(
                AuditAction::Adopted,
                resource.to_string(),
                principals,
                &share.run.triggered_by,
                share.run.intent,
            );
            row.because(
                "granted and desired, but missing from the ledger; who granted it, and when, is not known",
            )
        };
        let snapshots = self
            .snapshots
            .iter()
            .map(|(snapshot, accounts)| row(snapshot, accounts.iter().map(ToString::to_string).collect()));
        let image = (!self.targets.is_empty())
            .then(|| row(&share.desired.image.id, self.targets.iter().cloned().collect()));
        image.into_iter().chain(snapshots).collect()
    }
}

impl ImageRequest {
    /// The access of `targets` that becomes managed: only where the trigger says `adopt`, only what the tags ask for,
    /// and, on encrypted images, only of targets that managed statements had granted every key.
    pub fn adopted(&self, targets: &[&Target], observed: &ObservedImage, ledger: &ImageLedger) -> Adopted {
        if !self.share.run.adopt {
            return Adopted::default();
        }
        let had_keys =
            |target: &Target| !self.keys.iter().any(|key| key.added.contains(&target.key_principal()));
        let is_unrecorded = |target: &Target| {
            !ledger.shares.contains_key(target.name())
                && observed.launch.contains(&target.launch_permission())
        };
        let adoptable = || targets.iter().filter(|target| had_keys(target));
        let adopted = adoptable().filter(|target| is_unrecorded(target));
        let desired: BTreeSet<&AccountId> = adoptable().flat_map(|target| target.accounts()).collect();
        let snapshots = self.share.desired.snapshots.iter().filter_map(|snapshot| {
            let actual = observed.snapshots.get(snapshot)?;
            let recorded = ledger.snapshots.get(snapshot);
            let unrecorded = actual.iter().filter(|account| {
                desired.contains(account) && !recorded.is_some_and(|recorded| recorded.contains(*account))
            });
            let unrecorded: Vec<AccountId> = unrecorded.cloned().collect();
            (!unrecorded.is_empty()).then(|| (snapshot.clone(), unrecorded))
        });
        Adopted {
            targets: adopted.map(|target| target.name().to_owned()).collect(),
            snapshots: snapshots.collect(),
        }
    }
}
