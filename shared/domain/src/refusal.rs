//! Why a word of a tag gets no access: a code for machines and a sentence with the remedy for people.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// The kinds of refusal, as metrics and events name them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, EnumIter, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RefusalCode {
    /// The word is no selector.
    MalformedSelector,
    /// The word asks for a public image.
    Public,
    /// A tag of ours that does not exist, or a value that it cannot have.
    UnknownTag,
    /// The account is not in the organization, and not among the allowed ones.
    ExternalNotAllowed,
    /// The organization has no such OU or root, or is not the one of the word.
    NotFound,
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

impl RefusalCode {
    /// What the status says, for docs/troubleshooting.md; `<…>` stands for what differs from case to case.
    pub fn says(self) -> &'static [&'static str] {
        match self {
            Self::MalformedSelector => &[
                "`<word>` is no account id (12 digits), OU (ou-…), root (r-…), org, organization (o-…) or tag:Key=Value",
            ],
            Self::Public => {
                &["`<all>` would make the image public, which is never done; name accounts, OUs or `org"]
            }
            Self::UnknownTag => &[
                "`<tag>` is no tag of ami-share; there are with, with:2 to with:9, until, copy and regions",
                "`<yes>` in ami-share:copy is not understood; write `allowed` or remove the tag",
                "`ami-share:regions` is not supported yet; copy the image and tag the copy",
            ],
            Self::ExternalNotAllowed => &[
                "<999999999999> is not in this organization and not allowed; add it to AllowedExternalAccounts or remove it",
                "<o-z9y8x7w6v5> is not this organization and not allowed; add its ARN to AllowedExternalOrganizations or remove it",
            ],
            Self::NotFound => &[
                "<ou-ab12-cdef3456> is no <OU> of this organization; name one of its own",
                "`org` names nothing: this account is in no organization",
            ],
            Self::ClosedAccount => &["account <444455556666> is closed or suspended; remove it from the tag"],
            Self::NoMatch => &[
                "`<tag:Stage=production>` matches no account and no OU of this organization; tag them in AWS Organizations or remove it",
            ],
            Self::NeedsUntil => &[
                "<999999999999> is outside this organization, so the share must end; add the tag ami-share:until",
            ],
            Self::UnreadableUntil => &[
                "`<tomorrow>` in ami-share:until is no date (2026-12-31) and no RFC 3339 time (2026-12-31T18:00:00Z); nothing new is shared until it is",
            ],
            Self::Expired => &[
                "ami-share:until was <2025-12-31T23:59:59Z>, which is in the past; set a later date to share again",
            ],
            Self::TooManyTargets => &[
                "<1001> targets are more than the <1000> launch permissions that one image may have; name OUs or `org` instead of their accounts",
                "with those that it has, the image would have <1001> launch permissions of <1000>; name OUs or `org` instead of their accounts, or remove some by hand",
            ],
            Self::NotOwner => &[
                "the image belongs to account <222222222222>, and only its owner can share it; copy it and tag the copy",
            ],
            Self::AwsManagedKey => &[
                "the image is encrypted with the AWS managed key aws/ebs, which cannot be shared; copy the image with a key of your own and tag the copy",
            ],
            Self::UntaggedKey => &[
                "<key/1234abcd> lacks the tag ami-share:managed = true, so its policy is not touched; add that tag to the key and look again, or wait for the review",
            ],
            Self::ForeignKey => &[
                "<key/1234abcd> belongs to another account, so its policy cannot be changed from here; copy the image with a key of this account",
            ],
            Self::UnusableKey => &[
                "<key/1234abcd> is disabled or about to be deleted; enable it, or copy the image with another key",
                "<key/1234abcd> does not exist any more, so nobody can use the image; copy the image with another key",
            ],
            Self::RejectedByAws => &[
                "KMS does not take <444455556666> in the policy of <key/1234abcd>: no such account, or it is closed; remove it from the tag",
                "EC2 does not take <222222222222>: <what EC2 said>",
            ],
            Self::PolicyTooLarge => &[
                "<key/1234abcd still admits 222222222222>: <the policy of key/1234abcd> has no room to be written anew (<32768> bytes); shorten its other statements",
                "the policy of <key/1234abcd> has no room for <222222222222> (<32768> bytes); share with an OU or `org` instead of accounts, or use another key",
            ],
            Self::PolicyUnsafe => &[
                "<key/1234abcd> cannot be read; let this account read it by its policy (statement `Enable IAM User Permissions`), then look again: <what KMS said>",
                "the policy of <key/1234abcd> is not understood; mend it, then look again: <what is wrong with it>",
                "<key/1234abcd> may still admit <222222222222>: <key/1234abcd cannot be read …>",
                "no statement of the policy of <key/1234abcd> lets this account put it, which would lock everybody out; add the statement <Enable IAM User Permissions> for the account's root",
                "the policy of <key/1234abcd> names deleted principals (<AROA…>), so KMS takes no change of it; remove them from it",
                "KMS does not take the policy of <key/1234abcd> back even without new principals (<what KMS said>); mend its statements",
            ],
        }
    }

    /// What to do about it, for docs/troubleshooting.md.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MalformedSelector => "Correct the selector.",
            Self::Public => "Name the accounts, OUs or organizations that should have the image.",
            Self::UnknownTag => "Correct the key or the value of the tag, or remove the tag.",
            Self::ExternalNotAllowed => {
                "If the target is meant, add it to `AllowedExternalAccounts` or `AllowedExternalOrganizations`; else correct the tag."
            }
            Self::NotFound => "Name an OU or root of the hub's own organization, or accounts.",
            Self::ClosedAccount => "Remove the account from the tag.",
            Self::NoMatch => "Tag the accounts or OUs in AWS Organizations, or remove the selector.",
            Self::NeedsUntil => "Set `ami-share:until`, or set `ExternalSharesNeedUntil` to `false`.",
            Self::UnreadableUntil => "Correct the value of `ami-share:until`.",
            Self::Expired => "Set a later date, or remove the tag.",
            Self::TooManyTargets => {
                "Share with OUs or `org`, or have the EC2 quota raised and then raise `MaxTargetsPerImage`."
            }
            Self::NotOwner => {
                "Copy the image into the hub and tag the copy, or tag it in the account that owns it, with a stack there."
            }
            Self::AwsManagedKey => {
                "Copy the image with a customer managed key that has the tag `ami-share:managed` = `true`, and tag the copy."
            }
            Self::UntaggedKey => {
                "Tag the key `ami-share:managed` = `true` if ami-share may write its policy."
            }
            Self::ForeignKey => "Copy the image with a key of the hub, and tag the copy.",
            Self::UnusableKey => {
                "Enable the key or cancel its deletion. If the key is deleted, deregister the image."
            }
            Self::RejectedByAws => "Remove the target from the tag, or act on what EC2 or KMS said.",
            Self::PolicyTooLarge => {
                "Share with OUs or `org`, use another key, or shorten the other statements of the policy."
            }
            Self::PolicyUnsafe => "Correct the key policy as the reason says.",
        }
    }
}

/// One word that got no access, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The word of the tag (or the target) that was refused.
    pub subject: String,
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The whole sentence, naming what is wrong and the remedy; without a final stop.
    pub reason: String,
}

impl Refusal {
    /// A refusal of `subject` for `reason`.
    pub fn new(subject: impl Into<String>, code: RefusalCode, reason: impl Into<String>) -> Self {
        Self { subject: subject.into(), code, reason: reason.into() }
    }
}

/// What one sentence says of one word.
pub(crate) trait Sentence: Clone {
    /// How the word is written.
    type Subject: Clone + Display + PartialEq + Serialize + DeserializeOwned;

    /// Says `reason` of `subject`.
    fn of_parts(subject: Self::Subject, code: RefusalCode, reason: String) -> Self;
    /// The word, the code and the reason.
    fn parts(&self) -> (&Self::Subject, RefusalCode, &str);

    /// The same sentence, said of another word: its reason names that one where it names its own.
    fn said_of(&self, subject: &Self::Subject) -> Self {
        let (own, code, reason) = self.parts();
        Self::of_parts(subject.clone(), code, reason.replace(&own.to_string(), &subject.to_string()))
    }
}

impl Sentence for Refusal {
    type Subject = String;

    fn of_parts(subject: String, code: RefusalCode, reason: String) -> Self {
        Self { subject, code, reason }
    }

    fn parts(&self) -> (&String, RefusalCode, &str) {
        (&self.subject, self.code, &self.reason)
    }
}

/// How the documents between the steps hold refusals: a sentence that goes for many words is written once, with the
/// first of them as its word and the others in `also`; where it names the first, it is read as naming each. A key
/// without its tag refuses a thousand targets in one sentence of nearly two hundred characters, and a full one names
/// each that it has no room for; Step Functions takes 256 KiB from one step to the next.
///
/// A release that knows no `also` still reads the first word and the sentence.
pub(crate) mod together {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Sentence;

    #[derive(Serialize, Deserialize)]
    #[serde(bound(serialize = "S: Serialize", deserialize = "S: DeserializeOwned"))]
    struct Together<S: Sentence> {
        #[serde(flatten)]
        first: S,
        #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
        also: Vec<S::Subject>,
    }

    /// Only neighbours stand together, so that the refusals are read in the order in which they were written.
    pub(crate) fn serialize<S, Z>(refusals: &[S], serializer: Z) -> Result<Z::Ok, Z::Error>
    where
        S: Sentence + Serialize,
        Z: Serializer,
    {
        let mut groups: Vec<Together<S>> = Vec::new();
        for refusal in refusals {
            let (subject, ..) = refusal.parts();
            let reads_the_same =
                |group: &&mut Together<S>| group.first.said_of(subject).parts() == refusal.parts();
            match groups.last_mut().filter(reads_the_same) {
                Some(group) => group.also.push(subject.clone()),
                None => groups.push(Together { first: refusal.clone(), also: Vec::new() }),
            }
        }
        groups.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, S, D>(deserializer: D) -> Result<Vec<S>, D::Error>
    where
        S: Sentence + DeserializeOwned,
        D: Deserializer<'de>,
    {
        let groups = Vec::<Together<S>>::deserialize(deserializer)?;
        let refusals = groups.into_iter().flat_map(|Together { first, also }| {
            let others: Vec<S> = also.iter().map(|subject| first.said_of(subject)).collect();
            std::iter::once(first).chain(others)
        });
        Ok(refusals.collect())
    }
}
