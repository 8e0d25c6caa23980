//! STS: `GetCallerIdentity`.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use serde_json::{Value, json};

use crate::memory::answer::Answer;
use crate::memory::input::{OF_QUERY_PROTOCOL, not_implemented, require_known, unknown_operation};

/// The account of a role that is named without one.
const HUB: &str = "111122223333";

/// Says who the caller is.
#[derive(Debug, Clone, Default)]
pub struct Identity;

impl Identity {
    /// Answers one request of a session of `role`: an ARN, or the name of a role of the hub.
    ///
    /// # Errors
    /// `NotImplemented` for another operation, or a caller that is no role.
    pub fn call(&self, operation: &str, input: &Value, role: &str) -> Answer {
        if operation != "GetCallerIdentity" {
            return Err(unknown_operation("STS", operation));
        }
        require_known(operation, input, &OF_QUERY_PROTOCOL)?;
        let parts: Vec<&str> = role.splitn(6, ':').collect();
        let name = role.rsplit('/').next().unwrap_or_default();
        let (partition, account) = match parts.as_slice() {
            ["arn", partition, "iam", _, account, resource] if resource.starts_with("role/") => {
                (*partition, *account)
            }
            [_] => ("aws", HUB),
            _ => return Err(not_implemented(format!("callers here are roles, and {role} is not"))),
        };
        Ok(json!({
            "Account": account,
            "Arn": format!("arn:{partition}:sts::{account}:assumed-role/{name}/session"),
            "UserId": "AROAEXAMPLE:session",
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_calls_in_a_session_without_its_path() {
        let role = "arn:aws:iam::111122223333:role/path/ami-share-extend";
        let answer = Identity.call("GetCallerIdentity", &json!({}), role).unwrap();
        assert_eq!(answer["Account"], "111122223333");
        assert_eq!(answer["Arn"], "arn:aws:sts::111122223333:assumed-role/ami-share-extend/session");
    }

    #[test]
    fn a_role_without_an_account_is_one_of_the_hub() {
        let input = json!({ "Action": "GetCallerIdentity", "Version": "2011-06-15" });
        let answer = Identity.call("GetCallerIdentity", &input, "share-image").unwrap();
        assert_eq!(answer["Arn"], "arn:aws:sts::111122223333:assumed-role/share-image/session");
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        let role = "arn:aws:iam::111122223333:role/ami-share-extend";
        assert_eq!(Identity.call("AssumeRole", &json!({}), role).unwrap_err().status, 501);
        assert_eq!(
            Identity
                .call("GetCallerIdentity", &json!({}), "arn:aws:iam::111122223333:root")
                .unwrap_err()
                .status,
            501
        );
    }
}
