//! The rows of the ledger: what was asked for, what was granted, and what has been told.
//!
//! One table, two kinds of partition. `IMAGE#ami-…` holds the intent, a row for each share, and what has
//! been told; `KEY#arn…` holds whom each image needs on that key, from which key policies are computed.
//! How rows are stored is `shared/aws`'s affair; what they mean is here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ImageId, KeyArn};
use crate::key_statements::KeyPrincipal;
use crate::look::Asked;
use crate::refusal::{Refusal, RefusalCode};
use crate::share::{Given, Image, Share, Target};

/// What was last wanted of an image. A later intent has a higher number, and wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its number, from 1; 0 while the image is still pending, and only who asked is known.
    pub number: u64,
    /// A digest of the wish: two looks that wish the same are one intent.
    pub wish: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Who asked, where the event said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked_by: Option<String>,
    /// The event that asked.
    #[serde(default)]
    pub event: String,
}

impl Intent {
    /// The intent that follows `last`: the same one when it wishes the same. Of the events that ask for
    /// one thing, only CloudTrail's say who asked; whichever comes first, that one is kept.
    pub fn following(last: Option<&Intent>, asked: &Asked, digest: String) -> Self {
        let asking = Self::asking(asked, digest);
        match last {
            Some(last) if last.wish == asking.wish || last.number == 0 => {
                let number = last.number.max(1);
                let wish = asking.wish.clone();
                let named =
                    if last.asked_by.is_none() && asking.asked_by.is_some() { asking } else { last.clone() };
                Self { number, wish, ..named }
            }
            _ => Self { number: last.map_or(0, |last| last.number) + 1, ..asking },
        }
    }

    /// Who asked, before it is known what for.
    pub fn asking(asked: &Asked, wish: String) -> Self {
        let Asked { by, event, at } = asked.clone();
        Self { number: 0, wish, asked_at: at, asked_by: by, event }
    }

    /// Who asked for it, and when.
    pub fn asked(&self) -> Asked {
        Asked { by: self.asked_by.clone(), event: self.event.clone(), at: self.asked_at }
    }
}

/// What came of one target or one refused word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareOutcome {
    /// Access is being given: written before the first call, so that a share that dies half-way is still ours.
    Giving,
    /// The target has access.
    Shared,
    /// The target has none.
    Refused,
}

/// One share: one image open to one target (or one word that was refused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// The target's id, or the refused word.
    pub target: String,
    /// What came of it.
    pub outcome: ShareOutcome,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<RefusalCode>,
    /// Whether ami-share itself added the launch permission. Only then may it ever remove it.
    #[serde(default)]
    pub is_ours: bool,
    /// The keys that were opened for it.
    #[serde(default)]
    pub keys: Vec<KeyArn>,
    /// The `tag:` selectors that led to it.
    #[serde(default)]
    pub through: Vec<String>,
    /// Since when the outcome stands.
    pub since: Timestamp,
    /// Until when access is wanted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Who asked, where the event said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked_by: Option<String>,
    /// The event that asked.
    #[serde(default)]
    pub event: String,
    /// The outcome that the hub's bus and topic were told of; see [`ShareRow::news`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub told: Option<String>,
}

impl ShareRow {
    /// What there is to tell of this row; when it equals `told`, nothing.
    pub fn news(&self) -> Option<String> {
        match (self.outcome, &self.reason) {
            (ShareOutcome::Giving, _) => None,
            (ShareOutcome::Shared, _) => Some("shared".to_owned()),
            (ShareOutcome::Refused, reason) => {
                Some(format!("refused: {}", reason.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Whether the target may have access: a refusal does not take back what was given before it.
    pub fn is_live(&self) -> bool {
        self.outcome != ShareOutcome::Refused || self.is_ours
    }
}

/// What has been told about an image so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TellRow {
    /// The accounts whose bus took the notice.
    #[serde(default)]
    pub delivered: BTreeSet<String>,
    /// The accounts that have no bus for us, or do not let us use it.
    #[serde(default)]
    pub without_bus: BTreeSet<String>,
    /// The status that was written last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// When an outcome was told last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
}

impl TellRow {
    /// Whether `ami-share:status` must be written: it says something else than it should, or somebody
    /// has overwritten it since we wrote it last.
    pub fn needs_status(&self, status: &str, image: &Image) -> bool {
        let is_overwritten =
            image.status.as_deref() != Some(status) && self.at.is_none_or(|told| told < image.seen_at);
        self.status.as_deref() != Some(status) || is_overwritten
    }
}

/// All that the ledger knows of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageLedger {
    /// The last intent.
    pub intent: Option<Intent>,
    /// Its shares, by target or refused word.
    pub shares: BTreeMap<String, ShareRow>,
    /// What has been told.
    pub told: TellRow,
}

impl ImageLedger {
    /// Whether a later look than `share` has taken over.
    pub fn supersedes(&self, share: &Share) -> bool {
        self.intent.as_ref().is_some_and(|intent| intent.number > share.intent)
    }

    /// The rows to write before access is given: those of targets that are about to get it.
    pub fn rows_before(
        &self,
        share: &Share,
        targets: &[&Target],
        added: impl Fn(&Target) -> bool,
        now: Timestamp,
    ) -> Vec<ShareRow> {
        targets
            .iter()
            .filter(|target| added(target))
            .map(|target| {
                let last = self.shares.get(target.name());
                ShareRow { outcome: ShareOutcome::Giving, is_ours: true, ..row(share, target, last, now) }
            })
            .collect()
    }

    /// The rows that must change once `given` is true, and the words whose refusal no longer stands.
    pub fn rows_after(&self, given: &Given, now: Timestamp) -> (Vec<ShareRow>, Vec<String>) {
        let share = &given.share;
        let shared =
            given.shared_targets().map(|target| row(share, target, self.shares.get(target.name()), now));
        let refused = given
            .refused
            .iter()
            .map(|refusal| refused_row(share, refusal, self.shares.get(&refusal.word), now));
        // A word may be refused twice, or be the id of a target elsewhere; it has one row all the same.
        let mut named = BTreeSet::new();
        let rows: Vec<ShareRow> =
            shared.chain(refused).filter(|row| named.insert(row.target.clone())).collect();
        // What was never ours needs no row once nobody asks for it.
        let gone = self.shares.values().filter(|row| !row.is_ours && !named.contains(&row.target));
        let gone = gone.map(|row| row.target.clone()).collect();
        let changed = rows.into_iter().filter(|row| self.shares.get(&row.target) != Some(row)).collect();
        (changed, gone)
    }

    /// Targets that still have access by our hand although nobody asks for it any more, or it is refused by now.
    pub fn left_over(&self, share: &Share) -> Vec<&str> {
        let is_wanted = |row: &ShareRow| {
            row.outcome != ShareOutcome::Refused
                && share.targets.iter().any(|target| target.name() == row.target)
        };
        let live = self.shares.values().filter(|row| row.is_ours && row.is_live() && !is_wanted(row));
        live.map(|row| row.target.as_str()).collect()
    }
}

/// The row of a target that has access; what stands already keeps its date and its author.
fn row(share: &Share, target: &Target, last: Option<&ShareRow>, now: Timestamp) -> ShareRow {
    let standing = last.filter(|last| last.outcome == ShareOutcome::Shared);
    let (asked_by, event) = asked(share, standing);
    ShareRow {
        target: target.name().to_owned(),
        outcome: ShareOutcome::Shared,
        reason: None,
        code: None,
        is_ours: last.is_some_and(|last| last.is_ours),
        keys: share.keys.clone(),
        through: target.through().to_vec(),
        since: standing.map_or(now, |standing| standing.since),
        until: share.until,
        asked_by,
        event,
        told: last.and_then(|last| last.told.clone()),
    }
}

/// Who asked for what a row says: for what stands already, whoever asked first, or is known by name.
fn asked(share: &Share, standing: Option<&ShareRow>) -> (Option<String>, String) {
    match standing {
        Some(standing) if standing.asked_by.is_some() || share.asked.by.is_none() => {
            (standing.asked_by.clone(), standing.event.clone())
        }
        _ => (share.asked.by.clone(), share.asked.event.clone()),
    }
}

/// The row of a word that gets nothing now; access that it was given before stays ours to take back.
fn refused_row(share: &Share, refusal: &Refusal, last: Option<&ShareRow>, now: Timestamp) -> ShareRow {
    // What AWS has just rejected was about to be given, and never was.
    let never_was =
        |last: &ShareRow| last.outcome == ShareOutcome::Giving && refusal.code == RefusalCode::RejectedByAws;
    let ours = last.filter(|last| last.is_ours && !never_was(last));
    let standing = last.filter(|last| {
        last.outcome == ShareOutcome::Refused && last.reason.as_ref() == Some(&refusal.reason)
    });
    let (asked_by, event) = asked(share, standing);
    ShareRow {
        target: refusal.word.clone(),
        outcome: ShareOutcome::Refused,
        reason: Some(refusal.reason.clone()),
        code: Some(refusal.code),
        is_ours: ours.is_some(),
        keys: ours.map(|ours| ours.keys.clone()).unwrap_or_default(),
        through: ours.map(|ours| ours.through.clone()).unwrap_or_default(),
        since: standing.map_or(now, |standing| standing.since),
        until: share.until,
        asked_by,
        event,
        told: last.and_then(|last| last.told.clone()),
    }
}

/// Whom one image needs on a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// The principals of all its live shares.
    #[serde(default)]
    pub principals: BTreeSet<KeyPrincipal>,
    /// Those of them that KMS did not take, or for which the policy had no room.
    #[serde(default)]
    pub left_out: BTreeSet<KeyPrincipal>,
}

/// All that the ledger knows of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyLedger {
    /// Whom each image needs on the key.
    pub needed_by: BTreeMap<ImageId, Need>,
    /// Whether a writer has the key now.
    pub is_taken: bool,
}

impl KeyLedger {
    /// Whom the key must admit, as a look at `image` sees it: the union over all images. What was left
    /// out for `image` itself is tried again; for the others it is not, so that one bad apple does not
    /// hold up everybody who uses the key.
    pub fn wanted_by(&self, image: &ImageId) -> BTreeSet<KeyPrincipal> {
        let wanted = self.needed_by.iter().flat_map(|(needing, need)| {
            need.principals
                .iter()
                .filter(move |principal| needing == image || !need.left_out.contains(*principal))
        });
        wanted.cloned().collect()
    }

    /// The images whose row must change when `left_out` were left out of what was `tried`,
    /// each with those to add to and those to take from its `left_out`.
    pub fn left_out_changes(
        &self,
        tried: &BTreeSet<KeyPrincipal>,
        left_out: &BTreeSet<KeyPrincipal>,
    ) -> Vec<LeftOutChange> {
        let changes = self.needed_by.iter().map(|(image, need)| LeftOutChange {
            image: image.clone(),
            add: need
                .principals
                .intersection(left_out)
                .filter(|principal| !need.left_out.contains(*principal))
                .cloned()
                .collect(),
            remove: need
                .left_out
                .intersection(tried)
                .filter(|principal| !left_out.contains(*principal))
                .cloned()
                .collect(),
        });
        changes.filter(|change| !change.add.is_empty() || !change.remove.is_empty()).collect()
    }
}

/// How one image's `left_out` on a key changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutChange {
    /// The image.
    pub image: ImageId,
    /// Newly left out.
    pub add: Vec<KeyPrincipal>,
    /// No longer left out.
    pub remove: Vec<KeyPrincipal>,
}
