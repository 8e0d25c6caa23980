//! Helps the tests to read key policies: the statements of ami-share, the foreign ones, and what each grants.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The statements with a Sid of ami-share.
pub fn managed(policy: &str) -> Result<Vec<Value>> {
    Ok(statements(policy)?.into_iter().filter(is_managed).collect())
}

/// The statements that ami-share did not write.
pub fn foreign(policy: &str) -> Result<Vec<Value>> {
    Ok(statements(policy)?.into_iter().filter(|statement| !is_managed(statement)).collect())
}

/// The text of a policy without the whitespace between its tokens, the only part that ami-share may change.
pub fn without_whitespace(policy: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_of_string = in_string;
        if !is_escaped && *c == '"' {
            in_string = !in_string;
        }
        is_escaped = is_of_string && !is_escaped && *c == '\\';
        is_of_string || !c.is_whitespace()
    };
    policy.chars().filter(is_kept).collect()
}

/// Whether the statements of ami-share grant access to this account.
pub fn grants(policy: &str, account: &str) -> Result<bool> {
    let root = format!("arn:aws:iam::{account}:root");
    Ok(managed(policy)?.iter().all(|statement| statement.to_string().contains(&root))
        && !managed(policy)?.is_empty())
}

/// The two statements for accounts, complete.
pub fn for_accounts(accounts: &[&str]) -> [Value; 2] {
    let mut roots: Vec<String> = accounts.iter().map(|id| format!("arn:aws:iam::{id}:root")).collect();
    roots.sort();
    statements_for("Accounts", &json!({ "AWS": roots }), &json!({}))
}

/// The two statements for one organization.
pub fn for_organization(id: &str) -> [Value; 2] {
    statements_for(
        "Organizations",
        &json!({ "AWS": "*" }),
        &json!({ "StringEquals": { "aws:PrincipalOrgID": [id] } }),
    )
}

/// The two statements for OUs, by their paths.
pub fn for_paths(paths: &[&str]) -> [Value; 2] {
    statements_for(
        "Units",
        &json!({ "AWS": "*" }),
        &json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": paths } }),
    )
}

fn statements_for(principals: &str, principal: &Value, condition: &Value) -> [Value; 2] {
    let use_actions =
        ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
    let mut to_use = json!({ "Sid": format!("AmiShareUseBy{principals}"), "Effect": "Allow", "Principal": principal,
        "Action": use_actions, "Resource": "*" });
    let mut to_grant = json!({ "Sid": format!("AmiShareGrantBy{principals}"), "Effect": "Allow",
        "Principal": principal, "Action": ["kms:CreateGrant"], "Resource": "*" });
    let mut for_grants = condition.clone();
    if let Some(fields) = for_grants.as_object_mut() {
        fields.insert("Bool".to_owned(), json!({ "kms:GrantIsForAWSResource": "true" }));
    }
    if condition.as_object().is_some_and(|fields| !fields.is_empty())
        && let Some(fields) = to_use.as_object_mut()
    {
        fields.insert("Condition".to_owned(), condition.clone());
    }
    if let Some(fields) = to_grant.as_object_mut() {
        fields.insert("Condition".to_owned(), for_grants);
    }
    [to_use, to_grant]
}

fn statements(policy: &str) -> Result<Vec<Value>> {
    let policy: Value = serde_json::from_str(policy).context("a key policy that is not JSON")?;
    Ok(policy.get("Statement").and_then(Value::as_array).context("no list of statements")?.clone())
}

fn is_managed(statement: &Value) -> bool {
    let is_own = |sid: &str| sid.starts_with("AmiShareUseBy") || sid.starts_with("AmiShareGrantBy");
    statement.get("Sid").and_then(Value::as_str).is_some_and(is_own)
}
