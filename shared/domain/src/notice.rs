//! What targets, the topic and the hub's bus are told: the events' names and their details.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, KeyArn};
use crate::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::refusal::RefusalCode;
use crate::share::{Given, Share};

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
}

impl NoticeKind {
    /// The event's `detail-type`.
    pub fn detail_type(self) -> &'static str {
        match self {
            Self::Shared => "AMI Shared",
            Self::Refused => "AMI Share Refused",
            Self::Failed => "AMI Share Failed",
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
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
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

/// What must be told now: nothing that was told before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TellPlan {
    /// For the hub's bus and topic, each with the ledger row that it speaks of and its news.
    pub hub: Vec<(Notice, ShareRow, String)>,
    /// For the bus of each account.
    pub members: Vec<(AccountId, Notice)>,
}

/// Plans the notices of `given`, by what the ledger says has been told.
pub fn plan(given: &Given, ledger: &ImageLedger) -> TellPlan {
    let share = &given.share;
    if given.superseded {
        return TellPlan::default();
    }
    let hub = ledger.shares.values().filter_map(|row| {
        let news = row.news().filter(|news| row.told.as_ref() != Some(news))?;
        Some((row_notice(share, row), row.clone(), news))
    });
    let accounts = given
        .shared_targets()
        .flat_map(|target| target.accounts().iter().map(|account| (account, target.name())));
    let untold = accounts.filter(|(account, _)| {
        !ledger.told.delivered.contains(account.as_str())
            && !ledger.told.without_bus.contains(account.as_str())
    });
    let members =
        untold.map(|(account, target)| (account.clone(), account_notice(share, account, target))).collect();
    TellPlan { hub: hub.collect(), members }
}

fn row_notice(share: &Share, row: &ShareRow) -> Notice {
    match row.outcome {
        ShareOutcome::Refused => Notice {
            kind: NoticeKind::Refused,
            detail: NoticeDetail { code: row.code, reason: row.reason.clone(), ..about(share, &row.target) },
        },
        ShareOutcome::Giving | ShareOutcome::Shared => shared(share, &row.target),
    }
}

fn account_notice(share: &Share, account: &AccountId, target: &str) -> Notice {
    let mut notice = shared(share, target);
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
