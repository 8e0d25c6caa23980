//! The sentence of each reason.

use std::fmt;

use crate::listing::some_of;
use crate::refusal::RefusalReason;

/// Principals that a sentence lists before it only counts the others.
const NAMED: usize = 5;

/// Lower case and without a final stop: what happened, why, and the next step.
impl fmt::Display for RefusalReason {
    #[expect(clippy::too_many_lines, reason = "one sentence for each reason")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedSelector => f.write_str(
                "not a selector; write an account id (12 digits), an OU (ou-…), a root (r-…), org, an organization (o-…) or tag:Key=Value",
            ),
            Self::Public => f.write_str(
                "would make the image public, which ami-share never does; name accounts, OUs or `org` instead",
            ),
            Self::UnknownTag => f.write_str(
                "not a tag of ami-share; use ami-share:with, with:2 to with:9, until or copy, or remove the tag",
            ),
            Self::UnknownCopyValue { value } => {
                write!(f, "`{value}` is not a value of ami-share:copy; write `allowed` or remove the tag")
            }
            Self::RegionsUnsupported => f.write_str(
                "ami-share:regions is not supported yet; copy the image to the other Region and tag the copy",
            ),
            Self::ExternalAccount => f.write_str(
                "not in this organization and not allowed; add it to AllowedExternalAccounts (parameter of the stack), or remove it from the tag",
            ),
            Self::ExternalOrganization => f.write_str(
                "not this organization and not allowed; add its ARN to AllowedExternalOrganizations (parameter of the stack), or remove it from the tag",
            ),
            Self::UnknownOu => f.write_str("this organization has no such OU; name one that it has"),
            Self::UnknownRoot => f.write_str("this organization has no such root; name its own, or `org`"),
            Self::NoOrganization => {
                f.write_str("this account is in no organization; name accounts instead")
            }
            Self::ClosedAccount => {
                f.write_str("the account is closed or suspended; remove it from the tag")
            }
            Self::NoMatch => f.write_str(
                "no account and no OU of this organization has this tag; tag them in AWS Organizations, or remove the selector",
            ),
            Self::NeedsUntil => f.write_str(
                "outside this organization, so the share needs an end; add the tag ami-share:until",
            ),
            Self::UnreadableUntil { value } => write!(
                f,
                "`{value}` in ami-share:until is not a date (2026-12-31) and not an RFC 3339 time (2026-12-31T18:00:00Z), so nothing new is shared; correct it"
            ),
            Self::Expired { until } => {
                write!(f, "ami-share:until is {until}, which is in the past; set a later date to share again")
            }
            Self::TooManyTargets { targets, limit } => write!(
                f,
                "ami-share:with names {targets} targets, more than the {limit} launch permissions that one image can have; name OUs or `org` instead of their accounts"
            ),
            Self::TooManyPermissions { permissions, limit } => write!(
                f,
                "the image would have {permissions} launch permissions, more than the {limit} that it can have; name OUs or `org` instead of their accounts, or remove launch permissions that are not needed"
            ),
            Self::NotOwner { owner } => write!(
                f,
                "the image belongs to account {owner}, and only its owner can share it; copy the image and tag the copy"
            ),
            Self::AwsManagedKey => f.write_str(
                "the image is encrypted with the AWS managed key aws/ebs, which cannot be shared; copy the image with a customer managed key and tag the copy",
            ),
            Self::UntaggedKey { key } => write!(
                f,
                "{} does not have the tag ami-share:managed = true, so ami-share does not change its policy; add the tag to the key, then start a reconciliation",
                key.short()
            ),
            Self::ForeignKey { key } => write!(
                f,
                "{} belongs to another account, so ami-share cannot change its policy; copy the image with a key of this account",
                key.short()
            ),
            Self::DisabledKey { key } => write!(
                f,
                "{} is disabled or pending deletion; enable it, then start a reconciliation, or copy the image with another key",
                key.short()
            ),
            Self::MissingKey { key } => write!(
                f,
                "{} was deleted, so no account can use the image; deregister the image",
                key.short()
            ),
            Self::UnreadableKey { key, message } => write!(
                f,
                "AWS does not let ami-share read {}; restore the statement `Enable IAM User Permissions` in its policy, then start a reconciliation: {message}",
                key.short()
            ),
            Self::MalformedPolicy { key, problem } => write!(
                f,
                "the policy of {} cannot be parsed; correct it, then start a reconciliation: {problem}",
                key.short()
            ),
            Self::DeletedPrincipals { key, named } => write!(
                f,
                "the policy of {} names deleted roles or users, so KMS rejects every change of it: {}; remove them from the statements, then start a reconciliation",
                key.short(),
                some_of(named, NAMED)
            ),
            Self::DeniedByPolicy { key, statement, action } => write!(
                f,
                "{statement} in the policy of {} denies this target {action}, so it could not use the image; change the statement, then start a reconciliation, or remove the target from the tag",
                key.short()
            ),
            Self::ChangedStatement { key, statement } => write!(
                f,
                "{statement} in the policy of {} has a Sid of ami-share and was changed out of band, so ami-share does not change it; remove the principals from it or delete it, then start a reconciliation",
                key.short()
            ),
            Self::PolicyRejected { key, suspects, message } if suspects.is_empty() => write!(
                f,
                "KMS rejects every change of the policy of {}; correct its statements, then start a reconciliation: {message}",
                key.short()
            ),
            Self::PolicyRejected { key, suspects, message } => write!(
                f,
                "KMS rejects every change of the policy of {}, because a principal in it no longer exists; check whether the account is closed ({}), remove it from its statement, then start a reconciliation: {message}",
                key.short(),
                some_of(suspects, NAMED)
            ),
            Self::NoRoomToRewrite { key, limit } => write!(
                f,
                "the policy of {} has no room for the changed statements of ami-share ({limit} bytes); shorten its other statements, then start a reconciliation",
                key.short()
            ),
            Self::PolicyTooLarge { key, limit } => write!(
                f,
                "the policy of {} has no room for more principals ({limit} bytes); share with an OU or `org` instead of accounts, or use another key",
                key.short()
            ),
            Self::KmsRejected { key } => write!(
                f,
                "KMS rejects this principal in the policy of {}, because it does not exist or is closed; remove it from the tag",
                key.short()
            ),
            Self::SearchEnded { key, puts } => write!(
                f,
                "KMS rejects a principal in the policy of {}, and after {puts} puts the search for it ended before this target was tried; remove the targets that KMS rejects from the tag, then start a reconciliation",
                key.short()
            ),
            Self::Ec2Rejected { message } => {
                write!(f, "EC2 rejects this target; remove it from the tag, or do what EC2 says: {message}")
            }
            Self::Ec2Denied { message } => write!(
                f,
                "EC2 refuses to grant access; change the policy or quota that it names, then start a reconciliation: {message}"
            ),
            Self::MissingSnapshot { snapshot } => write!(
                f,
                "{snapshot} was deleted, so no account can launch or copy the image; tag an image whose snapshots exist"
            ),
            Self::ForeignSnapshot { snapshot, owner } => write!(
                f,
                "{snapshot} belongs to account {owner}, so targets cannot copy the image; copy it within the hub and tag the copy"
            ),
            Self::UnreadableSnapshots { message } => {
                write!(f, "EC2 does not describe the snapshots of the image, so no new target gets access: {message}")
            }
            Self::UnreadableOrganization { message } => write!(
                f,
                "the organization cannot be read, so no new target gets access; correct the role or policy, then start a reconciliation: {message}"
            ),
            Self::UnreadableSnapshot { snapshot, message } => write!(
                f,
                "EC2 does not show who may copy {snapshot}, so no new target is granted it: {message}"
            ),
            Self::StepFailed { message } => write!(
                f,
                "a step of the workflow failed, so nobody new gets access; when its cause is gone, start a reconciliation: {message}"
            ),
            Self::NoKeyOutcome { key } => write!(
                f,
                "the execution has no outcome for {}; start a reconciliation",
                key.short()
            ),
            Self::StillGranted { key, principals, because } => write!(
                f,
                "{} still allows {}, whose access was revoked: {because}",
                key.short(),
                some_of(principals, NAMED)
            ),
            Self::MayStillGrant { key, principals, because } => write!(
                f,
                "{} may still allow {}, whose access was revoked: {because}",
                key.short(),
                some_of(principals, NAMED)
            ),
            Self::Several { reasons } => {
                for (position, reason) in reasons.iter().enumerate() {
                    let separator = if position == 0 { "" } else { "; " };
                    write!(f, "{separator}{reason}")?;
                }
                Ok(())
            }
        }
    }
}
