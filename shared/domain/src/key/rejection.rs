//! Why KMS rejects a key policy: what its message says, and which foreign statement is at fault.

use serde_json::Value;

use crate::ids::{AccountId, Arn, KeyArn};
use crate::key::policy::{KeyPolicy, StatementName};
use crate::key::statements::strings;
use crate::refusal::{NamedPrincipal, RefusalReason};

/// Why KMS answers `MalformedPolicyDocumentException`, whose cause is only in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCause {
    /// A principal does not exist.
    Principal,
    /// The new policy would not let the caller put the next one.
    LockOut,
    /// The document: its syntax, or a statement; or a message that ami-share does not know.
    Document,
}

impl RejectionCause {
    /// Reads the message of KMS. Source of the messages:
    /// <https://repost.aws/knowledge-center/kms-invalid-principals-error>
    pub fn of(message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        if message.contains("invalid principal") {
            Self::Principal
        } else if message.contains("will not allow you to update the key policy") {
            Self::LockOut
        } else {
            Self::Document
        }
    }
}

/// The refusal of a policy that names deleted principals.
pub fn refuse_deleted_principals(key: &KeyArn, policy: &KeyPolicy) -> Option<RefusalReason> {
    let named = named_principals(policy, is_deleted);
    (!named.is_empty()).then(|| RefusalReason::DeletedPrincipals { key: key.clone(), named })
}

/// The refusal of a policy that KMS rejects whatever ami-share adds. `message` is what KMS said. If a principal is at
/// fault, the suspects are those of other accounts, which may be closed: KMS shows a deleted role by its id.
pub fn refuse_broken(key: &KeyArn, policy: &KeyPolicy, message: &str) -> RefusalReason {
    let suspects = match RejectionCause::of(message) {
        RejectionCause::Principal => named_principals(policy, |principal| is_of_another(principal, key)),
        RejectionCause::LockOut | RejectionCause::Document => Vec::new(),
    };
    refuse_deleted_principals(key, policy).unwrap_or_else(|| RefusalReason::PolicyRejected {
        key: key.clone(),
        suspects,
        message: message.to_owned(),
    })
}

/// The ids that KMS leaves in a policy for roles and users that were deleted, and rejects in a new one. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles>
fn is_deleted(principal: &str) -> bool {
    principal.starts_with("AROA") || principal.starts_with("AIDA")
}

fn is_of_another(principal: &str, key: &KeyArn) -> bool {
    let account = Arn::parse(principal).map_or(principal, |arn| arn.account).parse::<AccountId>();
    account.is_ok_and(|account| Some(account) != key.account())
}

fn named_principals(policy: &KeyPolicy, is_meant: impl Fn(&str) -> bool) -> Vec<NamedPrincipal> {
    let named = |(name, statement): (StatementName, Value)| {
        let principals = ["/Principal/AWS", "/NotPrincipal/AWS"].map(|place| {
            let principals = strings(statement.pointer(place)).filter(|principal| is_meant(principal));
            let named = |principal: &str| NamedPrincipal {
                statement: name.to_string(),
                principal: principal.to_owned(),
            };
            principals.map(named).collect::<Vec<_>>()
        });
        principals.concat()
    };
    policy.named_foreign().flat_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyArn {
        "arn:aws:kms:eu-west-1:111122223333:key/1".parse().unwrap()
    }

    fn policy() -> KeyPolicy {
        KeyPolicy::parse(
            r#"{"Statement":[
                {"Sid":"Vendor","Principal":{"AWS":["222222222222","111122223333"]}},
                {"NotPrincipal":{"AWS":"arn:aws:iam::333333333333:role/builder"}},
                {"Principal":{"AWS":"*","Service":"ec2.amazonaws.com"}}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn why_kms_rejects_a_policy_is_only_in_its_message() {
        let cause = RejectionCause::of;
        assert_eq!(
            cause("Policy contains a statement with one or more invalid principals."),
            RejectionCause::Principal
        );
        assert_eq!(
            cause("The new key policy will not allow you to update the key policy in the future."),
            RejectionCause::LockOut
        );
        for other in [
            "The policy is not in the valid JSON format.",
            "Policy contains a statement with no principal.",
            "",
        ] {
            assert_eq!(cause(other), RejectionCause::Document, "{other}");
        }
    }

    #[test]
    fn a_statement_with_a_deleted_principal_is_named_by_its_sid_or_position() {
        let broken = r#"{"Statement":[{"Principal":"*"},{"Principal":{"AWS":"AROAEXAMPLE"}},
            {"Sid":"Admins","NotPrincipal":{"AWS":["111122223333","AIDAEXAMPLE"]}}]}"#;
        let reason = refuse_deleted_principals(&key(), &KeyPolicy::parse(broken).unwrap()).unwrap();
        assert_eq!(
            reason.to_string(),
            "the policy of key/1 names deleted roles or users, so KMS rejects every change of it: statement 2 names AROAEXAMPLE, statement `Admins` names AIDAEXAMPLE; remove them from the statements, then start a reconciliation"
        );
        assert_eq!(refuse_deleted_principals(&key(), &policy()), None);
    }

    #[test]
    fn a_principal_that_kms_rejects_is_looked_for_in_other_accounts_and_a_lock_out_blames_none() {
        let reason = |message: &str| refuse_broken(&key(), &policy(), message).to_string();
        assert_eq!(
            reason("invalid principals"),
            "KMS rejects every change of the policy of key/1, because a principal in it no longer exists; check whether the account is closed (statement `Vendor` names 222222222222, statement 2 names arn:aws:iam::333333333333:role/builder), remove it from its statement, then start a reconciliation: invalid principals"
        );
        let lock_out = "The new key policy will not allow you to update the key policy in the future.";
        assert_eq!(
            reason(lock_out),
            format!(
                "KMS rejects every change of the policy of key/1; correct its statements, then start a reconciliation: {lock_out}"
            )
        );
    }
}
