//! The notifications to targets, the topic and the hub's bus: the events' names and their details.

use serde::{Deserialize, Serialize};
use strum::EnumIter;

use crate::ids::{AccountId, KeyArn};
use crate::image::desired::Share;
use crate::image::request::ShareResult;
use crate::image::usage;
use crate::image::usage::Usage;
use crate::refusal::RefusalCode;

/// The source of the events of ami-share.
pub const SOURCE: &str = "ami-share";

/// The detail-types of the events of ami-share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumIter)]
pub enum NotificationKind {
    /// A target has access.
    Shared,
    /// A selector or target gets none.
    Refused,
    /// An execution failed.
    Failed,
    /// A target has no access any more.
    Unshared,
    /// A target's access ends soon.
    EndingSoon,
    /// Managed access was removed out of band, and ami-share restored it.
    Restored,
    /// Access to a managed image or its snapshots was granted out of band.
    Unmanaged,
    /// A managed image or a snapshot of it was made public out of band.
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

/// The `detail` of every event of ami-share.
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
    /// The target's id, or the refused selector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// In a target account's own notification: that account.
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
    /// Why it was refused or revoked, why it failed, or what was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The principal that made an out-of-band change, where CloudTrail names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_by: Option<String>,
    /// Whether the accounts that lost access still use the image, where the stack asks EC2 for that.
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
pub(crate) fn unshared(
    result: &ShareResult,
    target: &str,
    reason: Option<String>,
    usage: Option<String>,
) -> Notification {
    Notification {
        kind: NotificationKind::Unshared,
        detail: NotificationDetail { reason, usage, ..about(&result.share, target) },
    }
}

/// Whether the accounts that lost access still use the image; `None` where the stack does not ask. A target account learns
/// of itself only.
pub(crate) fn usage_sentence(result: &ShareResult, may_know: impl Fn(&Usage) -> bool) -> Option<String> {
    result.usage_report.as_ref()?;
    let Some(usage) = &result.usage else {
        return Some("not known: EC2's usage report was not ready in time".to_owned());
    };
    let usage: Vec<Usage> = usage.iter().filter(|usage| may_know(usage)).cloned().collect();
    Some(usage::sentence(&usage))
}

/// The notification that says when access ends.
pub(crate) fn ending(share: &Share, target: &str) -> Notification {
    let until = share.desired.until.map(|until| until.to_string());
    let reason = until.as_ref().map(|until| {
        format!("access ends at {until}; ask the owner of the image for a later ami-share:until to keep it")
    });
    Notification {
        kind: NotificationKind::EndingSoon,
        detail: NotificationDetail { until, reason, ..about(share, target) },
    }
}

pub(crate) fn account_notification(mut notification: Notification, account: &AccountId) -> Notification {
    notification.detail.account = Some(account.clone());
    notification
}

pub(crate) fn shared(share: &Share, target: &str) -> Notification {
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

pub(crate) fn about(share: &Share, target: &str) -> NotificationDetail {
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

/// The notification of an execution that failed, timed out or was aborted.
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
