//! The audit log: one row for every grant and every revocation, never changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::trigger::TriggeredBy;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditAction {
    /// Launch permissions of an image were added.
    ImageGranted,
    /// Launch permissions of an image were removed.
    ImageRevoked,
    /// Accounts may create volumes from a snapshot.
    SnapshotGranted,
    /// Accounts may no longer create volumes from a snapshot.
    SnapshotRevoked,
    /// Principals were granted a key.
    KeyGranted,
    /// Principals were removed from a key's policy.
    KeyRevoked,
    /// An image or snapshot that was public was made private.
    MadePrivate,
    /// Access that the ledger did not record became managed, to rebuild a lost ledger.
    Adopted,
    /// Access that a reconciliation granted or revoked, and that it was interrupted before it could record.
    Recovered,
    /// Whether the accounts that lost access still use the image.
    UsageReported,
}

/// One row of the audit log of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// When it was done.
    pub at: Timestamp,
    /// What was done.
    pub action: AuditAction,
    /// The id of the image or snapshot, or the ARN of the key.
    pub resource: String,
    /// The accounts, OUs and organizations that gained or lost access.
    pub principals: Vec<String>,
    /// The event that triggered it; empty when it had no id.
    pub event: String,
    /// The principal that triggered it, where the event names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
    /// AWS's id of the request; none where an interrupted reconciliation made the call.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_id: Option<String>,
    /// The number of the intent.
    pub intent: u64,
    /// Why access was revoked, or what was reported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl AuditRow {
    /// A row on `resource`, with the trigger of the intent.
    pub fn new(
        action: AuditAction,
        resource: impl ToString,
        principals: Vec<String>,
        triggered_by: &TriggeredBy,
        intent: u64,
    ) -> Self {
        Self {
            at: triggered_by.at,
            action,
            resource: resource.to_string(),
            principals,
            event: triggered_by.event.clone(),
            triggered_by: triggered_by.principal.clone(),
            request_id: None,
            intent,
            reason: None,
        }
    }

    /// The same, done at `at` by AWS's request `request_id`.
    pub fn done(self, at: Timestamp, request_id: Option<String>) -> Self {
        Self { at, request_id, ..self }
    }

    /// The same, for a reason.
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}
