//! The rows `SHARE#…`: one for each target, or refused selector, of an image.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::ids::KeyArn;
use crate::image::desired::Share;
use crate::image::ledger::ImageLedger;
use crate::image::request::ShareResult;
use crate::refusal::{Refusal, RefusalCode};
use crate::targets::revocation_reason::NoAccessReason;
use crate::targets::target::{LaunchPermission, Target};

/// The outcome of one target or one refused selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ShareOutcome {
    /// Access is being granted. Written before the first call, so that the access is managed if the run is interrupted.
    Granting,
    /// The target has access.
    Shared,
    /// The target has none.
    Refused,
    /// The target's access was revoked.
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

/// One share: an image granted to one target, or one selector that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// The target's id, or the refused selector.
    pub target: String,
    /// The outcome.
    pub outcome: ShareOutcome,
    /// Why it was refused or revoked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<NoAccessReason>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<RefusalCode>,
    /// The launch permission of an OU or organization. That of an account names the target itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permission: Option<LaunchPermission>,
    /// Whether ami-share itself added the launch permission. Only then may it ever remove it.
    #[serde(default)]
    pub is_managed: bool,
    /// Whether a refused target had access before, which was revoked.
    #[serde(default)]
    pub was_shared: bool,
    /// The keys that were granted to it.
    #[serde(default)]
    pub keys: Vec<KeyArn>,
    /// The `tag:` selectors that led to it.
    #[serde(default)]
    pub through: Vec<String>,
    /// Since when it has this outcome.
    pub since: Timestamp,
    /// When its access ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// The principal that triggered it, where the event names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
    /// The event that triggered it.
    #[serde(default)]
    pub event: String,
    /// The outcome that the hub's bus and topic were last notified of; see [`ShareRow::notifiable_outcome`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub notified: Option<NotifiableOutcome>,
}

impl ShareRow {
    /// The outcome that the hub must be notified of, unless it equals `notified`.
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

    /// What grants the target access; `None` in a row of an earlier version that is not of an account.
    pub fn launch_permission(&self) -> Option<LaunchPermission> {
        let of_account = || self.target.parse().ok().map(LaunchPermission::Account);
        self.permission.clone().or_else(of_account)
    }

    /// Whether the target may have access that ami-share granted.
    pub fn has_access(&self) -> bool {
        self.is_managed && self.outcome != ShareOutcome::Revoked
    }

    /// Whether the hub has not been notified of the outcome.
    pub fn needs_notification(&self) -> bool {
        self.notifiable_outcome().is_some_and(|outcome| self.notified.as_ref() != Some(&outcome))
    }
}

impl ImageLedger {
    /// The rows to write before access is granted: those of the targets that `is_new` picks.
    pub fn rows_before(
        &self,
        share: &Share,
        targets: &[&Target],
        is_new: impl Fn(&Target) -> bool,
        now: Timestamp,
    ) -> Vec<ShareRow> {
        targets
            .iter()
            .filter(|target| is_new(target))
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

    /// The rows that change with `result`, and the names of the rows to delete.
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
        // A selector may be refused twice, or be the id of a target as well; it has one row all the same.
        let mut named = BTreeSet::new();
        let rows: Vec<ShareRow> =
            shared.chain(refused).chain(revoked).filter(|row| named.insert(row.target.clone())).collect();
        // What was never managed, or was revoked and notified, needs no row once the tags do not name it.
        let is_over = |row: &ShareRow| match row.outcome {
            ShareOutcome::Revoked => !row.needs_notification(),
            _ => !row.is_managed && !share.desired.includes(&row.target),
        };
        let gone = self.shares.values().filter(|row| is_over(row) && !named.contains(&row.target));
        let gone = gone.map(|row| row.target.clone()).collect();
        let changed = rows.into_iter().filter(|row| self.shares.get(&row.target) != Some(row)).collect();
        (changed, gone)
    }
}

/// The row of a target that has access; a target that had it before keeps its date and its trigger.
fn row(share: &Share, target: &Target, last: Option<&ShareRow>, now: Timestamp) -> ShareRow {
    let previous = last.filter(|last| last.outcome == ShareOutcome::Shared);
    let (triggered_by, event) = triggered_by(share, previous);
    ShareRow {
        target: target.name().to_owned(),
        outcome: ShareOutcome::Shared,
        reason: None,
        code: None,
        permission: match target {
            Target::Account { .. } => None,
            Target::Ou { .. } | Target::Organization { .. } => Some(target.launch_permission()),
        },
        is_managed: last.is_some_and(ShareRow::has_access),
        was_shared: false,
        keys: share.desired.keys.clone(),
        through: target.through().to_vec(),
        since: previous.map_or(now, |previous| previous.since),
        until: share.desired.until,
        triggered_by,
        event,
        notified: last.and_then(|last| last.notified.clone()),
    }
}

/// The trigger of a row: for an outcome that does not change the first one, or the first that names a principal.
fn triggered_by(share: &Share, previous: Option<&ShareRow>) -> (Option<String>, String) {
    match previous {
        Some(previous) if previous.triggered_by.is_some() || share.run.triggered_by.principal.is_none() => {
            (previous.triggered_by.clone(), previous.event.clone())
        }
        _ => (share.run.triggered_by.principal.clone(), share.run.triggered_by.event.clone()),
    }
}

/// The row of a selector that gets nothing; access that it still has stays managed, so that it can be revoked.
fn refused_row(
    share: &Share,
    refusal: &Refusal,
    last: Option<&ShareRow>,
    is_revoked: bool,
    now: Timestamp,
) -> ShareRow {
    // What AWS has just rejected was about to be granted, and never was.
    let never_was =
        |last: &ShareRow| last.outcome == ShareOutcome::Granting && refusal.code().is_answer_of_aws();
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
        permission: managed.and_then(|managed| managed.permission.clone()),
        is_managed: managed.is_some(),
        was_shared: (is_revoked && last.is_some_and(was_notified))
            || previous.is_some_and(|previous| previous.was_shared),
        keys: managed.map(|managed| managed.keys.clone()).unwrap_or_default(),
        through: managed.map(|managed| managed.through.clone()).unwrap_or_default(),
        since: previous.map_or(now, |previous| previous.since),
        until: share.desired.until,
        triggered_by,
        event,
        notified: last.and_then(|last| last.notified.clone()),
    }
}

/// Whether the hub was notified of the access of this row. If it was not, it need not be notified of the end either.
fn was_notified(last: &ShareRow) -> bool {
    last.notified.is_some()
}

/// The row of a target whose access was revoked.
fn revoked_row(result: &ShareResult, last: &ShareRow, now: Timestamp) -> ShareRow {
    let triggered_by = &result.share.run.triggered_by;
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
