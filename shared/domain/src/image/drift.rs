//! Drift: managed access that was removed out of band, and is granted again.

use std::collections::BTreeSet;

use crate::ids::AccountId;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::plan::ObservedImage;
use crate::image::request::ImageRequest;
use crate::targets::target::Target;

impl ImageRequest {
    /// The targets, and accounts of snapshots, whose managed access on the image, a snapshot or a key was removed out
    /// of band.
    ///
    /// That this run granted a key says so only of access that was recorded before the run observed the image: another
    /// run may have granted it since, when the key was ready. Two cases cannot be distinguished from drift: an
    /// interrupted run had yet to grant a snapshot, or had revoked access that is desired again.
    pub fn restored(
        &self,
        targets: &[&Target],
        observed: &ObservedImage,
        ledger: &ImageLedger,
    ) -> Vec<String> {
        let recorded = || {
            targets.iter().filter_map(|target| {
                let row = ledger.shares.get(target.name())?;
                (row.has_access() && row.outcome == ShareOutcome::Shared).then_some((*target, row))
            })
        };
        let from_image = recorded()
            .filter(|(target, row)| {
                self.lacked_key(target, row) || !observed.launch.contains(&target.launch_permission())
            })
            .map(|(target, _)| target.name().to_owned());
        let desired: BTreeSet<&AccountId> = recorded().flat_map(|(target, _)| target.accounts()).collect();
        let from_snapshots = self.share.desired.snapshots.iter().filter_map(|snapshot| {
            let (managed, actual) = (ledger.snapshots.get(snapshot)?, observed.snapshots.get(snapshot)?);
            Some(managed.difference(actual).filter(|account| desired.contains(account)))
        });
        let from_snapshots = from_snapshots.flatten().map(ToString::to_string);
        from_image.chain(from_snapshots).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether this run had to grant a key that the ledger says the target had before.
    fn lacked_key(&self, target: &Target, row: &ShareRow) -> bool {
        let principal = target.key_principal();
        let mut recorded_keys = self.keys.iter().filter(|key| row.keys.contains(&key.key));
        row.since < self.share.run.observed.at && recorded_keys.any(|key| key.added.contains(&principal))
    }
}
