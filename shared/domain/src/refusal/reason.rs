//! The reasons of refusals: one variant for each, with what its sentence names. The sentences are in `sentence`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, KeyArn, SnapshotId};
use crate::refusal::RefusalCode;

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
}
