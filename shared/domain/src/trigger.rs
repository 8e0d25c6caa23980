//! What starts a reconciliation: the image, the cause, and who or what triggered it.
//!
//! The shapes of AWS's events are known to `shared/lambda` alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ImageId;

/// Which event triggered a reconciliation, when, and for which principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredBy {
    /// The principal, where the event names one: only CloudTrail's events of calls that carry `ami-share:` tags do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub principal: Option<String>,
    /// The event's id; empty when it had none.
    pub event: String,
    /// When the event happened.
    pub at: Timestamp,
}

/// What AWS or a caller said when it triggered a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// EC2 reported a new state of the image.
    ImageState {
        /// As EC2 names it, for example `available`; empty when the event had none.
        state: String,
    },
    /// The tags of the image changed.
    TagsChanged {
        /// All tags after the change.
        tags: BTreeMap<String, String>,
        /// The count of changes of this resource's tags, which orders their events.
        version: Option<u64>,
    },
    /// CloudTrail reported a call of the EC2 API.
    ApiCall {
        /// The call, for example `ModifyImageAttribute`; empty when the event had none.
        name: String,
        /// The ARN of the principal that made it.
        by: Option<String>,
    },
    /// A person, a schedule or a review asked for the reconciliation.
    Request,
}

/// The trigger of one reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The image to reconcile.
    pub image: ImageId,
    /// What the event said.
    pub cause: Cause,
    /// Where the trigger comes from; the audit log records it.
    pub triggered_by: TriggeredBy,
    /// Whether to stop before anything is written.
    pub dry_run: bool,
    /// The moment that this reconciliation was scheduled for. No clock that is behind makes it earlier.
    pub not_before: Option<Timestamp>,
    /// The principal that changed permissions, a snapshot or a key policy out of band, where that is the cause.
    pub changed_by: Option<String>,
    /// Whether to adopt access that the tags ask for and the ledger does not know: this rebuilds a lost ledger.
    pub adopt: bool,
    /// When the organization changed, where that is the cause: what was cached before that moment is out of date.
    pub organization_changed_at: Option<Timestamp>,
}

impl Trigger {
    /// The moment that counts as now: `clock`, but not before the scheduled moment.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        self.not_before.map_or(clock, |moment| clock.max(moment))
    }
}
