//! Calls of KMS by principals of a few accounts, in and out of organizations, and the grants that concern them.

use std::collections::BTreeSet;

use ami_share_domain::ids::{AccountId, OrganizationId};
use ami_share_domain::key::evaluate::{Context, ContextValue, Request, Requester};
use ami_share_domain::targets::target::KeyPrincipal;
use proptest::prelude::*;

use crate::ids::{OTHER_ORGANIZATION, OWN_ORGANIZATION, OWN_ROOT, account, id, key, ou, top_path};

/// What ami-share grants, and a few actions that it does not.
const ACTIONS: [&str; 11] = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:CreateGrant",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GetKeyPolicy",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
];

/// A call of KMS.
#[derive(Debug, Clone)]
pub struct Call {
    /// The account of the principal.
    pub account: AccountId,
    /// The ARN of the principal; `None` when only its account is known.
    pub arn: Option<String>,
    /// The organization of the account.
    pub organization: Option<OrganizationId>,
    /// The path of the account in it.
    pub path: Option<String>,
    /// The action.
    pub action: &'static str,
    /// The condition key `kms:GrantIsForAWSResource`.
    pub is_for_aws_resource: Option<bool>,
    /// Whether EC2 makes the call for the principal.
    pub is_through_ec2: bool,
    /// Whether no condition key but the account is known.
    pub is_vague: bool,
}

impl Call {
    /// Whether the action is one of those that use the key, without `kms:CreateGrant`.
    pub fn uses_key(&self) -> bool {
        ACTIONS[..5].contains(&self.action)
    }

    /// The same call, of which no more is known than its account.
    pub fn vaguely(&self) -> Self {
        Self { arn: None, is_vague: true, ..self.clone() }
    }

    /// The call as the evaluator takes it.
    pub fn request(&self) -> Request {
        Request {
            key: key(1),
            requester: Requester::Account {
                account: self.account.clone(),
                arn: self.arn.clone(),
                session: None,
            },
            action: self.action.to_owned(),
            context: self.context(),
        }
    }

    fn context(&self) -> Context {
        let context = if self.is_vague { Context::unknown() } else { Context::empty() }
            .with_one("aws:PrincipalAccount", &self.account)
            .with_one("kms:CallerAccount", &self.account);
        if self.is_vague {
            return context;
        }
        let one = |value: Option<String>| {
            value.map_or(ContextValue::Absent, |value| ContextValue::Known(vec![value]))
        };
        let arn = self.arn.clone().map_or(ContextValue::Unknown, |arn| ContextValue::Known(vec![arn]));
        context
            .with("aws:PrincipalArn", arn)
            .with("aws:PrincipalOrgID", one(self.organization.as_ref().map(ToString::to_string)))
            .with("aws:PrincipalOrgPaths", one(self.path.clone()))
            .with("kms:GrantIsForAWSResource", one(self.is_for_aws_resource.map(|is| is.to_string())))
            .with(
                "kms:ViaService",
                one(self.is_through_ec2.then(|| "ec2.eu-west-1.amazonaws.com".to_owned())),
            )
    }
}

/// Any call by a principal of accounts 1 to 4.
pub fn calls() -> impl Strategy<Value = Call> {
    let arn = prop_oneof![Just(None), Just(Some("role/builder")), Just(Some("user/sam")), Just(Some("root"))];
    let place = prop_oneof![
        Just(None),
        Just(Some((OWN_ORGANIZATION, format!("{OWN_ORGANIZATION}/{OWN_ROOT}/")))),
        (1..3_usize).prop_map(|number| {
            Some((OWN_ORGANIZATION, format!("{OWN_ORGANIZATION}/{OWN_ROOT}/{}/{}/", ou(number), ou(9))))
        }),
        Just(Some((OTHER_ORGANIZATION, format!("{OTHER_ORGANIZATION}/r-zz99/")))),
    ];
    (
        1..5_usize,
        arn,
        place,
        prop::sample::select(ACTIONS.to_vec()),
        prop::option::of(any::<bool>()),
        any::<bool>(),
    )
        .prop_map(|(number, arn, place, action, is_for_aws_resource, is_through_ec2)| {
            let account = account(number);
            Call {
                arn: arn.map(|arn| format!("arn:aws:iam::{account}:{arn}")),
                organization: place.as_ref().map(|(organization, _)| id(organization)),
                path: place.map(|(_, path)| path),
                is_for_aws_resource: is_for_aws_resource.filter(|_| action == "kms:CreateGrant"),
                account,
                action,
                is_through_ec2,
                is_vague: false,
            }
        })
}

/// Principals of grants, most of which concern some of the [`calls`].
pub fn principals() -> impl Strategy<Value = BTreeSet<KeyPrincipal>> {
    let accounts = (1..6_usize).prop_map(|number| KeyPrincipal::Account(account(number)));
    let organizations = prop::sample::select(vec![OWN_ORGANIZATION, OTHER_ORGANIZATION]);
    let paths = (1..3_usize).prop_map(|number| KeyPrincipal::Path(top_path(&ou(number))));
    let principal = prop_oneof![
        3 => accounts,
        1 => organizations.prop_map(|organization| KeyPrincipal::Organization(id(organization))),
        1 => paths,
    ];
    prop::collection::btree_set(principal, 0..4)
}
