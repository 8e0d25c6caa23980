//! The rows of the ledger's `IMAGE#ami-…` partitions: what was asked for, what was granted, and what has been told.
//!
//! How rows are stored is `shared/aws`'s affair; what they mean is here, and for keys in `key_ledger`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::appointments::Appointments;
use crate::ids::{AccountId, KeyArn, SnapshotId};
use crate::image_request::Given;
use crate::look::Asked;
use crate::refusal::{Refusal, RefusalCode};
use crate::share::{Image, Share, Target};

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
    /// The image's name, for notices once the image is gone.
    #[serde(default)]
    pub image_name: String,
    /// The names of those who may have access.
    #[serde(default)]
    pub targets: Vec<String>,
    /// When access ends, or has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Every key that the image has needed.
    #[serde(default)]
    pub keys: Vec<KeyArn>,
}

impl Intent {
    /// The intent of `share`, which follows `last`: the same one when it wishes the same. Of the events that
    /// ask for one thing, only CloudTrail's say who asked; whichever comes first, that one is kept.
    pub fn following(last: Option<&Intent>, share: &Share, digest: String) -> Self {
        let asking = Self {
            image_name: share.image.name.clone(),
            targets: share.wanted().map(|target| target.name().to_owned()).collect(),
            until: share.until,
            keys: share.keys.clone(),
            ..Self::asking(&share.asked, digest)
        };
        match last {
            Some(last) if last.wish == asking.wish || last.number == 0 => {
                let number = last.number.max(1);
                if last.asked_by.is_none() && asking.asked_by.is_some() {
                    return Self { number, ..asking };
                }
                let Asked { by, event, at } = last.asked();
                Self { number, asked_at: at, asked_by: by, event, ..asking }
            }
            _ => Self { number: last.map_or(0, |last| last.number) + 1, ..asking },
        }
    }

    /// Who asked, before it is known what for.
    pub fn asking(asked: &Asked, wish: String) -> Self {
        let Asked { by, event, at } = asked.clone();
        Self {
            number: 0,
            wish,
            asked_at: at,
            asked_by: by,
            event,
            image_name: String::new(),
            targets: Vec::new(),
            until: None,
            keys: Vec::new(),
        }
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
    /// The target has none any more.
    Withdrawn,
}

/// One share: one image open to one target (or one word that was refused).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// The target's id, or the refused word.
    pub target: String,
    /// What came of it.
    pub outcome: ShareOutcome,
    /// Why it was refused or withdrawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<RefusalCode>,
    /// Whether ami-share itself added the launch permission. Only then may it ever remove it.
    #[serde(default)]
    pub is_ours: bool,
    /// Whether a refused target had access before, which was withdrawn.
    #[serde(default)]
    pub was_shared: bool,
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
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.outcome {
            ShareOutcome::Giving => None,
            ShareOutcome::Shared => Some("shared".to_owned()),
            ShareOutcome::Refused if self.was_shared => Some(format!("withdrawn and refused: {reason}")),
            ShareOutcome::Refused => Some(format!("refused: {reason}")),
            ShareOutcome::Withdrawn => Some(format!("withdrawn: {reason}")),
        }
    }

    /// Whether the target may have access by our hand.
    pub fn is_open(&self) -> bool {
        self.is_ours && self.outcome != ShareOutcome::Withdrawn
    }

    /// Whether there is news that nobody has heard.
    pub fn is_untold(&self) -> bool {
        self.news().is_some_and(|news| self.told.as_ref() != Some(&news))
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
    /// When the status was written last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Timestamp>,
    /// When an outcome was told last, whether it changed the status or not. A look that has nothing to tell
    /// writes nothing, not even this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome_at: Option<Timestamp>,
    /// The end that the targets have been warned of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warned: Option<Timestamp>,
    /// The accounts that have been warned of an end of which others have not, each with that end
    /// ([`warning_of`](crate::notice::warning_of)): should the look die, the next one warns the others only.
    #[serde(default)]
    pub warning: BTreeSet<String>,
    /// The report that the notices of a withdrawal wait for, as AWS numbers it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_for: Option<String>,
    /// How long they wait, at the most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting_until: Option<Timestamp>,
    /// The access by other people's hand that was reported, public access included.
    #[serde(default)]
    pub unmanaged: BTreeSet<String>,
    /// When the look had begun that reported such access last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unmanaged_seen: Option<Timestamp>,
}

impl TellRow {
    /// Whether a look that began later than the one at `image` has reported other people's access already: what an
    /// earlier look saw of that is history.
    pub fn has_seen_later_than(&self, image: &Image) -> bool {
        self.unmanaged_seen.is_some_and(|seen| seen > image.seen_at)
    }

    /// Whether an execution that failed at `ended` is history: a later outcome has been told, so the status is its.
    pub fn makes_history_of(&self, ended: Timestamp) -> bool {
        self.at.max(self.outcome_at).is_some_and(|last| last >= ended)
    }

    /// Whether withdrawals must not be told by `given`: another look waits for the report that goes with them.
    /// Should that look die, the next one tells them once the time is over.
    pub fn waits(&self, given: &Given, now: Timestamp) -> bool {
        let own = given.usage_report.as_ref().map(|question| &question.report_id);
        self.waiting_until.is_some_and(|until| now < until) && self.waiting_for.as_ref() != own
    }

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
    /// The accounts that we let copy each snapshot.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The appointments that were made.
    pub appointments: Appointments,
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

    /// The rows that must change once `given` is true, and the words whose row no longer stands.
    pub fn rows_after(&self, given: &Given, now: Timestamp) -> (Vec<ShareRow>, Vec<String>) {
        let share = &given.share;
        let shared =
            given.shared_targets().map(|target| row(share, target, self.shares.get(target.name()), now));
        let is_withdrawn = |word: &str| given.withdrawn.iter().any(|target| target == word);
        let refused = given.refused.iter().map(|refusal| {
            let last = self.shares.get(&refusal.word);
            refused_row(share, refusal, last, is_withdrawn(&refusal.word), now)
        });
        let withdrawn = self.shares.values().filter(|row| is_withdrawn(&row.target));
        let withdrawn = withdrawn.map(|last| withdrawn_row(given, last, now));
        // A word may be refused twice, or be the id of a target elsewhere; it has one row all the same.
        let mut named = BTreeSet::new();
        let rows: Vec<ShareRow> =
            shared.chain(refused).chain(withdrawn).filter(|row| named.insert(row.target.clone())).collect();
        // What was never ours, or was withdrawn and told, needs no row once nobody asks for it.
        let is_over = |row: &ShareRow| match row.outcome {
            ShareOutcome::Withdrawn => !row.is_untold(),
            _ => !row.is_ours && !share.wants(&row.target),
        };
        let gone = self.shares.values().filter(|row| is_over(row) && !named.contains(&row.target));
        let gone = gone.map(|row| row.target.clone()).collect();
        let changed = rows.into_iter().filter(|row| self.shares.get(&row.target) != Some(row)).collect();
        (changed, gone)
    }

    /// The targets that have access by our hand and that nobody wants any more.
    pub fn leaving(&self, share: &Share) -> BTreeSet<String> {
        let leaving = self.shares.values().filter(|row| row.is_open() && !share.wants(&row.target));
        leaving.map(|row| row.target.clone()).collect()
    }

    /// The accounts that we let copy each snapshot and that nobody wants there any more.
    pub fn leaving_snapshots(&self, share: &Share) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
        let wanted = share.wanted_accounts();
        let leaving = self.snapshots.iter().map(|(snapshot, accounts)| {
            let is_wanted = share.snapshots.contains(snapshot);
            let accounts = accounts.iter().filter(|account| !is_wanted || !wanted.contains(account));
            (snapshot.clone(), accounts.cloned().collect::<BTreeSet<_>>())
        });
        leaving.filter(|(_, accounts)| !accounts.is_empty()).collect()
    }

    /// The accounts that were told of access and have none any more, now that `share` is wanted.
    pub fn losing_accounts(&self, share: &Share) -> BTreeSet<AccountId> {
        let wanted = share.wanted_accounts();
        let named = self.leaving(share);
        let told = self.told.delivered.iter().chain(&self.told.without_bus).chain(&named);
        told.filter_map(|account| account.parse().ok()).filter(|account| !wanted.contains(account)).collect()
    }

    /// Whether nothing is open by our hand.
    pub fn is_closed(&self) -> bool {
        self.shares.values().all(|row| !row.is_open()) && self.snapshots.values().all(BTreeSet::is_empty)
    }

    /// Whether nothing is open and nothing is left to be told: then an image that is gone needs no review.
    pub fn is_settled(&self) -> bool {
        self.is_closed() && self.shares.values().all(|row| !row.is_untold())
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
        is_ours: last.is_some_and(ShareRow::is_open),
        was_shared: false,
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

/// The row of a word that gets nothing now; access that it still has by our hand stays ours to take back.
fn refused_row(
    share: &Share,
    refusal: &Refusal,
    last: Option<&ShareRow>,
    is_withdrawn: bool,
    now: Timestamp,
) -> ShareRow {
    // What AWS has just rejected was about to be given, and never was.
    let never_was =
        |last: &ShareRow| last.outcome == ShareOutcome::Giving && refusal.code == RefusalCode::RejectedByAws;
    let ours = last.filter(|last| last.is_open() && !is_withdrawn && !never_was(last));
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
        was_shared: (is_withdrawn && last.is_some_and(was_heard_of))
            || standing.is_some_and(|standing| standing.was_shared),
        keys: ours.map(|ours| ours.keys.clone()).unwrap_or_default(),
        through: ours.map(|ours| ours.through.clone()).unwrap_or_default(),
        since: standing.map_or(now, |standing| standing.since),
        until: share.until,
        asked_by,
        event,
        told: last.and_then(|last| last.told.clone()),
    }
}

/// Whether anybody was told of the access that a row speaks of: who never heard of it need not hear of its end.
fn was_heard_of(last: &ShareRow) -> bool {
    last.told.is_some()
}

/// The row of a target that has no access any more.
fn withdrawn_row(given: &Given, last: &ShareRow, now: Timestamp) -> ShareRow {
    let asked = &given.share.asked;
    let row = ShareRow {
        outcome: ShareOutcome::Withdrawn,
        reason: Some(given.why_withdrawn(&last.target)),
        code: None,
        is_ours: false,
        was_shared: true,
        since: now,
        asked_by: asked.by.clone(),
        event: asked.event.clone(),
        ..last.clone()
    };
    let told = if was_heard_of(last) { row.told.clone() } else { row.news() };
    ShareRow { told, ..row }
}
