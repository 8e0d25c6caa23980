//! What is wanted of one image: the document that `resolve-share` answers, and what it is made of.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{
    AccountId, ImageId, KeyArn, OrgPath, OrganizationArn, OrganizationId, OuArn, OuId, SnapshotId,
};
use crate::key_statements::KeyPrincipal;
use crate::refusal::{Refusal, RefusalCode};
use crate::revocation_reason::RevocationReason;
use crate::trigger::TriggeredBy;

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
    pub retained: Vec<Target>,
    /// The words that get nothing. In [`ShareResult`](crate::image_request::Given) they stand beside the share, with those
    /// that were refused since, and not in it.
    #[serde(with = "crate::refusal::together")]
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
    pub revocation_reason: Option<RevocationReason>,
    /// Who asked, and when: of several looks that wish the same, the first.
    pub triggered_by: TriggeredBy,
    /// When the event of this very look happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event_time: Option<Timestamp>,
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
    pub fn desired_state(&self) -> String {
        let Self {
            image: Image { id, name, region, owner, seen_at: _, status: _ },
            intent: _,
            targets,
            retained,
            refused,
            keys,
            snapshots,
            until,
            warn_at,
            must_schedule: _,
            revocation_reason,
            triggered_by: _,
            event_time: _,
            changed_by: _,
            adopt: _,
            dry_run: _,
        } = self;
        // The order of the words is no part of the wish; targets, keys and snapshots are in order already.
        let mut refused = refused.clone();
        refused.sort();
        let desired_state = serde_json::json!([
            id,
            name,
            region,
            owner,
            targets,
            retained,
            refused,
            keys,
            snapshots,
            until,
            warn_at,
            revocation_reason
        ]);
        desired_state.to_string()
    }

    /// Everybody who may have access: those who get it, and those who keep what they have.
    pub fn desired(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().chain(&self.retained)
    }

    /// The accounts behind everybody who may have access.
    pub fn desired_accounts(&self) -> BTreeSet<&AccountId> {
        self.desired().flat_map(Target::accounts).collect()
    }

    /// Whether `target` may have access.
    pub fn includes(&self, target: &str) -> bool {
        self.desired().any(|desired| desired.name() == target)
    }

    /// Why a target (or an account behind one) that had access may have none any more.
    pub fn why_revoked(&self, target: &str) -> String {
        self.why_revoked_by(&self.refused, target)
    }

    /// The same, by refusals that do not stand in the share.
    pub(crate) fn why_revoked_by(&self, refused: &[Refusal], target: &str) -> String {
        // That AWS rejects somebody is no reason to take anything; it may be that nothing can be taken.
        let managed = || refused.iter().filter(|refusal| refusal.code != RefusalCode::RejectedByAws);
        let named = managed().find(|refusal| refusal.subject == target);
        // A date that is past refuses everybody at once.
        let refusal = named.or_else(|| managed().find(|refusal| refusal.code == RefusalCode::Expired));
        match (&self.revocation_reason, refusal) {
            (Some(revocation_reason), _) => revocation_reason.to_string(),
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
