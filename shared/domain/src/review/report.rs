//! The access review as data: what can use which image, since when, until when, why, and what differs.
//!
//! `review-shares` fills it; it is stored as JSON, and shown as a page by `shared/report`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ImageId, KeyArn};
use crate::image::unmanaged::UnmanagedGrant;
use crate::refusal::{Refusal, RefusalReason};

/// One review of a hub: every managed image and every key that one of them needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReview {
    /// The hub's account.
    pub account: AccountId,
    /// The hub's Region.
    pub region: String,
    /// When the review began.
    pub started_at: Timestamp,
    /// When it was finished.
    pub finished_at: Timestamp,
    /// Every image that carries tags of ami-share, or that the ledger knows, by id.
    pub images: Vec<ReviewedImage>,
    /// Every key that one of them is encrypted with, by ARN.
    pub keys: Vec<ReviewedKey>,
}

/// One image, and what can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedImage {
    /// The image.
    pub id: ImageId,
    /// Its name; empty when it has none, or is gone.
    pub name: String,
    /// Its state in EC2 (`available`, `disabled`); `gone` when it does not exist any more.
    pub state: String,
    /// What its status tag says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// When this review read it: the report was true then.
    pub confirmed_at: Timestamp,
    /// The access that ami-share granted.
    pub shares: Vec<ReviewedShare>,
    /// The access that ami-share did not grant.
    pub unmanaged: Vec<UnmanagedGrant>,
    /// What its tags ask for and does not get access.
    pub refused: Vec<Refusal>,
    /// How the actual state differs from the tags; the review starts a reconciliation when there is any difference.
    pub differences: Vec<String>,
    /// Its keys.
    pub keys: Vec<KeyArn>,
}

/// One share: one image granted to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedShare {
    /// The target's id: an account, an OU or an organization.
    pub target: String,
    /// The accounts behind it, as far as they are known.
    pub accounts: Vec<AccountId>,
    /// The selectors of `ami-share:with` that led to it.
    pub selectors: Vec<String>,
    /// What it may do: `launch`, `copy`.
    pub permits: Vec<String>,
    /// Whether ami-share granted the launch permission; otherwise it stays when the tag is removed.
    pub is_managed: bool,
    /// Since when.
    pub since: Timestamp,
    /// Until when; open-ended when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// The principal that asked for it, where an event names it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
    /// The id of the triggering event; empty when it had none.
    pub event: String,
}

/// One key, and what the statements of ami-share in its policy allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedKey {
    /// The key.
    pub arn: KeyArn,
    /// The size of its policy, in bytes.
    pub bytes: usize,
    /// The size limit of a policy, in bytes.
    pub limit: usize,
    /// The principals that the statements of ami-share allow.
    pub granted: Vec<String>,
    /// Those of them that no share needs.
    pub unneeded: Vec<String>,
    /// How many images need it.
    pub images: usize,
    /// Why its policy cannot be read or changed; `None` when it can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<RefusalReason>,
}

/// From this percentage of the limit on, a key policy is nearly full.
pub const NEARLY_FULL_PERCENT: usize = 80;

impl ReviewedKey {
    /// Whether its policy is near its size limit.
    pub fn is_nearly_full(&self) -> bool {
        self.bytes * 100 >= self.limit * NEARLY_FULL_PERCENT
    }
}
