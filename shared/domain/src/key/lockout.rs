//! What must be true of a key policy before ami-share puts a new one: the account keeps the right to change it, and KMS
//! accepts its statements.

use serde_json::Value;

use crate::ids::KeyArn;
use crate::key::evaluate::{Caller, allows};
use crate::key::policy::KeyPolicy;
use crate::key::statements::strings;
use crate::refusal::RefusalReason;

/// The refusal of a policy of which no foreign statement lets `caller` put it again.
pub fn refuse_lock_out(key: &KeyArn, policy: &KeyPolicy, caller: &Caller) -> Option<RefusalReason> {
    let keeps_access = policy
        .foreign()
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .any(|statement| allows(&statement, "kms:putkeypolicy", caller));
    (!keeps_access).then(|| RefusalReason::LockedOut { key: key.clone() })
}

/// The refusal of a policy that names deleted principals.
pub fn refuse_deleted_principals(key: &KeyArn, policy: &KeyPolicy) -> Option<RefusalReason> {
    let principals = deleted_principals(policy);
    (!principals.is_empty()).then(|| RefusalReason::DeletedPrincipals { key: key.clone(), principals })
}

/// The refusal of a policy that KMS rejects even without new principals, because of a foreign statement. `message` is
/// what KMS said.
pub fn refuse_broken(key: &KeyArn, policy: &KeyPolicy, message: &str) -> RefusalReason {
    refuse_deleted_principals(key, policy)
        .unwrap_or_else(|| RefusalReason::PolicyRejected { key: key.clone(), message: message.to_owned() })
}

/// The ids that KMS leaves in a policy for roles and users that were deleted, and rejects in a new one. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles>
fn deleted_principals(policy: &KeyPolicy) -> Vec<String> {
    let statements = policy.foreign().iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    statements
        .flat_map(|statement| {
            let named = ["/Principal/AWS", "/NotPrincipal/AWS"]
                .map(|place| strings(statement.pointer(place)).map(str::to_owned).collect::<Vec<_>>());
            named.concat()
        })
        .filter(|principal| principal.starts_with("AROA") || principal.starts_with("AIDA"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks_out(principal: &str, action: &str) -> bool {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":"*"}}}}"#
        );
        let policy = KeyPolicy::parse(&policy).unwrap();
        let caller = Caller::from_arn(
            "111122223333".parse().unwrap(),
            "arn:aws:sts::111122223333:assumed-role/extend/run",
        );
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1".parse().unwrap();
        refuse_lock_out(&key, &policy, &caller).is_some()
    }

    #[test]
    fn a_policy_is_put_only_where_the_caller_keeps_the_right_to_put_it() {
        let root = r#"{"AWS":"arn:aws:iam::111122223333:root"}"#;
        assert!(!locks_out(root, r#""kms:*""#));
        assert!(!locks_out(root, r#"["kms:Get*","kms:Put*"]"#));
        assert!(!locks_out(root, r#""KMS:?utKeyPolicy""#));
        assert!(!locks_out(root, r#""*""#));
        assert!(!locks_out(
            r#"{"AWS":["arn:aws:iam::111122223333:role/path/extend"]}"#,
            r#""kms:PutKeyPolicy""#
        ));
        assert!(locks_out(root, r#""kms:Get*""#));
        assert!(locks_out(r#"{"AWS":"arn:aws:iam::222222222222:root"}"#, r#""kms:*""#));
        assert!(locks_out(r#"{"Service":"ec2.amazonaws.com"}"#, r#""kms:*""#));
    }
}
