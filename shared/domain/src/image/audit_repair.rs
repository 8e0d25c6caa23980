//! The repair of the audit log: rows for what an interrupted reconciliation did and could not record.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::audit_log::{AuditAction, AuditRow};
use crate::image::desired::{Run, Share};
use crate::image::ledger::{ImageLedger, ShareOutcome};
use crate::image::plan::ObservedImage;

impl ImageLedger {
    /// The rows that the audit log lacks: of access that is granted as the ledger says that it was about to be, and
    /// of access that is gone as it was about to be.
    pub fn unrecorded(&self, share: &Share, observed: &ObservedImage) -> Vec<AuditRow> {
        let actual: BTreeSet<&str> = observed.launch.iter().map(|permission| permission.name()).collect();
        let granting = self.shares.values().filter(|row| row.outcome == ShareOutcome::Granting);
        let granted =
            granting.map(|row| row.target.clone()).filter(|target| actual.contains(target.as_str()));
        let revoking = self.pending_revocation(&share.desired).into_iter();
        let revoked = revoking.filter(|target| !actual.contains(target.as_str()));
        let granted =
            found(share, granted.collect(), "found granted by a reconciliation that was interrupted");
        let revoked = found(share, revoked.collect(), "found revoked already");
        granted.into_iter().chain(revoked).collect()
    }
}

/// One row on all `principals`; none without any.
fn found(share: &Share, principals: Vec<String>, reason: &str) -> Option<AuditRow> {
    let Run { triggered_by, observed, intent, .. } = &share.run;
    let row =
        AuditRow::new(AuditAction::Recovered, &share.desired.image.id, principals, triggered_by, *intent);
    let row = row.done(Timestamp::max(triggered_by.at, observed.at), None).because(reason);
    (!row.principals.is_empty()).then_some(row)
}
