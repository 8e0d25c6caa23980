//! What is true of an AWS at a moment: who has access, and what the ledger says of it.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_testkit::memory::InMemoryAws;
use ami_share_testkit::memory::kms::strings;
use serde_json::Value;

use crate::functions::TABLE;

/// Who has access to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The launch permissions of each image.
    pub images: BTreeMap<String, BTreeSet<String>>,
    /// The accounts that may copy each snapshot.
    pub snapshots: BTreeMap<String, BTreeSet<String>>,
    /// The accounts that ami-share's statements in each key policy name, and the paths of OUs.
    pub keys: BTreeMap<String, BTreeSet<String>>,
    /// The statements of others in each key policy.
    pub foreign: BTreeMap<String, Vec<Value>>,
}

impl Access {
    /// The access there is.
    pub fn of(aws: &InMemoryAws) -> Self {
        let ec2 = aws.ec2();
        let statements = aws.kms().keys.iter().map(|(arn, key)| (arn.clone(), statements(&key.policy)));
        let statements: BTreeMap<String, Vec<Value>> = statements.collect();
        let (mut keys, mut foreign) = (BTreeMap::new(), BTreeMap::new());
        for (arn, statements) in statements {
            let (own, others): (Vec<_>, Vec<_>) = statements.into_iter().partition(is_own);
            keys.insert(arn.clone(), own.iter().flat_map(principals).collect());
            foreign.insert(arn, others);
        }
        Self {
            images: ec2.images.iter().map(|(id, image)| (id.clone(), image.launch.clone())).collect(),
            snapshots: ec2
                .snapshots
                .iter()
                .map(|(id, snapshot)| (id.clone(), snapshot.accounts.clone()))
                .collect(),
            keys,
            foreign,
        }
    }
}

fn statements(policy: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(policy).unwrap_or_default();
    document.get("Statement").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is_own(statement: &Value) -> bool {
    let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default();
    sid.starts_with("AmiShareUseBy") || sid.starts_with("AmiShareGrantBy")
}

fn principals(statement: &Value) -> Vec<String> {
    let named = strings(statement.pointer("/Principal/AWS")).into_iter();
    let accounts = named.filter_map(|arn| Some(arn.split(':').nth(4)?.to_owned()));
    let paths = strings(statement.pointer("/Condition/ForAnyValue:StringLike/aws:PrincipalOrgPaths"));
    let organizations = strings(statement.pointer("/Condition/StringEquals/aws:PrincipalOrgID"));
    accounts.chain(paths).chain(organizations).collect()
}

/// The targets that the ledger calls revoked while EC2 lets them launch the image, unless another principal granted it.
pub fn revoked_yet_granted(aws: &InMemoryAws) -> Option<String> {
    for item in aws.dynamodb.items(TABLE) {
        let field = |name: &str| item.get(name).and_then(|value| value.get("S")).and_then(Value::as_str);
        let (Some(image), Some(target)) =
            (field("pk").and_then(|pk| pk.strip_prefix("IMAGE#")), field("target"))
        else {
            continue;
        };
        if field("outcome") != Some("revoked") {
            continue;
        }
        let launch = aws.ec2().images.get(image).map(|image| &image.launch);
        if launch.is_some_and(|launch| launch.iter().any(|name| name.rsplit('/').next() == Some(target))) {
            return Some(format!("{target} may still launch {image}, which the ledger calls revoked"));
        }
    }
    None
}

/// The principals of which the last entry of the audit log is not true.
pub fn false_audit_entries(aws: &InMemoryAws) -> Vec<String> {
    let access = Access::of(aws);
    let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut rows: Vec<_> = aws.dynamodb.items(TABLE).collect();
    rows.sort_by_key(|item| text(item, "sk").unwrap_or_default().to_owned());
    for item in rows {
        if !text(item, "pk").is_some_and(|pk| pk.starts_with("AUDIT#")) {
            continue;
        }
        let (Some(action), Some(resource)) = (text(item, "action"), text(item, "resource")) else { continue };
        let principals = item.get("principals").and_then(|list| list.get("L")).and_then(Value::as_array);
        for principal in principals.into_iter().flatten().filter_map(|value| value.get("S")?.as_str()) {
            last.insert((resource.to_owned(), principal.to_owned()), action.to_owned());
        }
    }
    let holds = |resource: &str, principal: &str| {
        let all =
            access.images.get(resource).or(access.snapshots.get(resource)).or(access.keys.get(resource));
        all.is_some_and(|names| {
            names.iter().any(|name| name == principal || name.rsplit('/').next() == Some(principal))
        })
    };
    let is_false = |((resource, principal), action): (&(String, String), &String)| {
        let says = match action.as_str() {
            "image-granted" | "snapshot-granted" | "key-granted" => true,
            "image-revoked" | "snapshot-revoked" | "key-revoked" => false,
            _ => return None,
        };
        (says != holds(resource, principal)).then(|| format!("{action} of {resource} to {principal}"))
    };
    last.iter().filter_map(is_false).collect()
}

fn text<'a>(item: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a str> {
    item.get(name)?.get("S")?.as_str()
}
