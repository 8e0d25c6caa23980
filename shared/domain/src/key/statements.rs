//! Our own statements in a key policy: least access, in a form that can be recognised again.
//!
//! There are at most six: *use* and *grant* for accounts, for organizations and for OUs. Accounts are
//! principals; organizations and OUs are admitted by condition, never by listing their accounts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::ids::Arn;
use crate::targets::target::KeyPrincipal;

/// What the Sid of each of our statements starts with.
pub const SID_PREFIX: &str = "AmiShare";

/// What a target needs to launch or copy an encrypted image. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-organizations-OUs.html#allow-org-ou-to-use-key>
const USE: [&str; 4] =
    ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
/// EC2 makes a grant for the volumes that it attaches; `kms:GrantIsForAWSResource` keeps it to that. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource>
const GRANT: [&str; 1] = ["kms:CreateGrant"];

/// Our statements for exactly these principals, in a fixed order; none for nobody.
/// `partition` is that of the key's ARN (`aws`, `aws-cn`, `aws-us-gov`).
pub fn statements_for(principals: &BTreeSet<KeyPrincipal>, partition: &str) -> Vec<Value> {
    let mut accounts = Vec::new();
    let mut organizations = Vec::new();
    let mut paths = Vec::new();
    for principal in principals {
        match principal {
            KeyPrincipal::Account(id) => accounts.push(format!("arn:{partition}:iam::{id}:root")),
            KeyPrincipal::Organization(id) => organizations.push(id.to_string()),
            KeyPrincipal::Path(path) => paths.push(path.to_string()),
        }
    }
    let mut statements = Vec::new();
    if !accounts.is_empty() {
        statements.extend(use_and_grant("Accounts", &json!({ "AWS": accounts }), json!({})));
    }
    let everyone = json!({ "AWS": "*" });
    if !organizations.is_empty() {
        let condition = json!({ "StringEquals": { "aws:PrincipalOrgID": organizations } });
        statements.extend(use_and_grant("Organizations", &everyone, condition));
    }
    if !paths.is_empty() {
        let condition = json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": paths } });
        statements.extend(use_and_grant("Units", &everyone, condition));
    }
    statements
}

fn use_and_grant(principals: &str, principal: &Value, condition: Value) -> [Value; 2] {
    let mut grant_condition = condition.clone();
    if let Value::Object(grant_condition) = &mut grant_condition {
        grant_condition.insert("Bool".to_owned(), json!({ "kms:GrantIsForAWSResource": "true" }));
    }
    [
        statement(format!("{SID_PREFIX}UseBy{principals}"), principal, &USE, condition),
        statement(format!("{SID_PREFIX}GrantBy{principals}"), principal, &GRANT, grant_condition),
    ]
}

fn statement(sid: String, principal: &Value, actions: &[&str], condition: Value) -> Value {
    let mut statement =
        json!({ "Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*" });
    let is_conditional = condition.as_object().is_some_and(|condition| !condition.is_empty());
    if let (true, Value::Object(fields)) = (is_conditional, &mut statement) {
        fields.insert("Condition".to_owned(), condition);
    }
    statement
}

/// Whom our statements in a live policy admit, and whether they are exactly what we would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The principals named by statements that have our own form. A statement with our
    /// Sid and another form admits nobody here: it is not what we wrote, and is written anew.
    pub principals: BTreeSet<KeyPrincipal>,
    /// Whether writing them anew would change nothing.
    pub is_exact: bool,
}

/// Reads our statements back; lists in any order, and a list of one as the item alone,
/// are the same to AWS and to us.
pub fn read_statements(managed: &[Value], partition: &str) -> Granted {
    let mut principals = BTreeSet::new();
    for statement in managed {
        let named = named_by(statement);
        let mut alone = statements_for(&named, partition);
        alone.retain(|written| is_same(written, statement));
        if !alone.is_empty() {
            principals.extend(named);
        }
    }
    let written = statements_for(&principals, partition);
    let is_exact = written.len() == managed.len()
        && written.iter().all(|written| managed.iter().any(|managed| is_same(written, managed)));
    Granted { principals, is_exact }
}

fn named_by(statement: &Value) -> BTreeSet<KeyPrincipal> {
    let accounts = strings(statement.pointer("/Principal/AWS"))
        .filter_map(|arn| Arn::parse(arn).ok()?.account.parse().ok().map(KeyPrincipal::Account));
    let organizations = strings(statement.pointer("/Condition/StringEquals/aws:PrincipalOrgID"))
        .filter_map(|id| id.parse().ok().map(KeyPrincipal::Organization));
    let paths = strings(statement.pointer("/Condition/ForAnyValue:StringLike/aws:PrincipalOrgPaths"))
        .filter_map(|path| path.parse().ok().map(KeyPrincipal::Path));
    accounts.chain(organizations).chain(paths).collect()
}

/// The strings of a policy element, which may stand alone or in a list.
pub(crate) fn strings(element: Option<&Value>) -> impl Iterator<Item = &str> {
    let (alone, list) = match element {
        Some(Value::String(alone)) => (Some(alone.as_str()), None),
        Some(Value::Array(list)) => (None, Some(list)),
        _ => (None, None),
    };
    alone.into_iter().chain(list.into_iter().flatten().filter_map(Value::as_str))
}

fn is_same(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_cached_key(Value::to_string);
            match <[Value; 1]>::try_from(items) {
                Ok([only]) => only,
                Err(items) => Value::Array(items),
            }
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, Value> =
                fields.iter().map(|(name, value)| (name, normal(value))).collect();
            json!(sorted)
        }
        other => other.clone(),
    }
}
