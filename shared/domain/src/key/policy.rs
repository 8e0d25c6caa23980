//! A key policy as a document that others write: every foreign statement stays as it is, to the letter.
//!
//! Foreign text is kept as raw JSON, never as a typed policy: a type would drop fields that it does not
//! know, and merge what it thinks the same. Only white space between tokens is dropped, since it counts
//! towards the size.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::key::statements::{
    Granted, has_own_sid, is_managed, is_same, named_by, read_statements, statements_of,
};
use crate::targets::target::KeyPrincipal;

/// The largest key policy, in bytes. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html>
pub const SIZE_LIMIT: usize = 32_768;

/// A document that is no key policy.
#[derive(Debug, thiserror::Error)]
pub enum BadPolicy {
    /// It is not JSON.
    #[error("the key policy is not a JSON object")]
    NotJson(#[from] serde_json::Error),
    /// It does not have exactly one `Statement`.
    #[error("the key policy has {0} `Statement` members instead of one")]
    Statements(usize),
}

/// How people find a statement in a policy: by its Sid, or else by its position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementName {
    /// Its Sid.
    Sid(String),
    /// Its position in the document; the first statement has 1.
    Position(usize),
}

impl StatementName {
    fn of(statement: &Value, position: usize) -> Self {
        match statement.get("Sid").and_then(Value::as_str) {
            Some(sid) if !sid.is_empty() => Self::Sid(sid.to_owned()),
            _ => Self::Position(position),
        }
    }
}

impl fmt::Display for StatementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sid(sid) => write!(f, "statement `{sid}`"),
            Self::Position(position) => write!(f, "statement {position}"),
        }
    }
}

/// A key policy, split into foreign statements and those of ami-share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The members of the document in order; that of `Statement` is empty.
    members: Vec<(String, String)>,
    /// The foreign statements, as they were written.
    foreign: Vec<String>,
    /// The name of each foreign statement.
    names: Vec<StatementName>,
    /// The statements of ami-share.
    managed: Vec<Value>,
}

impl KeyPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`BadPolicy`] when the text is no JSON object with one `Statement`.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        let Members(members) = serde_json::from_str(text)?;
        let (statements, rest): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| name == "Statement");
        let [(_, statement)] = statements.as_slice() else {
            return Err(BadPolicy::Statements(statements.len()));
        };
        debug_assert_eq!(rest.len() + 1, members.len());
        let mut foreign = Vec::new();
        let mut managed = Vec::new();
        let mut names = Vec::new();
        for (index, raw) in statement_list(statement)?.iter().enumerate() {
            let value: Value = serde_json::from_str(raw.get())?;
            if is_managed(&value) {
                managed.push(value);
            } else {
                names.push(StatementName::of(&value, index + 1));
                foreign.push(without_space(raw.get()));
            }
        }
        let members = members.iter().map(|(name, raw)| (name.clone(), member_text(name, raw))).collect();
        Ok(Self { members, foreign, names, managed })
    }

    /// The statements of ami-share.
    pub fn managed(&self) -> &[Value] {
        &self.managed
    }

    /// What the statements of ami-share grant.
    pub fn granted(&self) -> Granted {
        read_statements(&self.managed)
    }

    /// The document whose statements of ami-share grant exactly `granted`.
    pub fn granting(&self, granted: &Granted, partition: &str) -> String {
        self.with(&self.statements_of(granted, partition))
    }

    /// Whether two policies are the same to AWS, whatever the order of statements and lists.
    pub fn is_same(&self, other: &Self) -> bool {
        let value = |policy: &Self| serde_json::from_str::<Value>(&policy.with(&policy.managed)).ok();
        self == other || value(self).zip(value(other)).is_some_and(|(one, other)| is_same(&one, &other))
    }

    /// Whether writing the statements of ami-share again would change nothing.
    pub fn is_exact(&self, partition: &str) -> bool {
        let written = self.statements_of(&self.granted(), partition);
        written.len() == self.managed.len()
            && written.iter().all(|written| self.managed.iter().any(|managed| is_same(written, managed)))
    }

    /// The foreign statements with a Sid of ami-share and another form, which were written or changed out of band, and the
    /// principals that they may allow.
    pub fn changed_out_of_band(&self) -> Vec<(StatementName, BTreeSet<KeyPrincipal>)> {
        let changed = self.named_foreign().filter(|(_, statement)| {
            has_own_sid(statement) && statement.get("Effect").and_then(Value::as_str) != Some("Deny")
        });
        changed.map(|(name, statement)| (name, named_by(&statement))).collect()
    }

    fn statements_of(&self, granted: &Granted, partition: &str) -> Vec<Value> {
        let sids = self.names.iter().filter_map(|name| match name {
            StatementName::Sid(sid) => Some(sid.clone()),
            StatementName::Position(_) => None,
        });
        statements_of(granted, partition, &sids.collect())
    }

    /// The foreign statements, as JSON text.
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// The foreign statements, each with its name.
    pub fn named_foreign(&self) -> impl Iterator<Item = (StatementName, Value)> {
        let parsed =
            |(name, text): (&StatementName, &String)| Some((name.clone(), serde_json::from_str(text).ok()?));
        self.names.iter().zip(&self.foreign).filter_map(parsed)
    }

    /// All statements, each with its name: the foreign ones, then those of ami-share.
    pub fn statements(&self) -> impl Iterator<Item = (StatementName, Value)> {
        let count = self.foreign.len();
        let managed = self.managed.iter().enumerate().map(move |(index, statement)| {
            (StatementName::of(statement, count + index + 1), statement.clone())
        });
        self.named_foreign().chain(managed)
    }

    /// The size of the document in bytes, without white space between tokens.
    pub fn bytes(&self) -> usize {
        self.with(self.managed()).len()
    }

    /// The document with `managed` as the statements of ami-share: after the foreign ones, which keep value and order.
    pub fn with(&self, managed: &[Value]) -> String {
        let statements: Vec<String> =
            self.foreign.iter().cloned().chain(managed.iter().map(Value::to_string)).collect();
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(name, text)| {
                let name = Value::from(name.as_str());
                if name == "Statement" {
                    format!("{name}:[{}]", statements.join(","))
                } else {
                    format!("{name}:{text}")
                }
            })
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

fn member_text(name: &str, raw: &RawValue) -> String {
    if name == "Statement" { String::new() } else { without_space(raw.get()) }
}

/// A single statement may stand without its list.
fn statement_list(raw: &RawValue) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    if raw.get().trim_start().starts_with('[') {
        serde_json::from_str(raw.get())
    } else {
        Ok(vec![raw.to_owned()])
    }
}

/// Drops the white space between tokens; what stands in strings stays.
fn without_space(json: &str) -> String {
    let mut retained = String::with_capacity(json.len());
    let mut in_string = false;
    let mut is_escaped = false;
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            retained.push(c);
        }
        if is_escaped {
            is_escaped = false;
        } else if in_string && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            in_string = !in_string;
        }
    }
    retained
}

/// A JSON object in its own order, a repeated name kept.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
