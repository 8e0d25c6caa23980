//! Why KMS rejects every change of a key policy: what a foreign statement holds.

use serde_json::Value;

use crate::ids::KeyArn;
use crate::key::policy::KeyPolicy;
use crate::key::statements::strings;
use crate::refusal::RefusalReason;

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
