//! The documents that the workflow's steps hand to each other.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access_review::UnmanagedGrant;
use crate::ending::Ending;
use crate::ids::{
    AccountId, ImageId, KeyArn, OrgPath, OrganizationArn, OrganizationId, OuArn, OuId, SnapshotId,
};
use crate::key_statements::KeyPrincipal;
use crate::look::Asked;
use crate::refusal::{Refusal, RefusalCode};
use crate::usage::{Usage, UsageQuestion};

/// An image as notices and launch permissions need it.
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
    /// When it was looked at.
    pub seen_at: Timestamp,
    /// The value of `ami-share:status` then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
}

/// What a launch permission names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchPermission {
    /// One account.
    Account(AccountId),
    /// An OU, by ARN: AWS takes no id here.
    Ou(OuArn),
    /// An organization, by ARN.
    Organization(OrganizationArn),
}

/// An account, OU or organization that an image is shared with, with all that later steps need of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// One account.
    Account {
        /// Its id.
        id: AccountId,
        /// The `tag:` selectors that led here; empty when the account was only named itself.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        through: Vec<String>,
    },
    /// An OU and everything under it.
    Ou {
        /// Its id.
        id: OuId,
        /// Its ARN.
        arn: OuArn,
        /// Its path from the organization, for key policies.
        path: OrgPath,
        /// The usable accounts in it, the hub left out.
        accounts: Vec<AccountId>,
        /// The `tag:` selectors that led here.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        through: Vec<String>,
    },
    /// A whole organization.
    Organization {
        /// Its id.
        id: OrganizationId,
        /// Its ARN.
        arn: OrganizationArn,
        /// Its usable accounts, the hub left out; empty for an organization that is not ours.
        accounts: Vec<AccountId>,
    },
}

impl LaunchPermission {
    /// The id of the account, OU or organization, as tags and the ledger name it.
    pub fn name(&self) -> &str {
        let whole = match self {
            Self::Account(id) => id.as_str(),
            Self::Ou(arn) => arn.as_str(),
            Self::Organization(arn) => arn.as_str(),
        };
        whole.rsplit('/').next().unwrap_or(whole)
    }
}

impl Target {
    /// The id, as tags, the ledger and notices name the target.
    pub fn name(&self) -> &str {
        match self {
            Self::Account { id, .. } => id.as_str(),
            Self::Ou { id, .. } => id.as_str(),
            Self::Organization { id, .. } => id.as_str(),
        }
    }

    /// What the image's launch permission names.
    pub fn launch_permission(&self) -> LaunchPermission {
        match self {
            Self::Account { id, .. } => LaunchPermission::Account(id.clone()),
            Self::Ou { arn, .. } => LaunchPermission::Ou(arn.clone()),
            Self::Organization { arn, .. } => LaunchPermission::Organization(arn.clone()),
        }
    }

    /// What a key policy admits.
    pub fn key_principal(&self) -> KeyPrincipal {
        match self {
            Self::Account { id, .. } => KeyPrincipal::Account(id.clone()),
            Self::Ou { path, .. } => KeyPrincipal::Path(path.clone()),
            Self::Organization { id, .. } => KeyPrincipal::Organization(id.clone()),
        }
    }

    /// The accounts behind the target, for notices and snapshots.
    pub fn accounts(&self) -> &[AccountId] {
        match self {
            Self::Account { id, .. } => std::slice::from_ref(id),
            Self::Ou { accounts, .. } | Self::Organization { accounts, .. } => accounts,
        }
    }

    /// The `tag:` selectors that led here.
    pub fn through(&self) -> &[String] {
        match self {
            Self::Account { through, .. } | Self::Ou { through, .. } => through,
            Self::Organization { .. } => &[],
        }
    }
}

/// What is wanted of one image: the output of `resolve-share`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The image.
    pub image: Image,
    /// The number of this intent in the ledger; a later one has a higher number and wins.
    pub intent: u64,
    /// Who gets the image; none covers another. All others lose what ami-share gave them.
    pub targets: Vec<Target>,
    /// Who is wanted but gets nothing now; what they have they keep.
    #[serde(default)]
    pub kept: Vec<Target>,
    /// The words that get nothing.
    pub refused: Vec<Refusal>,
    /// The customer managed keys of its snapshots, those of earlier looks included.
    pub keys: Vec<KeyArn>,
    /// Its snapshots, when targets may copy it; empty otherwise.
    pub snapshots: Vec<SnapshotId>,
    /// When access ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// From when on the targets are warned of the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warn_at: Option<Timestamp>,
    /// Whether there is an appointment to make, move or cancel.
    #[serde(default)]
    pub must_schedule: bool,
    /// Why all shares of the image end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ending: Option<Ending>,
    /// Who asked, and when.
    pub asked: Asked,
    /// Who changed permissions by hand, where that is why we look.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_by: Option<String>,
    /// Whether access that is wanted and open without a row in the ledger is taken for ours.
    #[serde(default)]
    pub adopt: bool,
    /// Whether every step stops before it writes.
    pub dry_run: bool,
}

impl Share {
    /// What a target may do with the image, as notices say it. Snapshots are opened account by account,
    /// so an organization whose accounts we do not know gets none.
    pub fn permits(&self, target: &str) -> Vec<&'static str> {
        let accounts_of = |target: &Target| !target.accounts().is_empty();
        let is_known = self.targets.iter().any(|known| known.name() == target && accounts_of(known));
        if self.snapshots.is_empty() || !is_known { vec!["launch"] } else { vec!["launch", "copy"] }
    }

    /// The part that makes one intent differ from another; who asked, and what the
    /// status tag said, do not.
    pub fn wish(&self) -> String {
        let Self {
            image: Image { id, name, region, owner, seen_at: _, status: _ },
            intent: _,
            targets,
            kept,
            refused,
            keys,
            snapshots,
            until,
            warn_at,
            must_schedule: _,
            ending,
            asked: _,
            changed_by: _,
            adopt: _,
            dry_run: _,
        } = self;
        // The order of the words is no part of the wish; targets, keys and snapshots are in order already.
        let mut refused = refused.clone();
        refused.sort();
        let wish = serde_json::json!([
            id, name, region, owner, targets, kept, refused, keys, snapshots, until, warn_at, ending
        ]);
        wish.to_string()
    }

    /// Everybody who may have access: those who get it, and those who keep what they have.
    pub fn wanted(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(&self.kept)
    }

    /// Whether `target` may have access.
    pub fn wants(&self, target: &str) -> bool {
        self.wanted().any(|wanted| wanted.name() == target)
    }

    /// Why a target (or an account behind one) that had access may have none any more.
    pub fn why_withdrawn(&self, target: &str) -> String {
        let named = self.refused.iter().find(|refusal| refusal.word == target);
        // A date that is past refuses everybody at once.
        let refusal =
            named.or_else(|| self.refused.iter().find(|refusal| refusal.code == RefusalCode::Expired));
        match (&self.ending, refusal) {
            (Some(ending), _) => ending.to_string(),
            (None, Some(refusal)) => refusal.reason.clone(),
            (None, None) => format!("{target} is no longer among those whom ami-share:with names"),
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
    pub kept: Vec<Target>,
    /// The event that asked, for the ledger's history.
    #[serde(default)]
    pub asked: Option<Asked>,
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
    Extend,
    /// Takes out whom no live share needs any more.
    Retract,
}

impl KeyRequest {
    /// Whom the image needs on the key.
    pub fn wanted(&self) -> BTreeSet<KeyPrincipal> {
        self.targets.iter().chain(&self.kept).map(Target::key_principal).collect()
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
    pub leaving: Vec<KeyPrincipal>,
    /// Who could not be admitted, and why.
    pub left_out: Vec<LeftOut>,
    /// Why the key was not touched at all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refusal>,
    /// The policy's size in bytes, of 32,768.
    pub bytes: usize,
}

impl KeyOutcome {
    /// Nothing was done with `key`.
    pub fn unchanged(key: &KeyArn) -> Self {
        Self {
            key: key.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            leaving: Vec::new(),
            left_out: Vec::new(),
            refused: None,
            bytes: 0,
        }
    }
}

/// A principal that a key policy does not admit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The principal.
    pub principal: KeyPrincipal,
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The sentence with the remedy.
    pub reason: String,
}

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
    pub fn admitted(&self) -> (Vec<&Target>, Vec<Refusal>) {
        let mut admitted = Vec::new();
        let mut refused = Vec::new();
        for target in &self.share.targets {
            match self.key_refusal(target) {
                Some(refusal) => refused.push(refusal),
                None => admitted.push(target),
            }
        }
        (admitted, refused)
    }

    fn key_refusal(&self, target: &Target) -> Option<Refusal> {
        let unknown =
            self.share.keys.iter().find(|key| !self.keys.iter().any(|outcome| outcome.key == **key));
        if let Some(key) = unknown {
            let reason = format!("nothing is known of {}; look at the image again", key.short());
            return Some(Refusal::new(target.name(), RefusalCode::PolicyUnsafe, reason));
        }
        let principal = target.key_principal();
        self.keys.iter().find_map(|key| {
            if let Some(refusal) = &key.refused {
                return Some(Refusal::new(target.name(), refusal.code, refusal.reason.clone()));
            }
            let left_out = key.left_out.iter().find(|left_out| left_out.principal == principal)?;
            Some(Refusal::new(target.name(), left_out.code, left_out.reason.clone()))
        })
    }
}

/// The output of `share-image`, and the input of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// What was wanted.
    pub share: Share,
    /// The names of the targets that have access now.
    pub shared: Vec<String>,
    /// All words and targets that have none.
    pub refused: Vec<Refusal>,
    /// Whether a later intent took over; then nothing was done, and nothing is told.
    pub superseded: bool,
    /// Who lost access just now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub withdrawn: Vec<String>,
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
    pub retract: Vec<KeyArn>,
    /// What came of retracting them.
    #[serde(default)]
    pub retracted: Vec<KeyOutcome>,
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

impl Given {
    /// The targets that have access now.
    pub fn shared_targets(&self) -> impl Iterator<Item = &Target> {
        self.share.targets.iter().filter(|target| self.shared.iter().any(|name| name == target.name()))
    }

    /// All that was refused: the words of the tags, and keys that still admit whom they should not.
    pub fn all_refused(&self) -> Vec<Refusal> {
        let keys = self.retracted.iter().filter_map(|key| key.refused.clone());
        self.refused.iter().cloned().chain(keys).collect()
    }

    /// The accounts behind everybody who may have access.
    pub fn holders(&self) -> BTreeSet<&AccountId> {
        self.share.wanted().flat_map(Target::accounts).collect()
    }
}

/// The output of `notify-targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether every word went through.
    pub outcome: Outcome,
    /// The value of `ami-share:status`.
    pub status: String,
    /// How many accounts were told just now.
    pub told: usize,
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
