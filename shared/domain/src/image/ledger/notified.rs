//! The row `NOTIFIED`: what targets and the hub have been sent about an image, and the status that was written.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::image::desired::Observation;
use crate::image::request::ShareResult;

/// The notifications about an image that were sent so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifiedRow {
    /// The accounts whose bus accepted the notification of their access.
    #[serde(default)]
    pub delivered: BTreeSet<String>,
    /// The accounts that have no bus for the hub, or do not allow the hub to use it.
    #[serde(default)]
    pub without_bus: BTreeSet<String>,
    /// The status that was written last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// When the status was written last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
    /// When an outcome was notified last, whether it changed the status or not. A reconciliation that has nothing to
    /// notify writes nothing, not even this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome_at: Option<Timestamp>,
    /// The end that the targets have been warned of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warned: Option<Timestamp>,
    /// The accounts that have been warned of an end of which others have not, each with that end
    /// ([`warning_of`](crate::notify::notification::warning_of)). After an interruption, the next reconciliation warns
    /// only the others.
    #[serde(default)]
    pub warning: BTreeSet<String>,
    /// The id of the usage report that the notifications of a revocation wait for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_for: Option<String>,
    /// Until when they wait at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_until: Option<Timestamp>,
    /// The unmanaged access that was reported, public access included.
    #[serde(default)]
    pub unmanaged: BTreeSet<String>,
    /// When the reconciliation that reported such access last observed the image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unmanaged_reported_at: Option<Timestamp>,
}

impl NotifiedRow {
    /// Whether a reconciliation that observed the image later has reported unmanaged access already: then what
    /// `observed` shows of it is out of date.
    pub fn has_reported_later_than(&self, observed: &Observation) -> bool {
        self.unmanaged_reported_at.is_some_and(|seen| seen > observed.at)
    }

    /// Whether an outcome was notified after an execution failed at `ended`: then the status of the later one stays.
    pub fn is_newer_than(&self, ended: Timestamp) -> bool {
        self.at.max(self.outcome_at).is_some_and(|last| last >= ended)
    }

    /// Whether `result` must not notify of revocations, because another reconciliation waits for the usage report that
    /// goes with them. If that one is interrupted, the next one notifies once the time is over.
    pub fn waits(&self, result: &ShareResult, now: Timestamp) -> bool {
        let own = result.usage_report.as_ref().map(|question| &question.report_id);
        self.waiting_until.is_some_and(|until| now < until) && self.waiting_for.as_ref() != own
    }

    /// Whether `ami-share:status` must be written: the status is a new one, or the tag was changed out of band since
    /// ami-share wrote it last.
    pub fn needs_status(&self, status: &str, observed: &Observation) -> bool {
        let is_overwritten = observed.status.as_deref() != Some(status)
            && self.at.is_none_or(|notified| notified < observed.at);
        self.status.as_deref() != Some(status) || is_overwritten
    }
}
