//! What `share-image` takes, and what it and the steps after it answer.

use serde::{Deserialize, Serialize};

use crate::ids::KeyArn;
use crate::image::desired::Share;
use crate::image::unmanaged::UnmanagedGrant;
use crate::image::usage::{Usage, UsageQuestion};
use crate::key::request::KeyOutcome;
use crate::refusal::{Refusal, RefusalCode};
use crate::targets::target::Target;

/// The input of `share-image`: the share, with what came of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// What is wanted.
    pub share: Share,
    /// One outcome for each of the share's keys.
    #[serde(default)]
    pub keys: Vec<KeyOutcome>,
}

impl ImageRequest {
    /// Parts the targets into those that every key admits and the refusals of the others:
    /// launch permission on an image that one cannot decrypt is of no use, and shows its name.
    pub fn granted(&self) -> (Vec<&Target>, Vec<Refusal>) {
        let mut granted = Vec::new();
        let mut refused = Vec::new();
        for target in &self.share.desired.targets {
            match self.key_refusal(target) {
                Some(refusal) => refused.push(refusal),
                None => granted.push(target),
            }
        }
        (granted, refused)
    }

    fn key_refusal(&self, target: &Target) -> Option<Refusal> {
        let unknown =
            self.share.desired.keys.iter().find(|key| !self.keys.iter().any(|outcome| outcome.key == **key));
        if let Some(key) = unknown {
            let reason = format!("nothing is known of {}; look at the image again", key.short());
            return Some(Refusal::new(target.name(), RefusalCode::PolicyUnsafe, reason));
        }
        let principal = target.key_principal();
        self.keys.iter().find_map(|key| {
            if let Some(refusal) = &key.refused {
                return Some(Refusal::new(target.name(), refusal.code, refusal.reason.clone()));
            }
            let excluded = key.excluded.iter().find(|excluded| excluded.principal == principal)?;
            Some(Refusal::new(target.name(), excluded.code, excluded.reason.clone()))
        })
    }
}

/// The output of `share-image`, and the input of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareResult {
    /// What was wanted, but for the words that were refused.
    pub share: Share,
    /// The names of the targets that have access now.
    pub shared: Vec<String>,
    /// All words and targets that have none.
    #[serde(with = "crate::refusal::together")]
    pub refused: Vec<Refusal>,
    /// Whether a later intent took over; then nothing was done, and nothing is told.
    pub superseded: bool,
    /// Who lost access just now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub revoked: Vec<String>,
    /// Whose access somebody had taken by hand, and who has it again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub restored: Vec<String>,
    /// Access that ami-share did not give.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unmanaged: Vec<UnmanagedGrant>,
    /// What was public and is private again: the image, snapshots.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub made_private: Vec<String>,
    /// The keys that still admit somebody whom no live share needs.
    #[serde(default)]
    pub keys_to_revoke: Vec<KeyArn>,
    /// What came of retracting them.
    #[serde(default)]
    pub revoked_keys: Vec<KeyOutcome>,
    /// The question whether those who lost access still use the image, where the stack asks it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage_report: Option<UsageQuestion>,
    /// What the report says; `None` when none was asked for, or it was not ready in time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Vec<Usage>>,
    /// In a dry run: the steps that were not taken, as people read them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan: Vec<String>,
}

impl ShareResult {
    /// These targets have access, `refused` and the share's own refused words have none, and nothing else was done.
    pub fn of(mut share: Share, shared: &[&Target], refused: impl IntoIterator<Item = Refusal>) -> Self {
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
            revoked_keys: Vec::new(),
            usage_report: None,
            usage: None,
            plan: Vec::new(),
        }
    }

    /// Another reconciliation does all that is to be done.
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

    /// Why a target (or an account behind one) that had access may have none any more.
    pub fn why_revoked(&self, target: &str) -> String {
        self.share.desired.why_revoked_by(&self.refused, target)
    }

    /// All that was refused: the words of the tags, and keys that still admit whom they should not.
    pub fn all_refused(&self) -> Vec<Refusal> {
        let keys = self.revoked_keys.iter().filter_map(|key| key.refused.clone());
        self.refused.iter().cloned().chain(keys).collect()
    }
}

/// The output of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyResult {
    /// Whether every word went through.
    pub outcome: Outcome,
    /// The value of `ami-share:status`.
    pub status: String,
    /// How many accounts were told just now.
    pub notified: usize,
    /// In a dry run: the notices that were not sent.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan: Vec<String>,
}

/// How an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every word got its access, or a later intent took over.
    Complete,
    /// Something was refused.
    Incomplete,
}
