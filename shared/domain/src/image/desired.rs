//! What is wanted of one image: the document that `resolve-share` answers, and what it is made of.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ImageId, KeyArn, SnapshotId};
use crate::refusal::{Refusal, RefusalCode};
use crate::targets::revocation_reason::{NoAccessReason, RevocationReason};
use crate::targets::target::Target;
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
    /// The words that get nothing. In [`ShareResult`](crate::image::request::Given) they stand beside the share, with those
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
        let mut refused: Vec<Refusal> = refused.iter().cloned().map(Refusal::identity).collect();
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
    pub fn why_revoked(&self, target: &str) -> NoAccessReason {
        self.why_revoked_by(&self.refused, target)
    }

    /// The same, by refusals that do not stand in the share.
    pub(crate) fn why_revoked_by(&self, refused: &[Refusal], target: &str) -> NoAccessReason {
        // That AWS rejects somebody is no reason to take anything; it may be that nothing can be taken.
        let managed = || refused.iter().filter(|refusal| refusal.code() != RefusalCode::RejectedByAws);
        let named = managed().find(|refusal| refusal.subject == target);
        // A date that is past refuses everybody at once.
        let refusal = named.or_else(|| managed().find(|refusal| refusal.code() == RefusalCode::Expired));
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
