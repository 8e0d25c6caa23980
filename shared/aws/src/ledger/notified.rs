//! Row `NOTIFIED`: which accounts were notified of an image, and what the hub was last notified of.

use ami_share_domain::ids::{AccountId, ImageId};
use ami_share_domain::notify::notification::{Conclusion, ReportedUnmanaged, warning_of};
use jiff::Timestamp;

use crate::error::AwsError;
use crate::ledger::change::Change;
use crate::ledger::rows::{RowKey, set, text};
use crate::ledger::writer::LedgerWriter;

impl LedgerWriter {
    /// Records which accounts were notified on their bus, and which have no bus.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_notified(
        &self,
        image: &ImageId,
        delivered: &[AccountId],
        without_bus: &[AccountId],
    ) -> Result<(), AwsError> {
        let change = Change::default().add("delivered", delivered).add("without_bus", without_bus);
        self.update(&RowKey::notified(image), change).await
    }

    /// Records which accounts were warned of the expiry, as long as others were not.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn add_warned(
        &self,
        image: &ImageId,
        accounts: &[AccountId],
        end: Timestamp,
    ) -> Result<(), AwsError> {
        let warnings = accounts.iter().map(|account| warning_of(account, end));
        self.update(&RowKey::notified(image), Change::default().add("warning", warnings)).await
    }

    /// Forgets that accounts were notified of their access: it is revoked, and the next grant notifies them again.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn forget_notified(&self, image: &ImageId, accounts: &[AccountId]) -> Result<(), AwsError> {
        let change = Change::default().delete("delivered", accounts).delete("without_bus", accounts);
        self.update(&RowKey::notified(image), change).await
    }

    /// Records that the notifications of a revocation wait for a usage report, and until when.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn wait_for_report(
        &self,
        image: &ImageId,
        report_id: &str,
        until: Timestamp,
    ) -> Result<(), AwsError> {
        let change = Change::default().set("waiting_for", text(report_id));
        let change = change.set("waiting_until", text(until.to_string()));
        self.update(&RowKey::notified(image), change).await
    }

    /// Records when all notifications of an outcome were sent, and what later reconciliations compare with.
    ///
    /// # Errors
    /// When `dynamodb:UpdateItem` fails.
    pub async fn conclude(
        &self,
        image: &ImageId,
        conclusion: &Conclusion,
        at: Timestamp,
    ) -> Result<(), AwsError> {
        let Conclusion { warned, unmanaged, status } = conclusion;
        let moment = |moment: Timestamp| text(moment.to_string());
        let mut change = Change::default().set("outcome_at", moment(at));
        if let Some(status) = status {
            change = change.set("status", text(status)).set("at", moment(at));
        }
        if let Some(end) = warned {
            // All accounts are warned, so those warned first need no list of their own.
            change = change.set("warned", moment(*end)).remove("warning");
        }
        if let Some(ReportedUnmanaged { grants, at }) = unmanaged {
            change = change.set("unmanaged_reported_at", moment(*at));
            // DynamoDB has no empty sets.
            change = if grants.is_empty() {
                change.remove("unmanaged")
            } else {
                change.set("unmanaged", set(grants))
            };
        }
        self.update(&RowKey::notified(image), change).await
    }
}
