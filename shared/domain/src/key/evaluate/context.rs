//! The condition keys of a call, as far as they are known.

use std::collections::BTreeMap;

/// What is known of a condition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextValue {
    /// The call has the key, with these values.
    Known(Vec<String>),
    /// The call does not have the key.
    Absent,
    /// Whether the call has the key, and with which value, is not known.
    Unknown,
}

/// The condition keys of a call. Their names are not case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    listed: BTreeMap<String, ContextValue>,
    unlisted: ContextValue,
}

impl Context {
    /// A context in which no key is known.
    pub fn unknown() -> Self {
        Self { listed: BTreeMap::new(), unlisted: ContextValue::Unknown }
    }

    /// A context without keys.
    pub fn empty() -> Self {
        Self { listed: BTreeMap::new(), unlisted: ContextValue::Absent }
    }

    /// The same context with this value of `key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: ContextValue) -> Self {
        // A list without values is what AWS takes for a missing key.
        let value = match value {
            ContextValue::Known(values) if values.is_empty() => ContextValue::Absent,
            value => value,
        };
        self.listed.insert(key.to_ascii_lowercase(), value);
        self
    }

    /// The same context with one value of `key`.
    #[must_use]
    pub fn with_one(self, key: &str, value: impl ToString) -> Self {
        self.with(key, ContextValue::Known(vec![value.to_string()]))
    }

    pub(super) fn value(&self, key: &str) -> &ContextValue {
        self.listed.get(&key.to_ascii_lowercase()).unwrap_or(&self.unlisted)
    }
}
