//! The documents that `extend-key-policy` takes and answers, one for each key of an image.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::failed_step::FailedStep;
use crate::ids::{ImageId, KeyArn};
use crate::refusal::{Refusal, RefusalReason};
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;
use crate::trigger::TriggeredBy;

/// The input of `extend-key-policy`: one key of one share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// The key.
    pub key: KeyArn,
    /// The image that is reconciled.
    pub image_id: ImageId,
    /// What is done with the key.
    #[serde(default)]
    pub action: KeyAction,
    /// The number of the share's intent.
    #[serde(default)]
    pub intent: u64,
    /// The targets that the image needs on the key.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// The targets that retain what they have there and get nothing new.
    #[serde(default)]
    pub retained: Vec<Target>,
    /// The trigger, for the audit log.
    #[serde(default)]
    pub triggered_by: Option<TriggeredBy>,
    /// Whether to stop before anything is written.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    /// Grants what the shares need; revokes nothing.
    #[default]
    Grant,
    /// Revokes what no share needs any more.
    Revoke,
}

impl KeyRequest {
    /// The principals that the image needs on the key.
    pub fn desired(&self) -> BTreeSet<KeyPrincipal> {
        self.targets.iter().chain(&self.retained).map(Target::key_principal).collect()
    }
}

/// The output of `extend-key-policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOutcome {
    /// The key.
    pub key: KeyArn,
    /// The principals that the policy newly allows (in a dry run: would allow).
    pub added: Vec<KeyPrincipal>,
    /// The principals that were removed from the policy (in a dry run: would be).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub removed: Vec<KeyPrincipal>,
    /// The principals that this image, or no share at all, needs any more: what a revocation is about.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pending_revocation: Vec<KeyPrincipal>,
    /// The principals that the policy could not allow, and why.
    #[serde(with = "crate::refusal::together")]
    pub excluded: Vec<Excluded>,
    /// Why the policy was not changed at all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<RefusalReason>,
    /// The step that failed instead of answering this outcome.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<FailedStep>,
    /// The size in bytes, of 32,768, of the policy as it is now (in a dry run: as it would be).
    pub bytes: usize,
}

impl KeyOutcome {
    /// Why the policy was not changed, as a refusal of the key.
    pub fn refusal(&self) -> Option<Refusal> {
        let failed = || self.failed.as_ref().map(FailedStep::refusal);
        let reason = self.refused.clone().or_else(failed);
        reason.map(|reason| Refusal::new(self.key.as_str(), reason))
    }

    /// Nothing was done with `key`.
    pub fn unchanged(key: &KeyArn) -> Self {
        Self {
            key: key.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            pending_revocation: Vec::new(),
            excluded: Vec::new(),
            refused: None,
            failed: None,
            bytes: 0,
        }
    }
}

/// A principal that is left out of a key policy, and why.
pub type Excluded = Refusal<KeyPrincipal>;
