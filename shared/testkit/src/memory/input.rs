//! Reads the input of a request, and refuses what a service here does not understand.

use std::fmt::Display;

use serde_json::Value;

use crate::memory::answer::Refused;

/// An operation, a parameter or an expression that a service here does not understand. It never counts as done.
pub(crate) fn not_implemented(what: impl Display) -> Refused {
    Refused::new("NotImplemented", what.to_string()).with_status(501)
}

/// An operation that a service here does not have.
pub(crate) fn unknown_operation(service: &str, operation: &str) -> Refused {
    not_implemented(format!("{service} has no operation {operation} here"))
}

/// What most services answer to an input that breaks a rule.
pub(crate) fn invalid(message: impl Into<String>) -> Refused {
    Refused::new("ValidationException", message)
}

/// Parameters of every request of the query protocol.
pub(crate) const OF_QUERY_PROTOCOL: [&str; 2] = ["Action", "Version"];

/// Refuses an input with a parameter that is not among `known`: it would be ignored.
pub(crate) fn require_known(operation: &str, input: &Value, known: &[&str]) -> Result<(), Refused> {
    let parameters = input.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    match parameters.map(|(name, _)| name).find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(not_implemented(format!("{operation} has no parameter {name} here"))),
        None => Ok(()),
    }
}

/// A parameter that is a text.
pub(crate) fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// The same; empty when the request has none.
pub(crate) fn text_or_empty<'a>(input: &'a Value, name: &str) -> &'a str {
    text(input, name).unwrap_or_default()
}

/// A parameter that is a list of texts.
pub(crate) fn texts<'a>(input: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    input.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A parameter that the request must have.
pub(crate) fn required_text<'a>(input: &'a Value, name: &str) -> Result<&'a str, Refused> {
    text(input, name).ok_or_else(|| missing(name))
}

/// What most services answer to an input without a parameter that it must have.
pub(crate) fn missing(name: &str) -> Refused {
    invalid(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}

/// An id in the form of those that AWS makes, unique among those of one service.
pub(crate) fn numbered_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}
