//! AWS KMS: keys and their policies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::memory::HUB;
use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{text_or_empty, unknown_operation};

/// The largest key policy, in bytes. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html>
const SIZE_LIMIT: usize = 32_768;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its policy, as it was put.
    pub policy: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `Enabled`, `Disabled`, `PendingDeletion`.
    pub state: String,
}

/// The keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kms {
    /// The keys, by ARN.
    pub keys: BTreeMap<String, Key>,
    /// The accounts that exist; a policy that names another one is rejected.
    pub accounts: BTreeSet<String>,
}

impl Kms {
    /// Answers one call.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        let arn = text_or_empty(input, "KeyId").to_owned();
        let key = self
            .keys
            .get_mut(&arn)
            .ok_or_else(|| Refused::new("NotFoundException", format!("Key '{arn}' does not exist")))?;
        match operation {
            "DescribeKey" => Ok(json!({
                "KeyMetadata": {
                    "AWSAccountId": HUB,
                    "KeyId": arn.rsplit('/').next(),
                    "Arn": arn,
                    "Enabled": key.state == "Enabled",
                    "KeyState": key.state,
                    "KeyManager": "CUSTOMER",
                },
            })),
            "ListResourceTags" => {
                let tag = |(key, value)| json!({ "TagKey": key, "TagValue": value });
                let tags: Vec<Value> = key.tags.iter().map(tag).collect();
                Ok(json!({ "Tags": tags, "Truncated": false }))
            }
            "GetKeyPolicy" => Ok(json!({ "Policy": key.policy, "PolicyName": "default" })),
            "PutKeyPolicy" => {
                let policy = text_or_empty(input, "Policy");
                check(policy, &self.accounts)?;
                policy.clone_into(&mut key.policy);
                Ok(json!({}))
            }
            other => Err(unknown_operation("KMS", other)),
        }
    }
}

/// What KMS checks of a policy. Source:
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html>
fn check(policy: &str, accounts: &BTreeSet<String>) -> Result<(), Refused> {
    if policy.len() > SIZE_LIMIT {
        return Err(Refused::new("LimitExceededException", "The key policy is too large"));
    }
    let document: Value = serde_json::from_str(policy)
        .map_err(|error| malformed(&format!("The new key policy is malformed: {error}")))?;
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => return Err(malformed("The new key policy has no statement")),
    };
    for statement in &statements {
        if named(statement).any(|principal| is_invalid(&principal, accounts)) {
            return Err(malformed("Policy contains a statement with one or more invalid principals."));
        }
    }
    Ok(())
}

/// The principals of a statement that are accounts, users and roles.
fn named(statement: &Value) -> impl Iterator<Item = String> {
    let named = ["/Principal/AWS", "/NotPrincipal/AWS"].map(|place| strings(statement.pointer(place)));
    named.into_iter().flatten()
}

/// The texts of an element of a policy, which may stand alone or in a list.
pub fn strings(element: Option<&Value>) -> Vec<String> {
    match element {
        Some(Value::String(alone)) => vec![alone.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn is_invalid(principal: &str, accounts: &BTreeSet<String>) -> bool {
    let account = principal.split(':').nth(4).unwrap_or(principal);
    principal != "*" && !accounts.contains(account)
}

fn malformed(message: &str) -> Refused {
    Refused::new("MalformedPolicyDocumentException", message)
}
