//! The variables that `template.yaml` sets, read with errors that name the variable.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::failure::Failure;

/// The environment of a function.
#[derive(Debug, Clone)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// These variables, for tests.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The text of a required variable.
    ///
    /// # Errors
    /// When it is missing or empty.
    pub fn text(&self, name: &str) -> Result<String, Failure> {
        match self.0.get(name).map(String::as_str) {
            None | Some("") => Err(Failure::Environment(format!(
                "the variable {name} is missing; deploy the function with template.yaml, which sets it"
            ))),
            Some(value) => Ok(value.to_owned()),
        }
    }

    /// The text of an optional variable; empty when it is missing.
    pub fn text_or_empty(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A required variable, parsed.
    ///
    /// # Errors
    /// When it is missing, or `parse` rejects it.
    pub fn parsed<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Failure> {
        parse(&self.text(name)?)
            .map_err(|error| Failure::Environment(format!("the variable {name} is invalid: {error}")))
    }

    /// An optional variable, parsed.
    ///
    /// # Errors
    /// When `parse` rejects it.
    pub fn parsed_or_empty<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Failure> {
        parse(self.text_or_empty(name))
            .map_err(|error| Failure::Environment(format!("the variable {name} is invalid: {error}")))
    }
}
