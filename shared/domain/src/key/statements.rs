//! The statements of ami-share in a key policy: least access, in a form that can be recognised again.
//!
//! There are at most six: *use* and *grant* for accounts, for organizations and for OUs. Accounts are
//! principals; organizations and OUs are allowed by condition, never by listing their accounts.
//!
//! A statement is one of ami-share only if it has one of these Sids and exactly this form. Where a statement of another
//! form has the Sid, it was written or changed out of band: it stays, and ami-share numbers its own Sid
//! (`AmiShareUseByAccounts2`), because AWS documents that Sids are unique within a policy, and not whether KMS checks
//! that. Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::ids::Arn;
use crate::targets::target::KeyPrincipal;

/// What a target needs to launch or copy an encrypted image. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-organizations-OUs.html#allow-org-ou-to-use-key>
const USE: [&str; 4] =
    ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"];
/// EC2 creates a KMS grant for the volumes that it attaches; `kms:GrantIsForAWSResource` keeps it to that. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-grant-is-for-aws-resource>
const GRANT: [&str; 1] = ["kms:CreateGrant"];

/// The principals that the statements of ami-share name. Each is in both kinds of statements, unless it was added to or
/// removed from one of them out of band.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// Those in the statements that allow to use the key.
    pub using: BTreeSet<KeyPrincipal>,
    /// Those in the statements that allow to create KMS grants.
    pub granting: BTreeSet<KeyPrincipal>,
}

impl Granted {
    /// Exactly these, in both.
    pub fn both(principals: &BTreeSet<KeyPrincipal>) -> Self {
        Self { using: principals.clone(), granting: principals.clone() }
    }

    /// The principals that have all that ami-share grants.
    pub fn complete(&self) -> BTreeSet<KeyPrincipal> {
        &self.using & &self.granting
    }

    /// All principals that a statement names.
    pub fn named(&self) -> BTreeSet<KeyPrincipal> {
        &self.using | &self.granting
    }

    /// The principals that only one of the two kinds of statements names.
    pub fn in_part(&self) -> BTreeSet<KeyPrincipal> {
        &self.using ^ &self.granting
    }

    /// The same, with `added` in both. No other principal is carried from one kind of statement into the other.
    #[must_use]
    pub fn with(&self, added: &BTreeSet<KeyPrincipal>) -> Self {
        self.each(|principals| principals | added)
    }

    /// The same, without `removed`.
    #[must_use]
    pub fn without(&self, removed: &BTreeSet<KeyPrincipal>) -> Self {
        self.each(|principals| principals - removed)
    }

    /// Of these, only `retained`, each where it is.
    #[must_use]
    pub fn only(&self, retained: &BTreeSet<KeyPrincipal>) -> Self {
        self.each(|principals| principals & retained)
    }

    fn each(&self, change: impl Fn(&BTreeSet<KeyPrincipal>) -> BTreeSet<KeyPrincipal>) -> Self {
        Self { using: change(&self.using), granting: change(&self.granting) }
    }
}

/// The statements for exactly these principals, in a fixed order; none for none.
/// `partition` is that of the key's ARN (`aws`, `aws-cn`, `aws-us-gov`).
pub fn statements_for(principals: &BTreeSet<KeyPrincipal>, partition: &str) -> Vec<Value> {
    statements_of(&Granted::both(principals), partition, &BTreeSet::new())
}

/// The statements that grant exactly `granted`, in a fixed order. None of them has one of the `foreign_sids`.
pub fn statements_of(granted: &Granted, partition: &str, foreign_sids: &BTreeSet<String>) -> Vec<Value> {
    let mut statements = Vec::new();
    for kind in Kind::ALL {
        for (purpose, principals) in [(Purpose::Use, &granted.using), (Purpose::Grant, &granted.granting)] {
            let listed: Vec<String> =
                principals.iter().filter_map(|principal| kind.listed(principal, partition)).collect();
            if !listed.is_empty() {
                let sid = free_sid(&sid_of(kind, purpose), foreign_sids);
                statements.push(statement(sid, kind, purpose, &listed));
            }
        }
    }
    statements
}

/// What the statements of ami-share grant.
pub fn read_statements(managed: &[Value]) -> Granted {
    let mut granted = Granted::default();
    for (purpose, principals) in managed.iter().filter_map(read) {
        match purpose {
            Purpose::Use => granted.using.extend(principals),
            Purpose::Grant => granted.granting.extend(principals),
        }
    }
    granted
}

/// Whether a statement has a Sid of ami-share and exactly its form: lists in any order, and a list of one as the item
/// alone, are the same to AWS and here.
pub(crate) fn is_managed(statement: &Value) -> bool {
    read(statement).is_some()
}

/// Whether a statement has a Sid of ami-share, whatever its form.
pub(crate) fn has_own_sid(statement: &Value) -> bool {
    statement.get("Sid").and_then(Value::as_str).and_then(parse_sid).is_some()
}

/// The principals that a statement names in the places where a statement of ami-share does.
pub(crate) fn named_by(statement: &Value) -> BTreeSet<KeyPrincipal> {
    Kind::ALL.iter().flat_map(|kind| kind.named_by(statement)).collect()
}

/// What a statement of ami-share names, and for which purpose; `None` for any other statement.
fn read(statement_to_read: &Value) -> Option<(Purpose, BTreeSet<KeyPrincipal>)> {
    let sid = statement_to_read.get("Sid")?.as_str()?;
    let (kind, purpose) = parse_sid(sid)?;
    let principals = kind.named_by(statement_to_read);
    let partition = strings(statement_to_read.pointer("/Principal/AWS"))
        .find_map(|arn| Arn::parse(arn).ok())
        .map_or("aws", |arn| arn.partition);
    let listed: Vec<String> =
        principals.iter().filter_map(|principal| kind.listed(principal, partition)).collect();
    let written = statement(sid.to_owned(), kind, purpose, &listed);
    (!listed.is_empty() && is_same(&written, statement_to_read)).then_some((purpose, principals))
}

/// What the principals of a statement are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Accounts,
    Organizations,
    Units,
}

/// What a statement allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Use,
    Grant,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Accounts, Self::Organizations, Self::Units];

    fn name(self) -> &'static str {
        match self {
            Self::Accounts => "Accounts",
            Self::Organizations => "Organizations",
            Self::Units => "Units",
        }
    }

    /// How a statement of this kind lists a principal; `None` for one of another kind.
    fn listed(self, principal: &KeyPrincipal, partition: &str) -> Option<String> {
        match (self, principal) {
            (Self::Accounts, KeyPrincipal::Account(id)) => Some(format!("arn:{partition}:iam::{id}:root")),
            (Self::Organizations, KeyPrincipal::Organization(id)) => Some(id.to_string()),
            (Self::Units, KeyPrincipal::Path(path)) => Some(path.to_string()),
            _ => None,
        }
    }

    fn named_by(self, statement: &Value) -> BTreeSet<KeyPrincipal> {
        let pointer = match self {
            Self::Accounts => "/Principal/AWS",
            Self::Organizations => "/Condition/StringEquals/aws:PrincipalOrgID",
            Self::Units => "/Condition/ForAnyValue:StringLike/aws:PrincipalOrgPaths",
        };
        let principal = |text: &str| match self {
            Self::Accounts => Arn::parse(text).ok()?.account.parse().ok().map(KeyPrincipal::Account),
            Self::Organizations => text.parse().ok().map(KeyPrincipal::Organization),
            Self::Units => text.parse().ok().map(KeyPrincipal::Path),
        };
        strings(statement.pointer(pointer)).filter_map(principal).collect()
    }

    /// The condition that limits the statement to the principals; `None` where they are its principals.
    fn condition(self, listed: &[String]) -> Option<(&'static str, Value)> {
        match self {
            Self::Accounts => None,
            Self::Organizations => Some(("StringEquals", json!({ "aws:PrincipalOrgID": listed }))),
            Self::Units => Some(("ForAnyValue:StringLike", json!({ "aws:PrincipalOrgPaths": listed }))),
        }
    }
}

fn sid_of(kind: Kind, purpose: Purpose) -> String {
    let purpose = match purpose {
        Purpose::Use => "Use",
        Purpose::Grant => "Grant",
    };
    format!("AmiShare{purpose}By{}", kind.name())
}

/// The Sid itself, or else the first of `…2`, `…3` and so on that no foreign statement has.
fn free_sid(sid: &str, foreign_sids: &BTreeSet<String>) -> String {
    let numbered = (2..=foreign_sids.len() + 2).map(|number| format!("{sid}{number}"));
    let mut free = std::iter::once(sid.to_owned()).chain(numbered).filter(|sid| !foreign_sids.contains(sid));
    free.next().unwrap_or_else(|| sid.to_owned())
}

fn parse_sid(sid: &str) -> Option<(Kind, Purpose)> {
    let is_number =
        |text: &str| text.parse::<u32>().is_ok_and(|number| number > 1 && number.to_string() == text);
    let all = Kind::ALL.into_iter().flat_map(|kind| [(kind, Purpose::Use), (kind, Purpose::Grant)]);
    all.into_iter().find(|(kind, purpose)| {
        sid.strip_prefix(&sid_of(*kind, *purpose)).is_some_and(|rest| rest.is_empty() || is_number(rest))
    })
}

fn statement(sid: String, kind: Kind, purpose: Purpose, listed: &[String]) -> Value {
    let principal = match kind {
        Kind::Accounts => json!({ "AWS": listed }),
        Kind::Organizations | Kind::Units => json!({ "AWS": "*" }),
    };
    let actions: &[&str] = match purpose {
        Purpose::Use => &USE,
        Purpose::Grant => &GRANT,
    };
    let for_resources = ("Bool", json!({ "kms:GrantIsForAWSResource": "true" }));
    let condition: serde_json::Map<String, Value> = kind
        .condition(listed)
        .into_iter()
        .chain((purpose == Purpose::Grant).then_some(for_resources))
        .map(|(operator, keys)| (operator.to_owned(), keys))
        .collect();
    let mut statement =
        json!({ "Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*" });
    if let (false, Value::Object(fields)) = (condition.is_empty(), &mut statement) {
        fields.insert("Condition".to_owned(), Value::Object(condition));
    }
    statement
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

/// Whether two values are the same to AWS: lists in any order, and a list of one as the item alone.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(normal).collect();
            items.sort_by_cached_key(Value::to_string);
            items.dedup();
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
