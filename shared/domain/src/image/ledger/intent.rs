//! The row `INTENT`: the last desired state of an image, and what triggered it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::KeyArn;
use crate::image::desired::Share;
use crate::targets::target::Target;
use crate::trigger::TriggeredBy;

/// The last desired state of an image. A later intent has a higher number, and wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its number, from 1; 0 while the image is pending and only the trigger is known.
    pub number: u64,
    /// The digest of the desired state: reconciliations with the same one serve one intent.
    pub desired_state: String,
    /// When it was triggered.
    pub triggered_at: Timestamp,
    /// The principal that triggered it, where the event names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
    /// The event that triggered it.
    #[serde(default)]
    pub event: String,
    /// The image's name, for notifications once the image is gone.
    #[serde(default)]
    pub image_name: String,
    /// The names of the targets that may have access.
    #[serde(default)]
    pub targets: Vec<String>,
    /// The OUs and organizations among them, without the accounts behind them: enough to retain their access while the
    /// organization cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<Target>,
    /// Whether targets may copy the image.
    #[serde(default)]
    pub may_copy: bool,
    /// The count of changes of the image's tags that the intent is based on, where an event said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags_version: Option<u64>,
    /// When access ends, or has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Every key that the image has needed.
    #[serde(default)]
    pub keys: Vec<KeyArn>,
}

impl Intent {
    /// The intent of `share`, which follows `last`: the same one when the desired state is the same. Of the events
    /// that one change causes, only CloudTrail's name the principal; whichever comes first, that one is kept.
    pub fn following(last: Option<&Intent>, share: &Share) -> Self {
        let next = Self {
            image_name: share.desired.image.name.clone(),
            targets: share.desired.all_targets().map(|target| target.name().to_owned()).collect(),
            groups: share.desired.all_targets().filter_map(Target::without_accounts).collect(),
            may_copy: !(share.desired.snapshots.is_empty() && share.desired.retained_snapshots.is_empty()),
            tags_version: share.run.tags_version.max(last.and_then(|last| last.tags_version)),
            until: share.desired.until,
            keys: share.desired.keys.clone(),
            ..Self::triggered(&share.run.triggered_by, share.desired.digest())
        };
        match last {
            Some(last) if last.desired_state == next.desired_state || last.number == 0 => {
                let number = last.number.max(1);
                if last.triggered_by.is_none() && next.triggered_by.is_some() {
                    return Self { number, ..next };
                }
                let TriggeredBy { principal, event, at } = last.triggered_by();
                Self { number, triggered_at: at, triggered_by: principal, event, ..next }
            }
            _ => Self { number: last.map_or(0, |last| last.number) + 1, ..next },
        }
    }

    /// What triggered an intent, before its targets are known.
    pub fn triggered(triggered_by: &TriggeredBy, desired_state: String) -> Self {
        let TriggeredBy { principal, event, at } = triggered_by.clone();
        Self {
            number: 0,
            desired_state,
            triggered_at: at,
            triggered_by: principal,
            event,
            image_name: String::new(),
            targets: Vec::new(),
            groups: Vec::new(),
            may_copy: false,
            tags_version: None,
            until: None,
            keys: Vec::new(),
        }
    }

    /// What triggered it, and when.
    pub fn triggered_by(&self) -> TriggeredBy {
        TriggeredBy { principal: self.triggered_by.clone(), event: self.event.clone(), at: self.triggered_at }
    }
}
