//! What a service answers: a document, or an error with AWS's code.

use serde_json::Value;

/// The result of one call.
pub type Answer = Result<Value, Refused>;

/// An error that a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The error code that the service documents.
    pub code: String,
    /// What it says about it.
    pub message: String,
    /// Further members of a JSON error.
    pub details: Option<Box<Value>>,
}

impl Refused {
    /// An error of the caller.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), details: None }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with further members.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }
}
