//! Whether a statement of a key policy allows the caller an action.

use serde_json::Value;
use wildmatch::WildMatch;

use crate::ids::AccountId;
use crate::key::statements::strings;

/// The principal that calls KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its account.
    pub account: AccountId,
    /// The name of the role, when the caller is one.
    pub role: Option<String>,
}

impl Caller {
    /// Reads the ARN that `sts:GetCallerIdentity` returns.
    pub fn from_arn(account: AccountId, arn: &str) -> Self {
        let role =
            arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next()).map(str::to_owned);
        Self { account, role }
    }

    fn is_named_by(&self, principal: &str) -> bool {
        let Self { account, role } = self;
        principal == "*"
            || principal == account.as_str()
            || principal.ends_with(&format!(":iam::{account}:root"))
            || role.as_ref().is_some_and(|role| {
                principal.contains(&format!(":iam::{account}:role/"))
                    && principal.rsplit('/').next() == Some(role)
            })
    }
}

/// Whether a statement alone proves that `caller` may do `action` (in lower case). Statements that are harder to
/// read (`NotPrincipal`, `NotAction`, conditions) prove nothing.
pub(crate) fn allows(statement: &Value, action: &str, caller: &Caller) -> bool {
    let is_named = match statement.get("Principal") {
        Some(Value::String(principal)) => principal == "*",
        Some(principal) => strings(principal.get("AWS")).any(|principal| caller.is_named_by(principal)),
        None => false,
    };
    is_named
        && statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && statement.get("Condition").is_none()
        && strings(statement.get("Action"))
            .any(|pattern| WildMatch::new(&pattern.to_ascii_lowercase()).matches(action))
}
