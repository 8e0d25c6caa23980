//! One example of each reason.

use jiff::Timestamp;

use crate::ids::{AccountId, KeyArn, SnapshotId};
use crate::refusal::{NamedPrincipal, RefusalReason};

impl RefusalReason {
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
