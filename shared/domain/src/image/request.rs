//! What `share-image` takes, and what it and the steps after it answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::failed_step::FailedStep;
use crate::ids::KeyArn;
use crate::image::desired::Share;
use crate::image::unmanaged::UnmanagedGrant;
use crate::image::usage::{Usage, UsageQuestion};
use crate::key::request::KeyOutcome;
use crate::refusal::{Refusal, RefusalReason};
use crate::targets::revocation_reason::NoAccessReason;
use crate::targets::target::Target;

/// The input of `share-image`: the share, with what came of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// The desired state.
    pub share: Share,
    /// One outcome for each of the share's keys.
    #[serde(default)]
    pub keys: Vec<KeyOutcome>,
    /// An earlier step that failed. Then nobody new is granted access.
    #[serde(default)]
    pub failed: Option<FailedStep>,
}

impl ImageRequest {
    /// The first step that failed.
    pub fn first_failed(&self) -> Option<&FailedStep> {
        first_failed(self.failed.as_ref(), &self.keys)
    }

    /// The keys whose policy may still allow a principal that no share needs: also those that are not known to allow none.
    pub fn keys_to_revoke(&self) -> Vec<KeyArn> {
        let allows_none = |key: &KeyArn| {
            let outcome = self.keys.iter().find(|outcome| outcome.key == *key);
            outcome.is_some_and(|outcome| outcome.failed.is_none() && outcome.pending_revocation.is_empty())
        };
        let pending = self.keys.iter().map(|outcome| &outcome.key).chain(&self.share.desired.keys);
        let pending: BTreeSet<&KeyArn> = pending.filter(|key| !allows_none(key)).collect();
        pending.into_iter().cloned().collect()
    }

    /// Splits the targets into those that every key allows, and the refusals of the others: launch permission on an image
    /// that the target cannot decrypt is of no use, and shows its name.
    pub fn granted(&self) -> (Vec<&Target>, Vec<Refusal>) {
        let mut granted = Vec::new();
        let mut refused = Vec::new();
        for target in &self.share.desired.targets {
            match self.key_refusal(target) {
                Some(reason) => refused.push(Refusal::new(target.name(), reason)),
                None => granted.push(target),
            }
        }
        (granted, refused)
    }

    fn key_refusal(&self, target: &Target) -> Option<RefusalReason> {
        if let Some(failed) = self.first_failed() {
            return Some(failed.refusal());
        }
        let unknown =
            self.share.desired.keys.iter().find(|key| !self.keys.iter().any(|outcome| outcome.key == **key));
        if let Some(key) = unknown {
            return Some(RefusalReason::NoKeyOutcome { key: key.clone() });
        }
        let principal = target.key_principal();
        self.keys.iter().find_map(|key| {
            let excluded = || key.excluded.iter().find(|excluded| excluded.subject == principal);
            key.refused.as_ref().or_else(|| Some(&excluded()?.reason)).cloned()
        })
    }
}

/// The output of `share-image`, and the input of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareResult {
    /// The desired state, without what was refused.
    pub share: Share,
    /// The names of the targets that have access now.
    pub shared: Vec<String>,
    /// All selectors and targets that have none.
    #[serde(with = "crate::refusal::together")]
    pub refused: Vec<Refusal>,
    /// Whether a later intent took over; then nothing was done, and no notification is sent.
    pub superseded: bool,
    /// The targets whose access was revoked.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub revoked: Vec<String>,
    /// The targets whose access was removed out of band, and restored.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub restored: Vec<String>,
    /// Access that ami-share did not grant.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unmanaged: Vec<UnmanagedGrant>,
    /// The image and snapshots that were public and are private again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub made_private: Vec<String>,
    /// The keys whose policy still allows a principal that no share needs.
    #[serde(default)]
    pub keys_to_revoke: Vec<KeyArn>,
    /// The first step that failed before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<FailedStep>,
    /// The outcomes of revoking them.
    #[serde(default)]
    pub revoked_keys: Vec<KeyOutcome>,
    /// The report whether the accounts that lost access still use the image, where the stack asks for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage_report: Option<UsageQuestion>,
    /// What the report says; `None` when none was asked for, or it was not ready in time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Vec<Usage>>,
    /// In a dry run: the calls that were not made, as people read them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan: Vec<String>,
}

impl ShareResult {
    /// These targets have access, `refused` and the share's own refused selectors have none, and nothing else was done.
    pub fn of(share: Share, shared: &[&Target], refused: impl IntoIterator<Item = Refusal>) -> Self {
        let mut share = share;
        let selectors = std::mem::take(&mut share.desired.refused);
        Self {
            shared: shared.iter().map(|target| target.name().to_owned()).collect(),
            refused: selectors.into_iter().chain(refused).collect(),
            share,
            superseded: false,
            revoked: Vec::new(),
            restored: Vec::new(),
            unmanaged: Vec::new(),
            made_private: Vec::new(),
            keys_to_revoke: Vec::new(),
            failed: None,
            revoked_keys: Vec::new(),
            usage_report: None,
            usage: None,
            plan: Vec::new(),
        }
    }

    /// A later reconciliation does all that is to be done.
    pub fn superseded(share: Share) -> Self {
        Self { superseded: true, refused: Vec::new(), ..Self::of(share, &[], []) }
    }

    /// The targets that have access now.
    pub fn shared_targets(&self) -> impl Iterator<Item = &Target> {
        self.share
            .desired
            .targets
            .iter()
            .filter(|target| self.shared.iter().any(|name| name == target.name()))
    }

    /// Why a target (or an account behind one) that had access has none any more.
    pub fn why_revoked(&self, target: &str) -> NoAccessReason {
        self.share.desired.why_revoked_by(&self.refused, target)
    }

    /// The first step that failed.
    pub fn first_failed(&self) -> Option<&FailedStep> {
        first_failed(self.failed.as_ref(), &self.revoked_keys)
    }

    /// All that was refused: selectors and targets, and keys whose policy still allows what it should not.
    pub fn all_refused(&self) -> Vec<Refusal> {
        let keys = self.revoked_keys.iter().filter_map(KeyOutcome::refusal);
        self.refused.iter().cloned().chain(keys).collect()
    }
}

/// The step that failed before the keys, or else the first key whose step failed.
fn first_failed<'a>(before: Option<&'a FailedStep>, keys: &'a [KeyOutcome]) -> Option<&'a FailedStep> {
    before.or_else(|| keys.iter().find_map(|key| key.failed.as_ref()))
}

/// The output of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyResult {
    /// Whether every selector got its access.
    pub outcome: Outcome,
    /// The value of `ami-share:status`.
    pub status: String,
    /// The first step that failed: the execution ends with its error.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<FailedStep>,
    /// How many accounts were notified just now.
    pub notified: usize,
    /// In a dry run: the notifications that were not sent.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan: Vec<String>,
}

/// How an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every selector got its access, or a later intent took over.
    Complete,
    /// Something was refused.
    Incomplete,
}
