//! Why a word of a tag gets no access: a code for machines and a sentence with the remedy for people.

use serde::{Deserialize, Serialize};

/// The kinds of refusal, as metrics and events name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The word is no selector.
    MalformedWord,
    /// The word asks for a public image.
    Public,
    /// A tag of ours that does not exist, or a value that it cannot have.
    UnknownTag,
    /// The account is not in the organization, and not among the allowed ones.
    Stranger,
    /// The organization has no such OU or root, or is not the one of the word.
    Unknown,
    /// The account is closed or suspended.
    ClosedAccount,
    /// A `tag:` selector that no account and no OU matches.
    NoMatch,
    /// A share that leaves the organization must end at some time.
    NeedsUntil,
    /// `ami-share:until` cannot be read.
    UnreadableUntil,
    /// `ami-share:until` lies in the past.
    Expired,
    /// More targets than one image may have.
    TooManyTargets,
    /// The image belongs to another account.
    NotOwner,
    /// A snapshot is encrypted with the AWS managed key.
    AwsManagedKey,
    /// A key without the tag that lets us write its policy.
    UntaggedKey,
    /// A key of another account.
    ForeignKey,
    /// A key that is disabled or about to be deleted.
    UnusableKey,
    /// KMS or EC2 rejected the target itself.
    RejectedByAws,
    /// The key policy has no room left.
    PolicyTooLarge,
    /// The key policy is one that we must not, or cannot, put back.
    PolicyUnsafe,
}

/// One word that got no access, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The word of the tag (or the target) that was refused.
    pub word: String,
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The whole sentence, naming what is wrong and the remedy; without a final stop.
    pub reason: String,
}

impl Refusal {
    /// A refusal of `word` for `reason`.
    pub fn new(word: impl Into<String>, code: RefusalCode, reason: impl Into<String>) -> Self {
        Self { word: word.into(), code, reason: reason.into() }
    }
}
