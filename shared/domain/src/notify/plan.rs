//! Which notifications to send: those that the ledger does not show as sent.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::ids::AccountId;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::request::ShareResult;
use crate::image::unmanaged::UnmanagedGrant;
use crate::key::request::KeyOutcome;
use crate::notify::notification::{
    Notification, NotificationDetail, NotificationKind, about, account_notification, ending, shared,
    unshared, usage_sentence,
};
use crate::targets::target::Target;

/// One notification to the hub, and what to record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubNotification {
    /// The event.
    pub notification: Notification,
    /// The row of the ledger that it is about, with the outcome as notified; none for a notification of the whole image.
    pub row: Option<ShareRow>,
}

/// The notifications to send now: none that was sent before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationPlan {
    /// For the hub's bus and topic.
    pub hub: Vec<HubNotification>,
    /// For the bus of each account that has access now.
    pub target_accounts: Vec<(AccountId, Notification)>,
    /// For the bus of each account that has access no longer.
    pub former_accounts: Vec<(AccountId, Notification)>,
    /// Accounts that have neither access any more nor a bus: the ledger forgets them.
    pub forgotten: Vec<AccountId>,
    /// For the bus of each account whose access ends soon.
    pub warned: Vec<(AccountId, Notification)>,
    /// Whether the targets are warned of the end now.
    pub is_warning: bool,
}

/// What the ledger records of the whole image once all notifications are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conclusion {
    /// The end that the targets have been warned of.
    pub warned: Option<Timestamp>,
    /// The unmanaged access, where it is not what was reported before.
    pub unmanaged: Option<ReportedUnmanaged>,
    /// The status, where it has been written.
    pub status: Option<String>,
}

/// All unmanaged access that a reconciliation has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedUnmanaged {
    /// Each grant as the ledger records it.
    pub grants: BTreeSet<String>,
    /// When the reconciliation had begun.
    pub at: Timestamp,
}

/// What to record of `result` once `plan` has been sent; the writer of the status adds that.
pub fn conclusion(result: &ShareResult, ledger: &ImageLedger, plan: &NotificationPlan) -> Conclusion {
    // What was made private is over: when it is made public again, that is a new notification.
    let is_over =
        |grant: &&UnmanagedGrant| grant.is_public() && result.made_private.contains(&grant.resource);
    let grants: BTreeSet<String> =
        result.unmanaged.iter().filter(|grant| !is_over(grant)).map(ToString::to_string).collect();
    let is_new = grants != ledger.notified.unmanaged
        && !ledger.notified.has_reported_later_than(&result.share.run.observed);
    Conclusion {
        warned: result.share.desired.until.filter(|_| plan.is_warning),
        unmanaged: is_new.then_some(ReportedUnmanaged { grants, at: result.share.run.observed.at }),
        status: None,
    }
}

/// Plans the notifications of `result`, by what the ledger says was sent.
pub fn plan(result: &ShareResult, ledger: &ImageLedger, now: Timestamp) -> NotificationPlan {
    if result.superseded {
        return NotificationPlan::default();
    }
    let waits = ledger.notified.waits(result, now);
    let (former_accounts, forgotten) =
        if waits { (Vec::new(), Vec::new()) } else { former_accounts(result, ledger) };
    let is_warning_due = is_warning_due(result, ledger, now);
    let may_notify = |row: &&ShareRow| !(waits && row.was_shared);
    let rows = ledger.shares.values().filter(may_notify);
    let mut hub: Vec<HubNotification> = rows.flat_map(|row| row_notifications(result, row)).collect();
    hub.extend(
        image_notifications(result, ledger)
            .into_iter()
            .map(|notification| HubNotification { notification, row: None }),
    );
    if is_warning_due {
        let targets_with_access = targets_with_access(result, ledger);
        let endings = targets_with_access
            .map(|target| HubNotification { notification: ending(&result.share, target.name()), row: None });
        hub.extend(endings);
    }
    NotificationPlan {
        hub,
        target_accounts: new_accounts(result, ledger),
        former_accounts,
        forgotten,
        warned: if is_warning_due { warned(result, ledger) } else { Vec::new() },
        is_warning: is_warning_due,
    }
}

/// The first notifications, at most so many, that do not split a row: of a refusal that revoked access, both
/// notifications are on record as sent, or neither.
pub fn leading(hub_notifications: &[HubNotification], at_most: usize) -> &[HubNotification] {
    let parts_a_row = |end: usize| {
        let row_of = |at: usize| hub_notifications.get(at).and_then(|notification| notification.row.as_ref());
        end.checked_sub(1).and_then(row_of).is_some_and(|row| row_of(end) == Some(row))
    };
    let end = (0..=at_most.min(hub_notifications.len())).rev().find(|end| !parts_a_row(*end));
    end.and_then(|end| hub_notifications.get(..end)).unwrap_or_default()
}

/// The accounts that have access and have not been notified.
fn new_accounts(result: &ShareResult, ledger: &ImageLedger) -> Vec<(AccountId, Notification)> {
    let is_notified = |account: &AccountId| {
        ledger.notified.delivered.contains(account.as_str())
            || ledger.notified.without_bus.contains(account.as_str())
    };
    let unnotified = accounts_of(result.shared_targets()).filter(|(account, _)| !is_notified(account));
    unnotified
        .map(|(account, target)| {
            (account.clone(), account_notification(shared(&result.share, target), account))
        })
        .collect()
}

/// The accounts that were notified of access and have none any more: those to notify, and those without a bus.
fn former_accounts(
    result: &ShareResult,
    ledger: &ImageLedger,
) -> (Vec<(AccountId, Notification)>, Vec<AccountId>) {
    let desired = &result.share.desired;
    let holders = desired.accounts();
    let gone = |notified: &BTreeSet<String>| -> Vec<AccountId> {
        let accounts = notified.iter().filter_map(|account| account.parse().ok());
        accounts.filter(|account| !desired.has_unknown_accounts && !holders.contains(account)).collect()
    };
    let notified = gone(&ledger.notified.delivered).into_iter().map(|account| {
        let reason = Some(result.why_revoked(account.as_str()).to_string());
        let usage = usage_sentence(result, |usage| usage.account == account);
        (account.clone(), account_notification(unshared(result, account.as_str(), reason, usage), &account))
    });
    (notified.collect(), gone(&ledger.notified.without_bus))
}

/// Whether the end is near, and the targets have not been warned of this very end.
fn is_warning_due(result: &ShareResult, ledger: &ImageLedger, now: Timestamp) -> bool {
    let share = &result.share;
    let is_near = share.desired.warn_at.is_some_and(|warn_at| warn_at <= now)
        && share.desired.until.is_some_and(|end| end > now);
    is_near
        && targets_with_access(result, ledger).next().is_some()
        && ledger.notified.warned != share.desired.until
}

/// The targets that have access: those that get it now, and those that retain it.
fn targets_with_access<'a>(
    result: &'a ShareResult,
    ledger: &'a ImageLedger,
) -> impl Iterator<Item = &'a Target> {
    let has_access = |target: &&Target| ledger.shares.get(target.name()).is_some_and(ShareRow::has_access);
    result.shared_targets().chain(result.share.desired.retained.iter().filter(has_access))
}

fn warned(result: &ShareResult, ledger: &ImageLedger) -> Vec<(AccountId, Notification)> {
    let has_bus = |account: &AccountId| !ledger.notified.without_bus.contains(account.as_str());
    let is_warned = |account: &AccountId| {
        result
            .share
            .desired
            .until
            .is_some_and(|end| ledger.notified.warning.contains(&warning_of(account, end)))
    };
    let holders = accounts_of(targets_with_access(result, ledger));
    holders
        .filter(|(account, _)| has_bus(account) && !is_warned(account))
        .map(|(account, target)| {
            (account.clone(), account_notification(ending(&result.share, target), account))
        })
        .collect()
}

/// How the ledger records that an account was warned of an end, while others are still to be warned of it.
pub fn warning_of(account: &AccountId, end: Timestamp) -> String {
    format!("{account} {end}")
}

/// The accounts behind targets, each with the target that it is behind.
fn accounts_of<'a>(
    targets: impl Iterator<Item = &'a Target>,
) -> impl Iterator<Item = (&'a AccountId, &'a str)> {
    targets.flat_map(|target| target.accounts().iter().map(|account| (account, target.name())))
}

/// The notifications to the hub of one share. A refusal that revoked access is two.
fn row_notifications(result: &ShareResult, row: &ShareRow) -> Vec<HubNotification> {
    let share = &result.share;
    if !row.needs_notification() {
        return Vec::new();
    }
    let reason = || row.reason.as_ref().map(ToString::to_string);
    let refused = || Notification {
        kind: NotificationKind::Refused,
        detail: NotificationDetail { code: row.code, reason: reason(), ..about(share, &row.target) },
    };
    let usage = || usage_sentence(result, |_| true);
    let notifications = match row.outcome {
        ShareOutcome::Granting | ShareOutcome::Shared => vec![shared(share, &row.target)],
        ShareOutcome::Revoked => vec![unshared(result, &row.target, reason(), usage())],
        ShareOutcome::Refused if row.was_shared => {
            vec![unshared(result, &row.target, reason(), usage()), refused()]
        }
        ShareOutcome::Refused => vec![refused()],
    };
    let notified = ShareRow { notified: row.notifiable_outcome(), ..row.clone() };
    notifications
        .into_iter()
        .map(|notification| HubNotification { notification, row: Some(notified.clone()) })
        .collect()
}

/// The notifications to the hub of the whole image: out-of-band changes, and keys that could not be revoked.
fn image_notifications(result: &ShareResult, ledger: &ImageLedger) -> Vec<Notification> {
    let share = &result.share;
    let out_of_band = |kind, target: &str, reason: String| Notification {
        kind,
        detail: NotificationDetail {
            reason: Some(reason),
            changed_by: share.run.changed_by.clone(),
            ..about(share, target)
        },
    };
    let restored = result.restored.iter().map(|target| {
        out_of_band(
            NotificationKind::Restored,
            target,
            format!("access of {target} was removed out of band, and ami-share restored it"),
        )
    });
    let is_new = |grant: &&UnmanagedGrant| {
        !ledger.notified.has_reported_later_than(&share.run.observed)
            && !ledger.notified.unmanaged.contains(&grant.to_string())
    };
    let unmanaged = result.unmanaged.iter().filter(is_new);
    let unmanaged = unmanaged.map(|grant| match result.made_private.contains(&grant.resource) {
        true if grant.is_public() => {
            out_of_band(NotificationKind::Public, "all", format!("{} was public, and ami-share made it private", grant.resource))
        }
        _ if grant.is_public() => out_of_band(
            NotificationKind::Public,
            "all",
            format!(
                "{} is public, not by ami-share; remove the group `all` from its permissions, or set MakePublicImagesPrivate (parameter of the stack)",
                grant.resource
            ),
        ),
        _ => out_of_band(
            NotificationKind::Unmanaged,
            &grant.grantee,
            format!("{} is granted to {}, not by ami-share, which leaves it as it is; remove the permission if it is not intended", grant.resource, grant.grantee),
        ),
    });
    // Sent at every reconciliation until it is fixed: a target keeps access that it should not have.
    let still_granted =
        result.revoked_keys.iter().filter_map(KeyOutcome::refusal).map(|refusal| Notification {
            kind: NotificationKind::Refused,
            detail: NotificationDetail {
                code: Some(refusal.code()),
                reason: Some(refusal.to_string()),
                ..about(share, &refusal.subject)
            },
        });
    restored.chain(unmanaged).chain(still_granted).collect()
}
