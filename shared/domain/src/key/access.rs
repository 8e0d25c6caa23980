//! What a key policy decides on a target account, whatever ami-share writes: the calls of a launch or a copy, evaluated.

use serde_json::Value;

use crate::ids::{AccountId, Arn, KeyArn};
use crate::key::evaluate::{Context, Decision, Effect, Request, Requester, evaluate_statements};
use crate::key::policy::{KeyPolicy, StatementName};

/// The calls that EC2 makes for a target account that launches or copies an encrypted image. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-organizations-OUs.html#allow-org-ou-to-use-key>
const CALLS: [&str; 6] = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:CreateGrant",
];

/// The statements of a key policy, read once for many accounts.
#[derive(Debug)]
pub struct KeyAccess<'a> {
    key: &'a KeyArn,
    statements: Vec<(StatementName, Value)>,
}

/// What a policy decides on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// All calls are allowed, by these statements.
    Allowed {
        /// Each statement once, in the order of the calls.
        by: Vec<StatementName>,
    },
    /// A statement denies a call.
    Denied {
        /// The statement.
        by: StatementName,
        /// The action.
        action: &'static str,
    },
    /// A call is not allowed, or only by a statement that cannot be evaluated.
    NotAllowed,
    /// All calls are allowed, if a statement that cannot be evaluated does not deny one.
    PerhapsDenied {
        /// The statement.
        by: StatementName,
    },
}

impl<'a> KeyAccess<'a> {
    /// Reads the statements of `key`'s policy.
    pub fn of(key: &'a KeyArn, policy: &KeyPolicy) -> Self {
        Self { key, statements: policy.statements().collect() }
    }

    /// What the policy decides on any principal of `account`, whose organization is not known.
    pub fn decide(&self, account: &AccountId) -> Access {
        let mut by = Vec::new();
        let (mut is_allowed, mut perhaps_denying) = (true, None);
        for action in CALLS {
            match evaluate_statements(&self.statements, &self.request(account, action)) {
                Decision::Denied { by } => return Access::Denied { by, action },
                Decision::Allowed { by: name } if !by.contains(&name) => by.push(name),
                Decision::Allowed { .. } => {}
                Decision::Unknown { by: name, effect: Effect::Deny } => {
                    perhaps_denying.get_or_insert(name);
                }
                Decision::NotAllowed | Decision::Unknown { effect: Effect::Allow, .. } => is_allowed = false,
            }
        }
        match (is_allowed, perhaps_denying) {
            (false, _) => Access::NotAllowed,
            (true, Some(by)) => Access::PerhapsDenied { by },
            (true, None) => Access::Allowed { by },
        }
    }

    /// A call that EC2 makes for a principal of the account. Of the condition keys, only what holds of every such call is
    /// known. Source: <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service>
    fn request(&self, account: &AccountId, action: &str) -> Request {
        let region = Arn::parse(self.key.as_str()).map_or("", |arn| arn.region);
        let context = Context::unknown()
            .with_one("aws:PrincipalAccount", account)
            .with_one("kms:CallerAccount", account)
            .with_one("kms:ViaService", format!("ec2.{region}.amazonaws.com"))
            .with_one("aws:SecureTransport", true);
        let context = match action {
            "kms:CreateGrant" => context.with_one("kms:GrantIsForAWSResource", true),
            _ => context,
        };
        Request {
            key: self.key.clone(),
            requester: Requester::any_of(account),
            action: action.to_owned(),
            context,
        }
    }
}
