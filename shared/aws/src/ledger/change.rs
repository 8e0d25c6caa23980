//! What one `UpdateItem` changes in a row, built attribute by attribute.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::ledger::rows::set;

/// A change of one row. It names each attribute once.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The clauses of each verb.
    clauses: BTreeMap<&'static str, Vec<String>>,
    /// A placeholder for every attribute: DynamoDB reserves many words.
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Change {
    /// Gives an attribute a value.
    pub(crate) fn set(self, name: &str, value: AttributeValue) -> Self {
        self.with("SET", name, format!("#{name} = :{name}"), Some(value))
    }

    /// Removes an attribute.
    pub(crate) fn remove(self, name: &str) -> Self {
        self.with("REMOVE", name, format!("#{name}"), None)
    }

    /// Adds items to a set.
    pub(crate) fn add<T: ToString>(self, name: &str, items: impl IntoIterator<Item = T>) -> Self {
        self.with_items("ADD", name, items)
    }

    /// Removes items from a set.
    pub(crate) fn delete<T: ToString>(self, name: &str, items: impl IntoIterator<Item = T>) -> Self {
        self.with_items("DELETE", name, items)
    }

    /// Whether there is nothing to change.
    pub(crate) fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// The update expression. Source:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>
    pub(crate) fn expression(&self) -> String {
        let clauses = self.clauses.iter().map(|(verb, clauses)| format!("{verb} {}", clauses.join(", ")));
        clauses.collect::<Vec<_>>().join(" ")
    }

    /// Without items nothing changes: DynamoDB has no empty sets.
    fn with_items<T: ToString>(
        self,
        verb: &'static str,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self;
        }
        self.with(verb, name, format!("#{name} :{name}"), Some(set(items)))
    }

    fn with(mut self, verb: &'static str, name: &str, clause: String, value: Option<AttributeValue>) -> Self {
        self.clauses.entry(verb).or_default().push(clause);
        self.names.insert(format!("#{name}"), name.to_owned());
        self.values.extend(value.map(|value| (format!(":{name}"), value)));
        self
    }
}
