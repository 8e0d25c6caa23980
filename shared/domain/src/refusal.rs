//! Why a selector or target gets no access: a code, its fields, and the sentence that they render to.
//!
//! Refusals are stored, compared and passed between the steps as data. A sentence is written only where a person
//! reads it, so a reworded sentence changes no identity.

mod examples;
mod reason;
mod sentence;
pub(crate) mod together;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::reason::{NamedPrincipal, RefusalReason};

/// The kinds of refusal, as metrics and events name them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RefusalCode {
    /// The text is not a selector.
    MalformedSelector,
    /// The selector asks for a public image.
    Public,
    /// A tag of ami-share that does not exist, or a value that it cannot have.
    UnknownTag,
    /// The account or organization is outside the hub's organization, and not allowed.
    ExternalNotAllowed,
    /// The organization has no such OU or root.
    NotFound,
    /// The account is closed or suspended.
    ClosedAccount,
    /// A `tag:` selector that no account and no OU matches.
    NoMatch,
    /// A share with an external target needs an end.
    NeedsUntil,
    /// `ami-share:until` cannot be parsed.
    UnreadableUntil,
    /// `ami-share:until` is in the past.
    Expired,
    /// More targets than one image can have.
    TooManyTargets,
    /// The image belongs to another account.
    NotOwner,
    /// A snapshot is encrypted with the AWS managed key.
    AwsManagedKey,
    /// The key does not have the tag that lets ami-share change its policy.
    UntaggedKey,
    /// The key belongs to another account.
    ForeignKey,
    /// The key is disabled, pending deletion, or deleted.
    UnusableKey,
    /// KMS or EC2 rejected the target itself.
    RejectedByAws,
    /// EC2 refuses the grant, whoever the target is: a policy denies it, or a quota is reached.
    DeniedByAws,
    /// AWS Organizations does not list the organization.
    UnreadableOrganization,
    /// A snapshot of the image was deleted, belongs to another account, or cannot be read.
    UnusableSnapshot,
    /// A step of the workflow failed.
    StepFailed,
    /// The key policy has no room left.
    PolicyTooLarge,
    /// ami-share must not, or cannot, write the key policy.
    PolicyUnsafe,
}

impl RefusalCode {
    /// Whether AWS answered so to a grant. It is no reason to revoke: it may also mean that nothing can be revoked.
    pub fn is_answer_of_aws(self) -> bool {
        matches!(self, Self::RejectedByAws | Self::DeniedByAws)
    }

    /// What to do about it, for `docs/troubleshooting.md`.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MalformedSelector => "Correct the selector in the tag.",
            Self::Public => {
                "Name the accounts, OUs or the organization that should have the image. ami-share never makes an image public."
            }
            Self::UnknownTag => {
                "Correct the tag's key or value, or remove the tag. The other tags of the image have their effect."
            }
            Self::ExternalNotAllowed => {
                "If the target is intended, add it to the stack's parameter `AllowedExternalAccounts` or `AllowedExternalOrganizations`. Otherwise correct the tag."
            }
            Self::NotFound => {
                "Correct the id. OUs and roots of other organizations cannot be named; without an organization, name accounts."
            }
            Self::ClosedAccount => "Remove the account from the tag.",
            Self::NoMatch => {
                "Tag the accounts or OUs in AWS Organizations. ami-share reconciles the image when it receives that event, or at the next review."
            }
            Self::NeedsUntil => {
                "Add the tag `ami-share:until`, or set the stack's parameter `ExternalSharesNeedUntil` to `false`."
            }
            Self::UnreadableUntil => {
                "Correct the value; a time needs its zone. Until then existing access is retained, at most until the last date that could be parsed."
            }
            Self::Expired => {
                "The date was in the past when it was set, so nothing is shared. Set a later date, or remove the tag."
            }
            Self::TooManyTargets => {
                "ami-share changed nothing. Share with OUs or `org`, remove launch permissions that are not needed, or have the EC2 quota raised and then raise `MaxTargetsPerImage`."
            }
            Self::NotOwner => {
                "Copy the image into the hub and tag the copy, or deploy a stack in the account that owns it."
            }
            Self::AwsManagedKey => {
                "Copy the image with a customer managed key that has the tag `ami-share:managed` (`aws ec2 copy-image --encrypted --kms-key-id …`), and tag the copy."
            }
            Self::UntaggedKey => {
                "If ami-share may change the policy of the key, tag the key with `ami-share:managed = true`. Then start a reconciliation, or wait for the review."
            }
            Self::ForeignKey => "Copy the image with a key of the hub, and tag the copy.",
            Self::UnusableKey => {
                "Enable the key or cancel its deletion, then start a reconciliation. If the key was deleted, the image is lost: deregister it."
            }
            Self::RejectedByAws => {
                "The other targets have access. Remove the target from the tag, or do what EC2 says."
            }
            Self::StepFailed => {
                "Existing access stays, and what is to be revoked is revoked. Remove the cause that the text and the failed execution name, then start a reconciliation, or wait for the review."
            }
            Self::DeniedByAws => {
                "Do what EC2 says: change the service control policy that denies `ec2:ModifyImageAttribute` or `ec2:ModifySnapshotAttribute`, restore an archived snapshot, or have the quota raised. Existing access stays, what is to be revoked is revoked, and the review tries again."
            }
            Self::UnreadableOrganization => {
                "Restore the rights to list the organization (`OrganizationRoleArn`, or the delegation to the hub), then start a reconciliation. Until then no target gets access that it does not have, and a target that no selector can lead to any more loses it."
            }
            Self::UnusableSnapshot => {
                "Copy the image within the hub (`aws ec2 copy-image`), so that all its snapshots belong to the hub, and tag the copy. Revocations go ahead."
            }
            Self::PolicyTooLarge => {
                "A key policy names some hundreds of accounts at the most; an OU or organization takes one line. Share with OUs or `org`, use another key, or shorten the statements that ami-share did not write."
            }
            Self::PolicyUnsafe => {
                "Correct the key policy as the text says, then start a reconciliation. Until then no new target gets access, and what is revoked loses the image all the same."
            }
        }
    }
}

/// A selector or target that gets no access, and why. In the outcome of a key, the subject is its principal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal<S = String> {
    /// The selector of the tag, the target, or the key.
    pub subject: S,
    /// Why it was refused.
    pub reason: RefusalReason,
}

impl Refusal {
    /// A refusal of `subject` for `reason`.
    pub fn new(subject: impl Into<String>, reason: RefusalReason) -> Self {
        Self { subject: subject.into(), reason }
    }
}

impl<S> Refusal<S> {
    /// The kind of refusal.
    pub fn code(&self) -> RefusalCode {
        self.reason.code()
    }

    /// The part that makes one refusal differ from another.
    pub fn identity(self) -> Self {
        Self { reason: self.reason.identity(), ..self }
    }
}

/// Lower case and without a final stop. The subject comes first, unless the sentence names it already.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, reason } = self;
        if reason.names(subject) { reason.fmt(f) } else { write!(f, "{subject}: {reason}") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::collections::BTreeSet;

    use strum::{EnumCount, IntoEnumIterator};

    use super::*;

    #[test]
    fn there_is_one_example_of_each_reason_and_every_code_has_one() {
        let examples = RefusalReason::examples();
        let kinds: BTreeSet<&'static str> = examples.iter().map(Into::into).collect();
        assert_eq!((kinds.len(), examples.len()), (RefusalReason::COUNT, RefusalReason::COUNT));
        let codes: BTreeSet<RefusalCode> = examples.iter().map(RefusalReason::code).collect();
        assert_eq!(codes, RefusalCode::iter().collect());
    }

    #[test]
    fn sentences_and_remedies_follow_the_style() {
        for reason in RefusalReason::examples() {
            let sentence = reason.to_string();
            assert!(!sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
        }
        for code in RefusalCode::iter() {
            assert!(code.remedy().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn a_code_has_the_same_name_everywhere() {
        for code in RefusalCode::iter() {
            assert_eq!(serde_json::to_value(code).unwrap(), code.to_string());
        }
        assert_eq!(RefusalCode::TooManyTargets.to_string(), "too-many-targets");
    }

    #[test]
    fn what_aws_said_makes_no_refusal_differ() {
        let said = |message: &str| RefusalReason::Ec2Rejected { message: message.to_owned() };
        assert_eq!(said("request 1").identity(), said("request 2").identity());
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1".parse().unwrap();
        let still = |message: &str| RefusalReason::StillGranted {
            key: Clone::clone(&key),
            principals: vec!["222222222222".to_owned()],
            because: Box::new(said(message)),
        };
        assert_eq!(still("request 1").identity(), still("request 2").identity());
        let several = |message: &str| RefusalReason::Several { reasons: vec![said(message)] };
        assert_eq!(several("request 1").identity(), several("request 2").identity());
    }
}
