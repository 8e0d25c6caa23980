//! The reasons of refusals: one variant for each, with what its sentence names.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, KeyArn, SnapshotId};
use crate::listing::some_of;
use crate::refusal::RefusalCode;

/// Principals that a sentence lists before it only counts the others.
const NAMED: usize = 5;

/// A principal that a statement of a key policy names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedPrincipal {
    /// The statement, by its Sid or its position.
    pub statement: String,
    /// The principal, as the statement names it.
    pub principal: String,
}

impl fmt::Display for NamedPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names {}", self.statement, self.principal)
    }
}

/// Why a subject was refused. What AWS said (`message`) may differ from call to call, and is no part of the
/// [identity](RefusalReason::identity).
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumCount,
    strum::IntoStaticStr,
)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RefusalReason {
    /// The text is not a selector.
    MalformedSelector,
    /// The selector asks for a public image.
    Public,
    /// There is no such tag.
    UnknownTag,
    /// `ami-share:copy` has an unknown value.
    UnknownCopyValue {
        /// The value.
        value: String,
    },
    /// `ami-share:regions` has no effect yet.
    RegionsUnsupported,
    /// The account is outside the organization.
    ExternalAccount,
    /// The organization is another one.
    ExternalOrganization,
    /// The organization has no such OU.
    UnknownOu,
    /// The organization has no such root.
    UnknownRoot,
    /// The hub is in no organization.
    NoOrganization,
    /// The account is closed or suspended.
    ClosedAccount,
    /// No account and no OU carries the tag.
    NoMatch,
    /// An external target without an end.
    NeedsUntil,
    /// `ami-share:until` is neither a date nor a time.
    UnreadableUntil {
        /// Its value.
        value: String,
    },
    /// `ami-share:until` was in the past when it was set.
    Expired {
        /// Its value.
        until: Timestamp,
    },
    /// The tags name more targets than an image can have.
    TooManyTargets {
        /// How many they name.
        targets: usize,
        /// How many launch permissions an image can have.
        limit: usize,
    },
    /// With its unmanaged launch permissions, the image would have too many.
    TooManyPermissions {
        /// How many it would have.
        permissions: usize,
        /// How many it can have.
        limit: usize,
    },
    /// The image belongs to another account.
    NotOwner {
        /// That account.
        owner: AccountId,
    },
    /// The image is encrypted with `aws/ebs`.
    AwsManagedKey,
    /// The key does not carry `ami-share:managed = true`.
    UntaggedKey {
        /// The key.
        key: KeyArn,
    },
    /// The key belongs to another account.
    ForeignKey {
        /// The key.
        key: KeyArn,
    },
    /// The key is disabled or pending deletion.
    DisabledKey {
        /// The key.
        key: KeyArn,
    },
    /// The key was deleted.
    MissingKey {
        /// The key.
        key: KeyArn,
    },
    /// AWS denies ami-share to read the key.
    UnreadableKey {
        /// The key.
        key: KeyArn,
        /// What AWS said.
        message: String,
    },
    /// The key policy cannot be parsed.
    MalformedPolicy {
        /// The key.
        key: KeyArn,
        /// What is wrong with it.
        problem: String,
    },
    /// The key policy names roles or users that were deleted.
    DeletedPrincipals {
        /// The key.
        key: KeyArn,
        /// The ids that KMS has put in their place, and the statements that name them.
        #[serde(default)]
        named: Vec<NamedPrincipal>,
    },
    /// A statement of the key policy denies the target what it needs to use the image.
    DeniedByPolicy {
        /// The key.
        key: KeyArn,
        /// The statement.
        statement: String,
        /// The action that it denies.
        action: String,
    },
    /// A statement with a Sid of ami-share, in another form, may still allow principals whose access was revoked.
    ChangedStatement {
        /// The key.
        key: KeyArn,
        /// The statement.
        statement: String,
    },
    /// KMS rejects the policy whatever principals ami-share adds. Rows of the time when ami-share had a lock-out check of its
    /// own have the other name.
    #[serde(alias = "locked-out")]
    PolicyRejected {
        /// The key.
        key: KeyArn,
        /// The principals of foreign statements that may not exist any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        suspects: Vec<NamedPrincipal>,
        /// What KMS said.
        #[serde(default)]
        message: String,
    },
    /// The other statements of the key policy leave no room to write those of ami-share again.
    NoRoomToRewrite {
        /// The key.
        key: KeyArn,
        /// The size limit, in bytes.
        limit: usize,
    },
    /// The key policy has no room for a new principal.
    PolicyTooLarge {
        /// The key.
        key: KeyArn,
        /// The size limit, in bytes.
        limit: usize,
    },
    /// KMS rejects the principal.
    KmsRejected {
        /// The key.
        key: KeyArn,
    },
    /// KMS rejects a principal, and the search for it ended before this one was tried.
    SearchEnded {
        /// The key.
        key: KeyArn,
        /// How often the policy was put.
        puts: usize,
    },
    /// EC2 rejects the target.
    Ec2Rejected {
        /// What EC2 said.
        message: String,
    },
    /// EC2 refuses to grant access, whoever the target is.
    Ec2Denied {
        /// What EC2 said.
        message: String,
    },
    /// The snapshot was deleted.
    MissingSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The snapshot belongs to another account.
    ForeignSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// That account.
        owner: AccountId,
    },
    /// EC2 does not describe the snapshots of the image.
    UnreadableSnapshots {
        /// What EC2 said.
        message: String,
    },
    /// The organization cannot be read.
    UnreadableOrganization {
        /// What AWS Organizations said.
        message: String,
    },
    /// EC2 does not show who has access to the snapshot.
    UnreadableSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// What EC2 said.
        message: String,
    },
    /// A step of the workflow failed, so nobody new is granted access.
    StepFailed {
        /// Why.
        message: String,
    },
    /// The step before has answered nothing about the key.
    NoKeyOutcome {
        /// The key.
        key: KeyArn,
    },
    /// The key policy still allows principals whose access was revoked.
    StillGranted {
        /// The key.
        key: KeyArn,
        /// The principals.
        principals: Vec<String>,
        /// Why the policy could not be changed.
        because: Box<RefusalReason>,
    },
    /// The key policy cannot be read, and may allow principals whose access was revoked.
    MayStillGrant {
        /// The key.
        key: KeyArn,
        /// The principals.
        principals: Vec<String>,
        /// Why the policy could not be read.
        because: Box<RefusalReason>,
    },
    /// Several reasons at once: one for each key of the image.
    Several {
        /// The reasons.
        reasons: Vec<RefusalReason>,
    },
}

impl RefusalReason {
    /// Several reasons as one.
    pub fn all(mut reasons: Vec<Self>) -> Self {
        reasons.sort();
        reasons.dedup();
        match <[Self; 1]>::try_from(reasons) {
            Ok([only]) => only,
            Err(reasons) => Self::Several { reasons },
        }
    }

    /// The kind of refusal, for machines.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::MalformedSelector => RefusalCode::MalformedSelector,
            Self::Public => RefusalCode::Public,
            Self::UnknownTag | Self::UnknownCopyValue { .. } | Self::RegionsUnsupported => {
                RefusalCode::UnknownTag
            }
            Self::ExternalAccount | Self::ExternalOrganization => RefusalCode::ExternalNotAllowed,
            Self::UnknownOu | Self::UnknownRoot | Self::NoOrganization => RefusalCode::NotFound,
            Self::ClosedAccount => RefusalCode::ClosedAccount,
            Self::NoMatch => RefusalCode::NoMatch,
            Self::NeedsUntil => RefusalCode::NeedsUntil,
            Self::UnreadableUntil { .. } => RefusalCode::UnreadableUntil,
            Self::Expired { .. } => RefusalCode::Expired,
            Self::TooManyTargets { .. } | Self::TooManyPermissions { .. } => RefusalCode::TooManyTargets,
            Self::NotOwner { .. } => RefusalCode::NotOwner,
            Self::AwsManagedKey => RefusalCode::AwsManagedKey,
            Self::UntaggedKey { .. } => RefusalCode::UntaggedKey,
            Self::ForeignKey { .. } => RefusalCode::ForeignKey,
            Self::DisabledKey { .. } | Self::MissingKey { .. } => RefusalCode::UnusableKey,
            Self::KmsRejected { .. } | Self::SearchEnded { .. } | Self::Ec2Rejected { .. } => {
                RefusalCode::RejectedByAws
            }
            Self::Ec2Denied { .. } => RefusalCode::DeniedByAws,
            Self::MissingSnapshot { .. }
            | Self::ForeignSnapshot { .. }
            | Self::UnreadableSnapshot { .. }
            | Self::UnreadableSnapshots { .. } => RefusalCode::UnusableSnapshot,
            Self::UnreadableOrganization { .. } => RefusalCode::UnreadableOrganization,
            Self::NoRoomToRewrite { .. } | Self::PolicyTooLarge { .. } => RefusalCode::PolicyTooLarge,
            Self::UnreadableKey { .. }
            | Self::MalformedPolicy { .. }
            | Self::DeletedPrincipals { .. }
            | Self::DeniedByPolicy { .. }
            | Self::ChangedStatement { .. }
            | Self::PolicyRejected { .. }
            | Self::NoKeyOutcome { .. } => RefusalCode::PolicyUnsafe,
            Self::StepFailed { .. } => RefusalCode::StepFailed,
            Self::StillGranted { because, .. } | Self::MayStillGrant { because, .. } => because.code(),
            Self::Several { reasons } => reasons.first().map_or(RefusalCode::PolicyUnsafe, Self::code),
        }
    }

    /// The part that makes one reason differ from another: all but what AWS said.
    pub fn identity(mut self) -> Self {
        match &mut self {
            Self::UnreadableKey { message, .. }
            | Self::PolicyRejected { message, .. }
            | Self::Ec2Rejected { message }
            | Self::Ec2Denied { message }
            | Self::StepFailed { message }
            | Self::UnreadableSnapshots { message }
            | Self::UnreadableOrganization { message }
            | Self::UnreadableSnapshot { message, .. } => message.clear(),
            Self::StillGranted { because, .. } | Self::MayStillGrant { because, .. } => {
                **because = because.clone().identity();
            }
            Self::Several { reasons } => {
                *reasons = std::mem::take(reasons).into_iter().map(Self::identity).collect();
            }
            _ => {}
        }
        self
    }

    /// Whether the sentence names `subject` already: the tag or the key that is refused.
    pub(crate) fn names(&self, subject: &str) -> bool {
        match self {
            Self::UnknownCopyValue { .. }
            | Self::RegionsUnsupported
            | Self::UnreadableUntil { .. }
            | Self::Expired { .. }
            | Self::TooManyTargets { .. } => true,
            Self::MissingSnapshot { snapshot }
            | Self::ForeignSnapshot { snapshot, .. }
            | Self::UnreadableSnapshot { snapshot, .. } => snapshot.as_str() == subject,
            other => other.key().is_some_and(|key| key.as_str() == subject),
        }
    }

    fn key(&self) -> Option<&KeyArn> {
        match self {
            Self::UntaggedKey { key }
            | Self::ForeignKey { key }
            | Self::DisabledKey { key }
            | Self::MissingKey { key }
            | Self::UnreadableKey { key, .. }
            | Self::MalformedPolicy { key, .. }
            | Self::DeletedPrincipals { key, .. }
            | Self::DeniedByPolicy { key, .. }
            | Self::ChangedStatement { key, .. }
            | Self::SearchEnded { key, .. }
            | Self::PolicyRejected { key, .. }
            | Self::NoRoomToRewrite { key, .. }
            | Self::PolicyTooLarge { key, .. }
            | Self::KmsRejected { key }
            | Self::NoKeyOutcome { key }
            | Self::StillGranted { key, .. }
            | Self::MayStillGrant { key, .. } => Some(key),
            _ => None,
        }
    }

    /// One example of each reason, for the documents and tests.
    pub fn examples() -> Vec<Self> {
        let Ok(key) =
            "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse::<KeyArn>()
        else {
            return Vec::new();
        };
        let Ok(owner) = "222222222222".parse::<AccountId>() else { return Vec::new() };
        let Ok(snapshot) = "snap-0123456789abcdef0".parse::<SnapshotId>() else { return Vec::new() };
        let key = || key.clone();
        let principals = || vec!["222222222222".to_owned()];
        let named = |principal: &str| {
            vec![NamedPrincipal {
                statement: "statement `Admins`".to_owned(),
                principal: principal.to_owned(),
            }]
        };
        let said = || "what AWS said".to_owned();
        let because = || Box::new(Self::UntaggedKey { key: key() });
        vec![
            Self::MalformedSelector,
            Self::Public,
            Self::UnknownTag,
            Self::UnknownCopyValue { value: "yes".to_owned() },
            Self::RegionsUnsupported,
            Self::ExternalAccount,
            Self::ExternalOrganization,
            Self::UnknownOu,
            Self::UnknownRoot,
            Self::NoOrganization,
            Self::ClosedAccount,
            Self::NoMatch,
            Self::NeedsUntil,
            Self::UnreadableUntil { value: "tomorrow".to_owned() },
            Self::Expired { until: Timestamp::constant(1_767_225_599, 0) },
            Self::TooManyTargets { targets: 1001, limit: 1000 },
            Self::TooManyPermissions { permissions: 1001, limit: 1000 },
            Self::NotOwner { owner: owner.clone() },
            Self::AwsManagedKey,
            Self::UntaggedKey { key: key() },
            Self::ForeignKey { key: key() },
            Self::DisabledKey { key: key() },
            Self::MissingKey { key: key() },
            Self::UnreadableKey { key: key(), message: said() },
            Self::MalformedPolicy { key: key(), problem: "what is wrong".to_owned() },
            Self::DeletedPrincipals { key: key(), named: named("AROAEXAMPLE") },
            Self::DeniedByPolicy {
                key: key(),
                statement: "statement `OnlyOurNetwork`".to_owned(),
                action: "kms:Decrypt".to_owned(),
            },
            Self::ChangedStatement { key: key(), statement: "statement `AmiShareUseByAccounts`".to_owned() },
            Self::PolicyRejected { key: key(), suspects: named("222222222222"), message: said() },
            Self::NoRoomToRewrite { key: key(), limit: 32_768 },
            Self::PolicyTooLarge { key: key(), limit: 32_768 },
            Self::KmsRejected { key: key() },
            Self::SearchEnded { key: key(), puts: 100 },
            Self::Ec2Rejected { message: said() },
            Self::Ec2Denied { message: said() },
            Self::MissingSnapshot { snapshot: snapshot.clone() },
            Self::ForeignSnapshot { snapshot: snapshot.clone(), owner: owner.clone() },
            Self::UnreadableSnapshots { message: said() },
            Self::UnreadableOrganization { message: said() },
            Self::UnreadableSnapshot { snapshot, message: said() },
            Self::StepFailed { message: said() },
            Self::NoKeyOutcome { key: key() },
            Self::StillGranted { key: key(), principals: principals(), because: because() },
            Self::MayStillGrant {
                key: key(),
                principals: principals(),
                because: Box::new(Self::UnreadableKey { key: key(), message: said() }),
            },
            Self::Several {
                reasons: vec![Self::UntaggedKey { key: key() }, Self::DisabledKey { key: key() }],
            },
        ]
    }
}

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
