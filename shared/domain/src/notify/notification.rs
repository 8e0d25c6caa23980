//! What targets, the topic and the hub's bus are told: the events' names and their details.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, KeyArn};
use crate::image::desired::Share;
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::request::ShareResult;
use crate::image::unmanaged::UnmanagedGrant;
use crate::image::usage;
use crate::image::usage::Usage;
use crate::refusal::RefusalCode;
use crate::targets::target::Target;

/// The source of our own events.
pub const SOURCE: &str = "ami-share";

/// The detail-types of our own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotificationKind {
    /// A target has access.
    Shared,
    /// A word or target gets none.
    Refused,
    /// An execution failed.
    Failed,
    /// A target has no access any more.
    Unshared,
    /// A target's access ends soon.
    EndingSoon,
    /// Somebody took access that ami-share had given, and it was given again.
    Restored,
    /// Somebody else gave access to a managed image or its snapshots.
    Unmanaged,
    /// Somebody made a managed image or a snapshot of it public.
    Public,
}

impl NotificationKind {
    /// The event's `detail-type`.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::Shared => "AMI Shared",
            Self::Refused => "AMI Share Refused",
            Self::Failed => "AMI Share Failed",
            Self::Unshared => "AMI Unshared",
            Self::EndingSoon => "AMI Share Ending",
            Self::Restored => "AMI Share Restored",
            Self::Unmanaged => "AMI Access Unmanaged",
            Self::Public => "AMI Public",
        }
    }
}

/// The `detail` of every event of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationDetail {
    /// The image.
    pub image_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub image_name: String,
    /// The Region that it lives in.
    pub region: String,
    /// The account that owns it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<AccountId>,
    /// The target's id, or the refused word.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// In an account's own notice: that account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<AccountId>,
    /// The keys that the target may use.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keys: Vec<KeyArn>,
    /// When access ends (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
    /// What the target may do: `launch`, `copy`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub permits: Vec<String>,
    /// A command that launches the image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub how_to_launch: Option<String>,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<RefusalCode>,
    /// Why it was refused or withdrawn, why it failed, or what was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Who changed something by hand, where CloudTrail says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_by: Option<String>,
    /// Whether those who lost access still use the image, where the stack asks AWS for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<String>,
    /// The execution that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution: Option<String>,
}

/// One event to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Which event.
    pub kind: NotificationKind,
    /// What it says.
    pub detail: NotificationDetail,
}

/// One thing to tell the hub, and what to remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubNotification {
    /// The event.
    pub notification: Notification,
    /// The row of the ledger that it speaks of, with the news that it holds; none for news of the whole image.
    pub row: Option<ShareRow>,
}

/// What must be told now: nothing that was told before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationPlan {
    /// For the hub's bus and topic.
    pub hub: Vec<HubNotification>,
    /// For the bus of each account that has access now.
    pub target_accounts: Vec<(AccountId, Notification)>,
    /// For the bus of each account that has none any more.
    pub former_accounts: Vec<(AccountId, Notification)>,
    /// Accounts that have no access any more, and no bus either: only to be forgotten.
    pub forgotten: Vec<AccountId>,
    /// For the bus of each account whose access ends soon.
    pub warned: Vec<(AccountId, Notification)>,
    /// Whether the targets are warned of the end now.
    pub is_warning: bool,
}

/// What is written down of the whole image once all of it has been told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conclusion {
    /// The end that the targets have been warned of.
    pub warned: Option<Timestamp>,
    /// The access by other people's hand, where it is not what was reported before.
    pub unmanaged: Option<ReportedUnmanaged>,
    /// The status, where it has been written.
    pub status: Option<String>,
}

/// All access by other people's hand that a look has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedUnmanaged {
    /// Each grant in words, as the ledger remembers it.
    pub grants: BTreeSet<String>,
    /// When the look had begun.
    pub at: Timestamp,
}

/// What is to be remembered of `result` once `plan` has been told; of the status, its writer knows.
pub fn conclusion(result: &ShareResult, ledger: &ImageLedger, plan: &NotificationPlan) -> Conclusion {
    let observed = &result.share.run.observed;
    // What was made private is over: when somebody makes it public again, that is news.
    let is_over =
        |grant: &&UnmanagedGrant| grant.is_public() && result.made_private.contains(&grant.resource);
    let grants: BTreeSet<String> =
        result.unmanaged.iter().filter(|grant| !is_over(grant)).map(ToString::to_string).collect();
    let is_new = grants != ledger.notified.unmanaged && !ledger.notified.has_reported_later_than(observed);
    Conclusion {
        warned: result.share.desired.until.filter(|_| plan.is_warning),
        unmanaged: is_new.then_some(ReportedUnmanaged { grants, at: observed.at }),
        status: None,
    }
}

/// Plans the notices of `result`, by what the ledger says has been told.
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
        let revocation_reason = targets_with_access.map(|target| HubNotification {
            notification: revocation_reason(&result.share, target.name()),
            row: None,
        });
        hub.extend(revocation_reason);
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

/// The leading news, at most so many, that leave no row's news in two: of a refusal that took access away both
/// parts are on record as told, or neither.
pub fn leading(hub_notifications: &[HubNotification], at_most: usize) -> &[HubNotification] {
    let parts_a_row = |end: usize| {
        let row_of = |at: usize| {
            hub_notifications.get(at).and_then(|hub_notifications| hub_notifications.row.as_ref())
        };
        end.checked_sub(1).and_then(row_of).is_some_and(|row| row_of(end) == Some(row))
    };
    let end = (0..=at_most.min(hub_notifications.len())).rev().find(|end| !parts_a_row(*end));
    end.and_then(|end| hub_notifications.get(..end)).unwrap_or_default()
}

/// The accounts that have access and have not been told.
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

/// The accounts that were told of access and have none any more: those to tell, and those without a bus.
fn former_accounts(
    result: &ShareResult,
    ledger: &ImageLedger,
) -> (Vec<(AccountId, Notification)>, Vec<AccountId>) {
    let holders = result.share.desired.accounts();
    let gone = |notified: &BTreeSet<String>| -> Vec<AccountId> {
        let accounts = notified.iter().filter_map(|account| account.parse().ok());
        accounts.filter(|account| !holders.contains(account)).collect()
    };
    let notified = gone(&ledger.notified.delivered).into_iter().map(|account| {
        let reason = result.why_revoked(account.as_str());
        let usage = usage_in_words(result, |usage| usage.account == account);
        (account.clone(), account_notification(unshared(result, account.as_str(), reason, usage), &account))
    });
    (notified.collect(), gone(&ledger.notified.without_bus))
}

/// Whether the end is near, and nobody has been warned of this very end.
fn is_warning_due(result: &ShareResult, ledger: &ImageLedger, now: Timestamp) -> bool {
    let share = &result.share;
    let is_near = share.desired.warn_at.is_some_and(|warn_at| warn_at <= now)
        && share.desired.until.is_some_and(|end| end > now);
    is_near
        && targets_with_access(result, ledger).next().is_some()
        && ledger.notified.warned != share.desired.until
}

/// The targets that have access: who has it now, and who keeps what was given before.
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
            (account.clone(), account_notification(revocation_reason(&result.share, target), account))
        })
        .collect()
}

/// How the ledger remembers that an account was warned of an end, while others are still to be warned of it.
pub fn warning_of(account: &AccountId, end: Timestamp) -> String {
    format!("{account} {end}")
}

/// The accounts behind targets, each with the target that it is behind.
fn accounts_of<'a>(
    targets: impl Iterator<Item = &'a Target>,
) -> impl Iterator<Item = (&'a AccountId, &'a str)> {
    targets.flat_map(|target| target.accounts().iter().map(|account| (account, target.name())))
}

/// What the hub is told of one share. A refusal that took access away is two pieces of news.
fn row_notifications(result: &ShareResult, row: &ShareRow) -> Vec<HubNotification> {
    let share = &result.share;
    if !row.needs_notification() {
        return Vec::new();
    }
    let reason = row.reason.clone().unwrap_or_default();
    let refused = || Notification {
        kind: NotificationKind::Refused,
        detail: NotificationDetail {
            code: row.code,
            reason: row.reason.clone(),
            ..about(share, &row.target)
        },
    };
    let usage = || usage_in_words(result, |_| true);
    let notifications = match row.outcome {
        ShareOutcome::Granting | ShareOutcome::Shared => vec![shared(share, &row.target)],
        ShareOutcome::Revoked => vec![unshared(result, &row.target, reason, usage())],
        ShareOutcome::Refused if row.was_shared => {
            vec![unshared(result, &row.target, reason, usage()), refused()]
        }
        ShareOutcome::Refused => vec![refused()],
    };
    let notified = ShareRow { notified: row.notifiable_outcome(), ..row.clone() };
    notifications
        .into_iter()
        .map(|notification| HubNotification { notification, row: Some(notified.clone()) })
        .collect()
}

/// What the hub is told of the whole image: what other people's hands did to it.
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
            format!("access of {target} had been removed by hand, and was given again"),
        )
    });
    let is_new = |grant: &&UnmanagedGrant| {
        !ledger.notified.has_reported_later_than(&share.run.observed)
            && !ledger.notified.unmanaged.contains(&grant.to_string())
    };
    let unmanaged = result.unmanaged.iter().filter(is_new);
    let unmanaged = unmanaged.map(|grant| match result.made_private.contains(&grant.resource) {
        true if grant.is_public() => {
            out_of_band(NotificationKind::Public, "all", format!("{} had been made public, and is private again", grant.resource))
        }
        _ if grant.is_public() => out_of_band(
            NotificationKind::Public,
            "all",
            format!(
                "{} is public, which ami-share never does; remove the group `all` from its permissions, or set MakePublicImagesPrivate",
                grant.resource
            ),
        ),
        _ => out_of_band(
            NotificationKind::Unmanaged,
            &grant.grantee,
            format!("{} is open to {}, which ami-share did not do and leaves as it is", grant.resource, grant.grantee),
        ),
    });
    // Said at every look, until it is mended: somebody keeps access that nobody wants.
    let still_granted =
        result.revoked_keys.iter().filter_map(|key| key.refused.as_ref()).map(|refusal| Notification {
            kind: NotificationKind::Refused,
            detail: NotificationDetail {
                code: Some(refusal.code),
                reason: Some(refusal.reason.clone()),
                ..about(share, &refusal.subject)
            },
        });
    restored.chain(unmanaged).chain(still_granted).collect()
}

fn unshared(result: &ShareResult, target: &str, reason: String, usage: Option<String>) -> Notification {
    Notification {
        kind: NotificationKind::Unshared,
        detail: NotificationDetail { reason: Some(reason), usage, ..about(&result.share, target) },
    }
}

/// Whether those who lost access still use the image; `None` where nobody asked. A member hears of itself only.
fn usage_in_words(result: &ShareResult, may_know: impl Fn(&Usage) -> bool) -> Option<String> {
    result.usage_report.as_ref()?;
    let Some(usage) = &result.usage else {
        return Some("AWS had not answered in time whether they still use the image".to_owned());
    };
    let usage: Vec<Usage> = usage.iter().filter(|usage| may_know(usage)).cloned().collect();
    Some(usage::in_words(&usage))
}

/// The notice that says when access ends.
fn revocation_reason(share: &Share, target: &str) -> Notification {
    let until = share.desired.until.map(|until| until.to_string());
    let reason = until
        .as_ref()
        .map(|until| format!("access ends at {until}; ask for a later ami-share:until to keep it"));
    Notification {
        kind: NotificationKind::EndingSoon,
        detail: NotificationDetail { until, reason, ..about(share, target) },
    }
}

fn account_notification(mut notification: Notification, account: &AccountId) -> Notification {
    notification.detail.account = Some(account.clone());
    notification
}

fn shared(share: &Share, target: &str) -> Notification {
    let image = &share.desired.image;
    let how = format!(
        "aws ec2 run-instances --region {} --image-id {} --instance-type t3.micro",
        image.region, image.id
    );
    Notification {
        kind: NotificationKind::Shared,
        detail: NotificationDetail {
            keys: share.desired.keys.clone(),
            until: share.desired.until.map(|until| until.to_string()),
            permits: share.desired.permits(target).into_iter().map(str::to_owned).collect(),
            how_to_launch: Some(how),
            ..about(share, target)
        },
    }
}

fn about(share: &Share, target: &str) -> NotificationDetail {
    let image = &share.desired.image;
    NotificationDetail {
        image_id: image.id.to_string(),
        image_name: image.name.clone(),
        region: image.region.clone(),
        owner: Some(image.owner.clone()),
        target: Some(target.to_owned()),
        ..NotificationDetail::default()
    }
}

/// The notice of an execution that failed, timed out or was aborted.
pub fn failed(image_id: &str, region: &str, execution: &str, cause: &str) -> Notification {
    Notification {
        kind: NotificationKind::Failed,
        detail: NotificationDetail {
            image_id: image_id.to_owned(),
            region: region.to_owned(),
            reason: Some(cause.to_owned()),
            execution: Some(execution.to_owned()),
            ..NotificationDetail::default()
        },
    }
}
