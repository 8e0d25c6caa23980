//! The access review as data: who can use what, since when, until when, why, and what does not fit.
//!
//! `review-shares` fills it; it is stored as JSON, and shown as a page by `shared/report`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ImageId, KeyArn};
use crate::image::unmanaged::UnmanagedGrant;
use crate::refusal::Refusal;

/// One review of a hub: every managed image and every key that one of them needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReview {
    /// The hub's account.
    pub account: AccountId,
    /// The hub's Region.
    pub region: String,
    /// When the review began.
    pub started_at: Timestamp,
    /// When it was written down.
    pub finished_at: Timestamp,
    /// Every image that carries our tags, or that the ledger knows, by id.
    pub images: Vec<ReviewedImage>,
    /// Every key that one of them is encrypted with, by ARN.
    pub keys: Vec<ReviewedKey>,
}

/// One image, and who can use it.
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
    /// When it was looked at for this review: what is said here was true then.
    pub confirmed_at: Timestamp,
    /// Who has access by ami-share.
    pub shares: Vec<ReviewedShare>,
    /// Who has access that ami-share did not give.
    pub unmanaged: Vec<UnmanagedGrant>,
    /// Words of its tags that get nothing.
    pub refused: Vec<Refusal>,
    /// How what is differs from what the tags say; the share workflow was started when there is any.
    pub differences: Vec<String>,
    /// Its keys.
    pub keys: Vec<KeyArn>,
}

/// One share: one image open to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedShare {
    /// The target's id: an account, an OU or an organization.
    pub target: String,
    /// The accounts behind it, as far as they are known.
    pub accounts: Vec<AccountId>,
    /// The words of `ami-share:with` that led to it.
    pub selectors: Vec<String>,
    /// What it may do: `launch`, `copy`.
    pub permits: Vec<String>,
    /// Whether ami-share gave the launch permission; somebody else did otherwise, and it stays when the tag goes.
    pub is_managed: bool,
    /// Since when.
    pub since: Timestamp,
    /// Until when; open-ended when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Who asked for it, where an event said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub triggered_by: Option<String>,
    /// The event that asked; empty when it had no id.
    pub event: String,
}

/// One key, and whom its policy admits by our statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewedKey {
    /// The key.
    pub arn: KeyArn,
    /// The size of its policy, in bytes.
    pub bytes: usize,
    /// What a policy may have, in bytes.
    pub limit: usize,
    /// Whom our statements admit.
    pub granted: Vec<String>,
    /// Those of them that no share needs.
    pub unneeded: Vec<String>,
    /// How many images need it.
    pub images: usize,
    /// Why it cannot be read or written; `None` when all is well.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// From this part of the limit on, a key's policy is called nearly full, in hundredths.
pub const NEARLY_FULL_PERCENT: usize = 80;

impl ReviewedKey {
    /// Whether its policy is near its size limit.
    pub fn is_nearly_full(&self) -> bool {
        self.bytes * 100 >= self.limit * NEARLY_FULL_PERCENT
    }
}
