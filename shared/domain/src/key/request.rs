//! The documents that `extend-key-policy` takes and answers, one for each key of an image.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{ImageId, KeyArn};
use crate::refusal::{Refusal, RefusalCode, Sentence};
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;
use crate::trigger::TriggeredBy;

/// The input of `extend-key-policy`: one key of one share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// The key.
    pub key: KeyArn,
    /// The image whose look this is.
    pub image_id: ImageId,
    /// What is done with the key.
    #[serde(default)]
    pub action: KeyAction,
    /// The number of the share's intent.
    #[serde(default)]
    pub intent: u64,
    /// Whom the image needs on the key.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Whom it still needs there without asking for anything new.
    #[serde(default)]
    pub retained: Vec<Target>,
    /// The event that asked, for the ledger's history.
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
    /// Admits whom the live shares need; takes nobody out.
    #[default]
    Grant,
    /// Takes out whom no live share needs any more.
    Revoke,
}

impl KeyRequest {
    /// Whom the image needs on the key.
    pub fn desired(&self) -> BTreeSet<KeyPrincipal> {
        self.targets.iter().chain(&self.retained).map(Target::key_principal).collect()
    }
}

/// The output of `extend-key-policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOutcome {
    /// The key.
    pub key: KeyArn,
    /// Who was admitted just now (in a dry run: who would be).
    pub added: Vec<KeyPrincipal>,
    /// Who was taken out just now (in a dry run: who would be).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub removed: Vec<KeyPrincipal>,
    /// Whom the image needs no more, or no live share at all: what a retraction is about.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub pending_revocation: Vec<KeyPrincipal>,
    /// Who could not be admitted, and why.
    #[serde(with = "crate::refusal::together")]
    pub excluded: Vec<Excluded>,
    /// Why the key was not touched at all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refusal>,
    /// The size in bytes, of 32,768, of the policy as it is now (in a dry run: as it would be).
    pub bytes: usize,
}

impl KeyOutcome {
    /// Nothing was done with `key`.
    pub fn unchanged(key: &KeyArn) -> Self {
        Self {
            key: key.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            pending_revocation: Vec::new(),
            excluded: Vec::new(),
            refused: None,
            bytes: 0,
        }
    }
}

/// A principal that a key policy does not admit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The principal.
    pub principal: KeyPrincipal,
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The sentence with the remedy.
    pub reason: String,
}

impl Sentence for Excluded {
    type Subject = KeyPrincipal;

    fn of_parts(principal: KeyPrincipal, code: RefusalCode, reason: String) -> Self {
        Self { principal, code, reason }
    }

    fn parts(&self) -> (&KeyPrincipal, RefusalCode, &str) {
        (&self.principal, self.code, &self.reason)
    }
}
