//! The rows of the ledger's `IMAGE#ami-…` partitions: what was asked for, what was granted, and what has been told.
//!
//! How rows are stored is `shared/aws`'s affair; what they mean is here, and for keys in `key_ledger`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::ids::{AccountId, KeyArn, SnapshotId};
use crate::image::desired::{Image, Share};
use crate::image::request::ShareResult;
use crate::image::schedule::Schedules;
use crate::refusal::{Refusal, RefusalCode};
use crate::targets::revocation_reason::NoAccessReason;
use crate::targets::target::Target;
use crate::trigger::TriggeredBy;

/// What was last wanted of an image. A later intent has a higher number, and wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its number, from 1; 0 while the image is still pending, and only who asked is known.
    pub number: u64,
    /// A digest of the wish: two looks that wish the same are one intent.
    pub desired_state: String,
    /// When it was asked for.
    pub triggered_at: Timestamp,
    /// Who asked, where the event said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
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
        let requested = Self {
            image_name: share.image.name.clone(),
            targets: share.desired().map(|target| target.name().to_owned()).collect(),
            until: share.until,
            keys: share.keys.clone(),
            ..Self::requested(&share.triggered_by, digest)
        };
        match last {
            Some(last) if last.desired_state == requested.desired_state || last.number == 0 => {
                let number = last.number.max(1);
                if last.triggered_by.is_none() && requested.triggered_by.is_some() {
                    return Self { number, ..requested };
                }
                let TriggeredBy { principal, event, at } = last.triggered_by();
                Self { number, triggered_at: at, triggered_by: principal, event, ..requested }
            }
            _ => Self { number: last.map_or(0, |last| last.number) + 1, ..requested },
        }
    }

    /// Who asked, before it is known what for.
    pub fn requested(triggered_by: &TriggeredBy, desired_state: String) -> Self {
        let TriggeredBy { principal, event, at } = triggered_by.clone();
        Self {
            number: 0,
            desired_state,
            triggered_at: at,
            triggered_by: principal,
            event,
            image_name: String::new(),
            targets: Vec::new(),
            until: None,
            keys: Vec::new(),
        }
    }

    /// Who asked for it, and when.
    pub fn triggered_by(&self) -> TriggeredBy {
        TriggeredBy { principal: self.triggered_by.clone(), event: self.event.clone(), at: self.triggered_at }
    }
}

/// What came of one target or one refused word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ShareOutcome {
    /// Access is being given: written before the first call, so that a share that dies half-way is still ours.
    Granting,
    /// The target has access.
    Shared,
    /// The target has none.
    Refused,
    /// The target has none any more.
    Revoked,
}

/// An outcome that the hub's bus and topic are notified of once. What AWS said is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum NotifiableOutcome {
    /// The target has access.
    Shared,
    /// The target or selector was refused.
    Refused {
        /// Why.
        reason: Option<NoAccessReason>,
        /// Whether access that it had was revoked.
        was_shared: bool,
    },
    /// The target's access was revoked.
    Revoked {
        /// Why.
        reason: Option<NoAccessReason>,
    },
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
    pub reason: Option<NoAccessReason>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<RefusalCode>,
    /// Whether ami-share itself added the launch permission. Only then may it ever remove it.
    #[serde(default)]
    pub is_managed: bool,
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
    pub triggered_by: Option<String>,
    /// The event that asked.
    #[serde(default)]
    pub event: String,
    /// The outcome that the hub's bus and topic were told of; see [`ShareRow::hub_notifications`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notified: Option<NotifiableOutcome>,
}

impl ShareRow {
    /// What there is to tell of this row; when it equals `notified`, nothing.
    pub fn notifiable_outcome(&self) -> Option<NotifiableOutcome> {
        let reason = || self.reason.clone().map(NoAccessReason::identity);
        match self.outcome {
            ShareOutcome::Granting => None,
            ShareOutcome::Shared => Some(NotifiableOutcome::Shared),
            ShareOutcome::Refused => {
                Some(NotifiableOutcome::Refused { reason: reason(), was_shared: self.was_shared })
            }
            ShareOutcome::Revoked => Some(NotifiableOutcome::Revoked { reason: reason() }),
        }
    }

    /// The refusal of a target or selector that was refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.reason {
            Some(NoAccessReason::Refused(refusal)) if self.outcome == ShareOutcome::Refused => Some(refusal),
            _ => None,
        }
    }

    /// Whether the target may have access by our hand.
    pub fn has_access(&self) -> bool {
        self.is_managed && self.outcome != ShareOutcome::Revoked
    }

    /// Whether there is news that nobody has heard.
    pub fn needs_notification(&self) -> bool {
        self.notifiable_outcome()
            .is_some_and(|hub_notifications| self.notified.as_ref() != Some(&hub_notifications))
    }
}

/// What has been told about an image so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifiedRow {
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
    /// ([`warning_of`](crate::notify::notification::warning_of)): should the look die, the next one warns the others only.
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
    pub unmanaged_reported_at: Option<Timestamp>,
}

impl NotifiedRow {
    /// Whether a look that began later than the one at `image` has reported other people's access already: what an
    /// earlier look saw of that is history.
    pub fn has_reported_later_than(&self, image: &Image) -> bool {
        self.unmanaged_reported_at.is_some_and(|seen| seen > image.seen_at)
    }

    /// Whether an execution that failed at `ended` is history: a later outcome has been told, so the status is its.
    pub fn is_newer_than(&self, ended: Timestamp) -> bool {
        self.at.max(self.outcome_at).is_some_and(|last| last >= ended)
    }

    /// Whether withdrawals must not be told by `result`: another look waits for the report that goes with them.
    /// Should that look die, the next one tells them once the time is over.
    pub fn waits(&self, result: &ShareResult, now: Timestamp) -> bool {
        let own = result.usage_report.as_ref().map(|question| &question.report_id);
        self.waiting_until.is_some_and(|until| now < until) && self.waiting_for.as_ref() != own
    }

    /// Whether `ami-share:status` must be written: it says something else than it should, or somebody
    /// has overwritten it since we wrote it last.
    pub fn needs_status(&self, status: &str, image: &Image) -> bool {
        let is_overwritten = image.status.as_deref() != Some(status)
            && self.at.is_none_or(|notified| notified < image.seen_at);
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
    pub notified: NotifiedRow,
    /// The accounts that we let copy each snapshot.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<AccountId>>,
    /// The appointments that were made.
    pub schedules: Schedules,
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
                ShareRow {
                    outcome: ShareOutcome::Granting,
                    is_managed: true,
                    ..row(share, target, last, now)
                }
            })
            .collect()
    }

    /// The rows that must change once `result` is true, and the words whose row no longer stands.
    pub fn rows_after(&self, result: &ShareResult, now: Timestamp) -> (Vec<ShareRow>, Vec<String>) {
        let share = &result.share;
        let shared =
            result.shared_targets().map(|target| row(share, target, self.shares.get(target.name()), now));
        let is_revoked = |selector: &str| result.revoked.iter().any(|target| target == selector);
        let refused = result.refused.iter().map(|refusal| {
            let last = self.shares.get(&refusal.subject);
            refused_row(share, refusal, last, is_revoked(&refusal.subject), now)
        });
        let revoked = self.shares.values().filter(|row| is_revoked(&row.target));
        let revoked = revoked.map(|last| revoked_row(result, last, now));
        // A word may be refused twice, or be the id of a target elsewhere; it has one row all the same.
        let mut named = BTreeSet::new();
        let rows: Vec<ShareRow> =
            shared.chain(refused).chain(revoked).filter(|row| named.insert(row.target.clone())).collect();
        // What was never ours, or was withdrawn and told, needs no row once nobody asks for it.
        let is_over = |row: &ShareRow| match row.outcome {
            ShareOutcome::Revoked => !row.needs_notification(),
            _ => !row.is_managed && !share.includes(&row.target),
        };
        let gone = self.shares.values().filter(|row| is_over(row) && !named.contains(&row.target));
        let gone = gone.map(|row| row.target.clone()).collect();
        let changed = rows.into_iter().filter(|row| self.shares.get(&row.target) != Some(row)).collect();
        (changed, gone)
    }

    /// The targets that have access by our hand and that nobody wants any more.
    pub fn pending_revocation(&self, share: &Share) -> BTreeSet<String> {
        let pending_revocation =
            self.shares.values().filter(|row| row.has_access() && !share.includes(&row.target));
        pending_revocation.map(|row| row.target.clone()).collect()
    }

    /// The accounts that we let copy each snapshot and that nobody wants there any more.
    pub fn snapshots_pending_revocation(&self, share: &Share) -> BTreeMap<SnapshotId, BTreeSet<AccountId>> {
        let desired = share.desired_accounts();
        let pending_revocation = self.snapshots.iter().map(|(snapshot, accounts)| {
            let is_desired = share.snapshots.contains(snapshot);
            let accounts = accounts.iter().filter(|account| !is_desired || !desired.contains(account));
            (snapshot.clone(), accounts.cloned().collect::<BTreeSet<_>>())
        });
        pending_revocation.filter(|(_, accounts)| !accounts.is_empty()).collect()
    }

    /// The accounts that were told of access and have none any more, now that `share` is wanted.
    pub fn accounts_losing_access(&self, share: &Share) -> BTreeSet<AccountId> {
        let desired = share.desired_accounts();
        let named = self.pending_revocation(share);
        let notified = self.notified.delivered.iter().chain(&self.notified.without_bus).chain(&named);
        notified
            .filter_map(|account| account.parse().ok())
            .filter(|account| !desired.contains(account))
            .collect()
    }

    /// Whether nothing is open by our hand.
    pub fn has_no_access(&self) -> bool {
        self.shares.values().all(|row| !row.has_access()) && self.snapshots.values().all(BTreeSet::is_empty)
    }

    /// Whether nothing is open and nothing is left to be told: then an image that is gone needs no review.
    pub fn is_settled(&self) -> bool {
        self.has_no_access() && self.shares.values().all(|row| !row.needs_notification())
    }
}

/// The row of a target that has access; what stands already keeps its date and its author.
fn row(share: &Share, target: &Target, last: Option<&ShareRow>, now: Timestamp) -> ShareRow {
    let previous = last.filter(|last| last.outcome == ShareOutcome::Shared);
    let (triggered_by, event) = triggered_by(share, previous);
    ShareRow {
        target: target.name().to_owned(),
        outcome: ShareOutcome::Shared,
        reason: None,
        code: None,
        is_managed: last.is_some_and(ShareRow::has_access),
        was_shared: false,
        keys: share.keys.clone(),
        through: target.through().to_vec(),
        since: previous.map_or(now, |previous| previous.since),
        until: share.until,
        triggered_by,
        event,
        notified: last.and_then(|last| last.notified.clone()),
    }
}

/// Who asked for what a row says: for what stands already, whoever asked first, or is known by name.
fn triggered_by(share: &Share, previous: Option<&ShareRow>) -> (Option<String>, String) {
    match previous {
        Some(previous) if previous.triggered_by.is_some() || share.triggered_by.principal.is_none() => {
            (previous.triggered_by.clone(), previous.event.clone())
        }
        _ => (share.triggered_by.principal.clone(), share.triggered_by.event.clone()),
    }
}

/// The row of a word that gets nothing now; access that it still has by our hand stays ours to take back.
fn refused_row(
    share: &Share,
    refusal: &Refusal,
    last: Option<&ShareRow>,
    is_revoked: bool,
    now: Timestamp,
) -> ShareRow {
    // What AWS has just rejected was about to be given, and never was.
    let never_was = |last: &ShareRow| {
        last.outcome == ShareOutcome::Granting && refusal.code() == RefusalCode::RejectedByAws
    };
    let managed = last.filter(|last| last.has_access() && !is_revoked && !never_was(last));
    let is_same = |last: &Refusal| last.clone().identity() == refusal.clone().identity();
    let previous = last.filter(|last| last.refusal().is_some_and(is_same));
    // What AWS says may differ from call to call; the row keeps what it said first.
    let reason = previous.and_then(|previous| previous.reason.clone());
    let (triggered_by, event) = triggered_by(share, previous);
    ShareRow {
        target: refusal.subject.clone(),
        outcome: ShareOutcome::Refused,
        reason: reason.or_else(|| Some(NoAccessReason::Refused(refusal.clone()))),
        code: Some(refusal.code()),
        is_managed: managed.is_some(),
        was_shared: (is_revoked && last.is_some_and(was_notified))
            || previous.is_some_and(|previous| previous.was_shared),
        keys: managed.map(|managed| managed.keys.clone()).unwrap_or_default(),
        through: managed.map(|managed| managed.through.clone()).unwrap_or_default(),
        since: previous.map_or(now, |previous| previous.since),
        until: share.until,
        triggered_by,
        event,
        notified: last.and_then(|last| last.notified.clone()),
    }
}

/// Whether anybody was told of the access that a row speaks of: who never heard of it need not hear of its end.
fn was_notified(last: &ShareRow) -> bool {
    last.notified.is_some()
}

/// The row of a target that has no access any more.
fn revoked_row(result: &ShareResult, last: &ShareRow, now: Timestamp) -> ShareRow {
    let triggered_by = &result.share.triggered_by;
    let row = ShareRow {
        outcome: ShareOutcome::Revoked,
        reason: Some(result.why_revoked(&last.target)),
        code: None,
        is_managed: false,
        was_shared: true,
        since: now,
        triggered_by: triggered_by.principal.clone(),
        event: triggered_by.event.clone(),
        ..last.clone()
    };
    let notified = if was_notified(last) { row.notified.clone() } else { row.notifiable_outcome() };
    ShareRow { notified, ..row }
}
