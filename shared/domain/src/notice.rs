//! What targets, the topic and the hub's bus are told: the events' names and their details.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access_review::UnmanagedGrant;
use crate::ids::{AccountId, KeyArn};
use crate::image_request::Given;
use crate::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::refusal::RefusalCode;
use crate::share::{Share, Target};
use crate::usage::{self, Usage};

/// The source of our own events.
pub const SOURCE: &str = "ami-share";

/// The detail-types of our own events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A target has access.
    Shared,
    /// A word or target gets none.
    Refused,
    /// An execution failed.
    Failed,
    /// A target has no access any more.
    Unshared,
    /// A target's access ends soon.
    Ending,
    /// Somebody took access that ami-share had given, and it was given again.
    Restored,
    /// Somebody else gave access to a managed image or its snapshots.
    Unmanaged,
    /// Somebody made a managed image or a snapshot of it public.
    Public,
}

impl NoticeKind {
    /// The event's `detail-type`.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::Shared => "AMI Shared",
            Self::Refused => "AMI Share Refused",
            Self::Failed => "AMI Share Failed",
            Self::Unshared => "AMI Unshared",
            Self::Ending => "AMI Share Ending",
            Self::Restored => "AMI Share Restored",
            Self::Unmanaged => "AMI Access Unmanaged",
            Self::Public => "AMI Public",
        }
    }
}

/// The `detail` of every event of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeDetail {
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
pub struct Notice {
    /// Which event.
    pub kind: NoticeKind,
    /// What it says.
    pub detail: NoticeDetail,
}

/// One thing to tell the hub, and what to remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubNews {
    /// The event.
    pub notice: Notice,
    /// The row of the ledger that it speaks of, with the news that it holds; none for news of the whole image.
    pub row: Option<ShareRow>,
}

/// What must be told now: nothing that was told before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TellPlan {
    /// For the hub's bus and topic.
    pub hub: Vec<HubNews>,
    /// For the bus of each account that has access now.
    pub members: Vec<(AccountId, Notice)>,
    /// For the bus of each account that has none any more.
    pub leavers: Vec<(AccountId, Notice)>,
    /// Accounts that have no access any more, and no bus either: only to be forgotten.
    pub forgotten: Vec<AccountId>,
    /// For the bus of each account whose access ends soon.
    pub warned: Vec<(AccountId, Notice)>,
    /// Whether the targets are warned of the end now.
    pub is_warning: bool,
}

/// What is written down of the whole image once all of it has been told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conclusion {
    /// The end that the targets have been warned of.
    pub warned: Option<Timestamp>,
    /// The access by other people's hand, where it is not what was reported before.
    pub unmanaged: Option<UnmanagedSeen>,
    /// The status, where it has been written.
    pub status: Option<String>,
}

/// All access by other people's hand that a look has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmanagedSeen {
    /// Each grant in words, as the ledger remembers it.
    pub grants: BTreeSet<String>,
    /// When the look had begun.
    pub at: Timestamp,
}

/// What is to be remembered of `given` once `plan` has been told; of the status, its writer knows.
pub fn conclusion(given: &Given, ledger: &ImageLedger, plan: &TellPlan) -> Conclusion {
    let image = &given.share.image;
    // What was made private is over: when somebody makes it public again, that is news.
    let is_over = |grant: &&UnmanagedGrant| grant.is_public() && given.made_private.contains(&grant.resource);
    let grants: BTreeSet<String> =
        given.unmanaged.iter().filter(|grant| !is_over(grant)).map(ToString::to_string).collect();
    let is_news = grants != ledger.told.unmanaged && !ledger.told.has_seen_later_than(image);
    Conclusion {
        warned: given.share.until.filter(|_| plan.is_warning),
        unmanaged: is_news.then_some(UnmanagedSeen { grants, at: image.seen_at }),
        status: None,
    }
}

/// Plans the notices of `given`, by what the ledger says has been told.
pub fn plan(given: &Given, ledger: &ImageLedger, now: Timestamp) -> TellPlan {
    if given.superseded {
        return TellPlan::default();
    }
    let waits = ledger.told.waits(given, now);
    let (leavers, forgotten) = if waits { (Vec::new(), Vec::new()) } else { leavers(given, ledger) };
    let is_warning_due = is_warning_due(given, ledger, now);
    let may_tell = |row: &&ShareRow| !(waits && row.was_shared);
    let rows = ledger.shares.values().filter(may_tell);
    let mut hub: Vec<HubNews> = rows.flat_map(|row| row_news(given, row)).collect();
    hub.extend(image_news(given, ledger).into_iter().map(|notice| HubNews { notice, row: None }));
    if is_warning_due {
        let standing = standing(given, ledger);
        let ending =
            standing.map(|target| HubNews { notice: ending(&given.share, target.name()), row: None });
        hub.extend(ending);
    }
    TellPlan {
        hub,
        members: newcomers(given, ledger),
        leavers,
        forgotten,
        warned: if is_warning_due { warned(given, ledger) } else { Vec::new() },
        is_warning: is_warning_due,
    }
}

/// The leading news, at most so many, that leave no row's news in two: of a refusal that took access away both
/// parts are on record as told, or neither.
pub fn leading(news: &[HubNews], at_most: usize) -> &[HubNews] {
    let parts_a_row = |end: usize| {
        let row_of = |at: usize| news.get(at).and_then(|news| news.row.as_ref());
        end.checked_sub(1).and_then(row_of).is_some_and(|row| row_of(end) == Some(row))
    };
    let end = (0..=at_most.min(news.len())).rev().find(|end| !parts_a_row(*end));
    end.and_then(|end| news.get(..end)).unwrap_or_default()
}

/// The accounts that have access and have not been told.
fn newcomers(given: &Given, ledger: &ImageLedger) -> Vec<(AccountId, Notice)> {
    let is_told = |account: &AccountId| {
        ledger.told.delivered.contains(account.as_str()) || ledger.told.without_bus.contains(account.as_str())
    };
    let untold = accounts_of(given.shared_targets()).filter(|(account, _)| !is_told(account));
    untold
        .map(|(account, target)| (account.clone(), account_notice(shared(&given.share, target), account)))
        .collect()
}

/// The accounts that were told of access and have none any more: those to tell, and those without a bus.
fn leavers(given: &Given, ledger: &ImageLedger) -> (Vec<(AccountId, Notice)>, Vec<AccountId>) {
    let holders = given.share.wanted_accounts();
    let gone = |told: &BTreeSet<String>| -> Vec<AccountId> {
        let accounts = told.iter().filter_map(|account| account.parse().ok());
        accounts.filter(|account| !holders.contains(account)).collect()
    };
    let told = gone(&ledger.told.delivered).into_iter().map(|account| {
        let reason = given.why_withdrawn(account.as_str());
        let usage = usage_in_words(given, |usage| usage.account == account);
        (account.clone(), account_notice(unshared(given, account.as_str(), reason, usage), &account))
    });
    (told.collect(), gone(&ledger.told.without_bus))
}

/// Whether the end is near, and nobody has been warned of this very end.
fn is_warning_due(given: &Given, ledger: &ImageLedger, now: Timestamp) -> bool {
    let share = &given.share;
    let is_near =
        share.warn_at.is_some_and(|warn_at| warn_at <= now) && share.until.is_some_and(|end| end > now);
    is_near && standing(given, ledger).next().is_some() && ledger.told.warned != share.until
}

/// The targets that have access: who has it now, and who keeps what was given before.
fn standing<'a>(given: &'a Given, ledger: &'a ImageLedger) -> impl Iterator<Item = &'a Target> {
    let is_open = |target: &&Target| ledger.shares.get(target.name()).is_some_and(ShareRow::is_open);
    given.shared_targets().chain(given.share.kept.iter().filter(is_open))
}

fn warned(given: &Given, ledger: &ImageLedger) -> Vec<(AccountId, Notice)> {
    let has_bus = |account: &AccountId| !ledger.told.without_bus.contains(account.as_str());
    let is_warned = |account: &AccountId| {
        given.share.until.is_some_and(|end| ledger.told.warning.contains(&warning_of(account, end)))
    };
    let holders = accounts_of(standing(given, ledger));
    holders
        .filter(|(account, _)| has_bus(account) && !is_warned(account))
        .map(|(account, target)| (account.clone(), account_notice(ending(&given.share, target), account)))
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
fn row_news(given: &Given, row: &ShareRow) -> Vec<HubNews> {
    let share = &given.share;
    if !row.is_untold() {
        return Vec::new();
    }
    let reason = row.reason.clone().unwrap_or_default();
    let refused = || Notice {
        kind: NoticeKind::Refused,
        detail: NoticeDetail { code: row.code, reason: row.reason.clone(), ..about(share, &row.target) },
    };
    let usage = || usage_in_words(given, |_| true);
    let notices = match row.outcome {
        ShareOutcome::Giving | ShareOutcome::Shared => vec![shared(share, &row.target)],
        ShareOutcome::Withdrawn => vec![unshared(given, &row.target, reason, usage())],
        ShareOutcome::Refused if row.was_shared => {
            vec![unshared(given, &row.target, reason, usage()), refused()]
        }
        ShareOutcome::Refused => vec![refused()],
    };
    let told = ShareRow { told: row.news(), ..row.clone() };
    notices.into_iter().map(|notice| HubNews { notice, row: Some(told.clone()) }).collect()
}

/// What the hub is told of the whole image: what other people's hands did to it.
fn image_news(given: &Given, ledger: &ImageLedger) -> Vec<Notice> {
    let share = &given.share;
    let by_hand = |kind, target: &str, reason: String| Notice {
        kind,
        detail: NoticeDetail {
            reason: Some(reason),
            changed_by: share.changed_by.clone(),
            ..about(share, target)
        },
    };
    let restored = given.restored.iter().map(|target| {
        by_hand(
            NoticeKind::Restored,
            target,
            format!("access of {target} had been removed by hand, and was given again"),
        )
    });
    let is_news = |grant: &&UnmanagedGrant| {
        !ledger.told.has_seen_later_than(&share.image) && !ledger.told.unmanaged.contains(&grant.to_string())
    };
    let unmanaged = given.unmanaged.iter().filter(is_news);
    let unmanaged = unmanaged.map(|grant| match given.made_private.contains(&grant.resource) {
        true if grant.is_public() => {
            by_hand(NoticeKind::Public, "all", format!("{} had been made public, and is private again", grant.resource))
        }
        _ if grant.is_public() => by_hand(
            NoticeKind::Public,
            "all",
            format!(
                "{} is public, which ami-share never does; remove the group `all` from its permissions, or set MakePublicImagesPrivate",
                grant.resource
            ),
        ),
        _ => by_hand(
            NoticeKind::Unmanaged,
            &grant.grantee,
            format!("{} is open to {}, which ami-share did not do and leaves as it is", grant.resource, grant.grantee),
        ),
    });
    // Said at every look, until it is mended: somebody keeps access that nobody wants.
    let kept_open = given.retracted.iter().filter_map(|key| key.refused.as_ref()).map(|refusal| Notice {
        kind: NoticeKind::Refused,
        detail: NoticeDetail {
            code: Some(refusal.code),
            reason: Some(refusal.reason.clone()),
            ..about(share, &refusal.word)
        },
    });
    restored.chain(unmanaged).chain(kept_open).collect()
}

fn unshared(given: &Given, target: &str, reason: String, usage: Option<String>) -> Notice {
    Notice {
        kind: NoticeKind::Unshared,
        detail: NoticeDetail { reason: Some(reason), usage, ..about(&given.share, target) },
    }
}

/// Whether those who lost access still use the image; `None` where nobody asked. A member hears of itself only.
fn usage_in_words(given: &Given, may_know: impl Fn(&Usage) -> bool) -> Option<String> {
    given.usage_report.as_ref()?;
    let Some(usage) = &given.usage else {
        return Some("AWS had not answered in time whether they still use the image".to_owned());
    };
    let usage: Vec<Usage> = usage.iter().filter(|usage| may_know(usage)).cloned().collect();
    Some(usage::in_words(&usage))
}

/// The notice that says when access ends.
fn ending(share: &Share, target: &str) -> Notice {
    let until = share.until.map(|until| until.to_string());
    let reason = until
        .as_ref()
        .map(|until| format!("access ends at {until}; ask for a later ami-share:until to keep it"));
    Notice { kind: NoticeKind::Ending, detail: NoticeDetail { until, reason, ..about(share, target) } }
}

fn account_notice(mut notice: Notice, account: &AccountId) -> Notice {
    notice.detail.account = Some(account.clone());
    notice
}

fn shared(share: &Share, target: &str) -> Notice {
    let image = &share.image;
    let how = format!(
        "aws ec2 run-instances --region {} --image-id {} --instance-type t3.micro",
        image.region, image.id
    );
    Notice {
        kind: NoticeKind::Shared,
        detail: NoticeDetail {
            keys: share.keys.clone(),
            until: share.until.map(|until| until.to_string()),
            permits: share.permits(target).into_iter().map(str::to_owned).collect(),
            how_to_launch: Some(how),
            ..about(share, target)
        },
    }
}

fn about(share: &Share, target: &str) -> NoticeDetail {
    let image = &share.image;
    NoticeDetail {
        image_id: image.id.to_string(),
        image_name: image.name.clone(),
        region: image.region.clone(),
        owner: Some(image.owner.clone()),
        target: Some(target.to_owned()),
        ..NoticeDetail::default()
    }
}

/// The notice of an execution that failed, timed out or was aborted.
pub fn failed(image_id: &str, region: &str, execution: &str, cause: &str) -> Notice {
    Notice {
        kind: NoticeKind::Failed,
        detail: NoticeDetail {
            image_id: image_id.to_owned(),
            region: region.to_owned(),
            reason: Some(cause.to_owned()),
            execution: Some(execution.to_owned()),
            ..NoticeDetail::default()
        },
    }
}
