//! The desired state of one image, and the run of the workflow that makes it so: the output of `resolve-share`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use crate::refusal::{Refusal, RefusalCode};
use crate::targets::revocation_reason::{NoAccessReason, RevocationReason};
use crate::targets::target::Target;
use crate::trigger::TriggeredBy;

/// An image as launch permissions and notifications name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name; empty when it has none.
    pub name: String,
    /// The Region that it lives in.
    pub region: String,
    /// The account that owns it.
    pub owner: AccountId,
}

/// What tags, organization and parameters ask for. Two reconciliations with the same desired state serve one intent:
/// the ledger compares [digests](Self::digest). What only the run knows is in [`Run`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// The image.
    pub image: Image,
    /// The targets that get the image; none covers another. All others lose what ami-share granted them.
    pub targets: Vec<Target>,
    /// The targets that get nothing new while something is in the way, and keep the access that they have.
    #[serde(default)]
    pub retained: Vec<Target>,
    /// The selectors that get nothing. A [`ShareResult`](crate::image::request::ShareResult) holds them beside its
    /// share, together with what later steps refused; the share's own list is empty there.
    #[serde(with = "crate::refusal::together")]
    pub refused: Vec<Refusal>,
    /// The customer managed keys of its snapshots, including those of earlier intents.
    pub keys: Vec<KeyArn>,
    /// Its snapshots, when targets may copy it; empty otherwise.
    pub snapshots: Vec<SnapshotId>,
    /// Its snapshots, on which accounts keep the access that they have and get nothing new, because the tags do not say
    /// whether targets may copy the image.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub retained_snapshots: Vec<SnapshotId>,
    /// Whether there may be more accounts behind the retained targets than are listed, because the organization cannot
    /// be read. Such accounts keep what they have.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub has_unknown_accounts: bool,
    /// When access ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// From when on the targets are warned of the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warn_at: Option<Timestamp>,
    /// Why all shares of the image end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revocation_reason: Option<RevocationReason>,
}

/// What EC2 answered when it described the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When EC2 was called.
    pub at: Timestamp,
    /// The value of `ami-share:status` then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
}

/// One run of the share workflow: what started it, what it observed, and how it runs. No part of the desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number of the intent in the ledger; a later one has a higher number and wins.
    pub intent: u64,
    /// The image as this run found it.
    pub observed: Observation,
    /// Whether there is a schedule to create, move or delete.
    #[serde(default)]
    pub must_schedule: bool,
    /// The trigger of the intent: of several runs with the same desired state, that of the first.
    pub triggered_by: TriggeredBy,
    /// When the event that triggered this run happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event_time: Option<Timestamp>,
    /// The count of changes of the image's tags, where the event that triggered this run says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags_version: Option<u64>,
    /// The principal that changed permissions out of band, where that triggered the run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_by: Option<String>,
    /// Whether desired access that the ledger does not record becomes managed.
    #[serde(default)]
    pub adopt: bool,
    /// Whether every step stops before it writes.
    pub dry_run: bool,
}

/// The output of `resolve-share`, which the steps after it pass on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What tags, organization and parameters ask for.
    pub desired: DesiredState,
    /// The run of the workflow that makes it so.
    pub run: Run,
}

impl DesiredState {
    /// What a target may do with the image, as notifications say it. Snapshot permissions name accounts, so an
    /// organization whose accounts are unknown gets none.
    pub fn permits(&self, target: &str) -> Vec<&'static str> {
        let accounts_of = |target: &Target| !target.accounts().is_empty();
        let is_known = self.targets.iter().any(|known| known.name() == target && accounts_of(known));
        let may_copy = !(self.snapshots.is_empty() && self.retained_snapshots.is_empty());
        if !may_copy || !is_known { vec!["launch"] } else { vec!["launch", "copy"] }
    }

    /// SHA-256 in hexadecimal digits, equal for equal desired states. Targets, keys and snapshots are sorted already;
    /// refused selectors stand in the order of the tag, which says nothing, and are sorted first.
    pub fn digest(&self) -> String {
        let mut canonical = self.clone();
        canonical.refused = canonical.refused.into_iter().map(Refusal::identity).collect();
        canonical.refused.sort();
        // `Value::to_string` cannot fail, and all that a desired state holds has a JSON form.
        let document = serde_json::json!(canonical).to_string();
        Sha256::digest(document.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The targets that may have access: those that get it, and those that keep what they have.
    pub fn all_targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(&self.retained)
    }

    /// The accounts behind the targets that may have access.
    pub fn accounts(&self) -> BTreeSet<&AccountId> {
        self.all_targets().flat_map(Target::accounts).collect()
    }

    /// Whether accounts may have access to a snapshot.
    pub fn grants_snapshot(&self, snapshot: &SnapshotId) -> bool {
        self.snapshots.contains(snapshot) || self.retained_snapshots.contains(snapshot)
    }

    /// Whether `target` may have access.
    pub fn includes(&self, target: &str) -> bool {
        self.all_targets().any(|known| known.name() == target)
    }

    /// Why a target (or an account behind one) that had access may have none any more.
    pub fn why_revoked(&self, target: &str) -> NoAccessReason {
        self.why_revoked_by(&self.refused, target)
    }

    /// The same, by refusals that do not stand in the share.
    pub(crate) fn why_revoked_by(&self, refused: &[Refusal], target: &str) -> NoAccessReason {
        let causes = || refused.iter().filter(|refusal| !refusal.code().is_answer_of_aws());
        let named = causes().find(|refusal| refusal.subject == target);
        // A date in the past refuses all targets at once.
        let refusal = named.or_else(|| causes().find(|refusal| refusal.code() == RefusalCode::Expired));
        match (&self.revocation_reason, refusal) {
            (Some(reason), _) => NoAccessReason::Revoked(reason.clone()),
            (None, Some(refusal)) => NoAccessReason::Refused(refusal.clone()),
            (None, None) => NoAccessReason::NoLongerNamed { target: target.to_owned() },
        }
    }
}

/// The output of `resolve-share`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Resolved {
    /// The tags ask for something.
    Share {
        /// What they ask for.
        share: Box<Share>,
    },
    /// There is nothing to do.
    Nothing {
        /// Why: the image is pending, gone, or asks for nothing.
        reason: String,
    },
}
