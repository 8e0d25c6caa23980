//! The repair of the audit log: rows for what an interrupted reconciliation did and could not record.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::audit_log::{AuditAction, AuditRow};
use crate::image::desired::{Run, Share};
use crate::image::ledger::{ImageLedger, ShareOutcome};
use crate::image::plan::ObservedImage;

impl ImageLedger {
    /// The rows that the audit log lacks: of access that is granted as the ledger says that it was about to be, and
    /// of access that ended with the image or snapshot itself, without a call. What is pending revocation on an image that
    /// exists is revoked by a call, which has its own row.
    pub fn unrecorded(&self, share: &Share, observed: &ObservedImage) -> Vec<AuditRow> {
        let actual: BTreeSet<&str> = observed.launch.iter().map(|permission| permission.name()).collect();
        let granting = self.shares.values().filter(|row| row.outcome == ShareOutcome::Granting);
        let granted =
            granting.map(|row| row.target.clone()).filter(|target| actual.contains(target.as_str()));
        let revoked = self.pending_revocation(&share.desired).into_iter().filter(|_| observed.is_gone);
        let image = &share.desired.image.id;
        let granted =
            found(share, image, granted.collect(), "found granted by a reconciliation that was interrupted");
        let revoked = found(share, image, revoked.collect(), "the image does not exist any more");
        let snapshots = self.accounts_of_gone_snapshots(observed).into_iter();
        let snapshots = snapshots.filter_map(|(snapshot, accounts)| {
            let accounts = accounts.iter().map(ToString::to_string).collect();
            found(share, &snapshot, accounts, "the snapshot does not exist any more")
        });
        granted.into_iter().chain(revoked).chain(snapshots).collect()
    }
}

/// One row on all `principals`; none without any.
fn found(share: &Share, resource: &impl ToString, principals: Vec<String>, reason: &str) -> Option<AuditRow> {
    let Run { triggered_by, observed, intent, .. } = &share.run;
    let row = AuditRow::new(AuditAction::Recovered, resource.to_string(), principals, triggered_by, *intent);
    let row = row.done(Timestamp::max(triggered_by.at, observed.at), None).because(reason);
    (!row.principals.is_empty()).then_some(row)
}
