//! What starts a reconciliation: the image, the cause, and who or what triggered it.
//!
//! The shapes of AWS's events are known to `shared/lambda` alone.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ids::ImageId;
use crate::tags::share_tags::{PREFIX, STATUS};

/// How long a read that contradicts an event may be older than the event. EC2 shows a change at once as a rule; what it
/// shows after this time is later than the event.
const STALE: SignedDuration = SignedDuration::from_secs(20);

/// States from which an image may still become `available`. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>
pub const NOT_YET: [&str; 2] = ["pending", "transient"];

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

/// Whether what EC2 shows agrees with a state that it reported. An image in any state may be gone since, but not one that
/// was `available` or `disabled` a moment ago without another event.
fn shows_state(reported: &str, shown: Option<&str>) -> bool {
    match reported {
        "deregistered" => shown.is_none(),
        "available" | "disabled" => shown == Some(reported),
        "failed" => shown.is_none_or(|shown| shown != "available"),
        _ => true,
    }
}

/// The tags of ami-share without the one that it writes.
fn asked(tags: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    tags.iter().filter(|(tag, _)| tag.starts_with(PREFIX) && *tag != STATUS)
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

/// What EC2 answered when it described the image of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described<'a> {
    /// The state of the image; `None` when EC2 does not list it.
    pub state: Option<&'a str>,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// The count of changes of its tags that the last intent is based on.
    pub known_version: Option<u64>,
}

impl Trigger {
    /// What the trigger says and what was read does not show, so that the read is older than the trigger. `None` when
    /// the read can be believed: an event may arrive late, and what was read may be a later change than that of the event.
    ///
    /// An image never becomes pending again, so a read that shows it pending after another state is never believed.
    pub fn contradiction(&self, described: Described<'_>, now: Timestamp) -> Option<String> {
        let is_recent = now < self.triggered_by.at + STALE;
        let shown = described.state.unwrap_or("gone");
        match &self.cause {
            Cause::ImageState { state } if NOT_YET.contains(&shown) && !NOT_YET.contains(&state.as_str()) => {
                Some(format!("EC2 reported that the image is {state}, and still shows it as {shown}"))
            }
            Cause::ImageState { state } if is_recent && !shows_state(state, described.state) => {
                Some(format!("EC2 reported that the image is {state}, and shows it as {shown}"))
            }
            Cause::TagsChanged { tags, version } => {
                let is_known = version.is_some_and(|version| described.known_version >= Some(version));
                let differ = asked(tags).ne(asked(described.tags));
                (is_recent && !is_known && differ)
                    .then(|| "EC2 reported a change of the image's tags, and does not show it yet".to_owned())
            }
            Cause::ImageState { .. } | Cause::ApiCall { .. } | Cause::Request => None,
        }
    }

    /// The count of changes of the image's tags, where the event says it.
    pub fn tags_version(&self) -> Option<u64> {
        match self.cause {
            Cause::TagsChanged { version, .. } => version,
            Cause::ImageState { .. } | Cause::ApiCall { .. } | Cause::Request => None,
        }
    }

    /// The moment that counts as now: `clock`, but not before the scheduled moment.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        self.not_before.map_or(clock, |moment| clock.max(moment))
    }
}
