//! What AWS would have billed for functions so far, counted by the simulated AWS. The real AWS has no API for that.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Account;

/// What all functions used since the simulated AWS started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter {
    /// Their invocations.
    pub invocations: f64,
    /// Their calls, like `dynamodb:PutItem`.
    pub calls: BTreeMap<String, f64>,
    /// What their calls consumed, like `dynamodb write`.
    pub units: BTreeMap<String, f64>,
    /// How much the tables hold, in bytes.
    pub ledger_bytes: f64,
}

impl Account {
    /// What AWS would have billed for functions so far.
    pub async fn meter(&self) -> Result<Meter> {
        let answer = self.control("GET", "meter", "").await?;
        let invocations = answer.get("invocations").and_then(Value::as_object).context("no invocations")?;
        Ok(Meter {
            invocations: invocations.values().filter_map(Value::as_f64).sum(),
            calls: over_functions(answer.get("calls"))?,
            units: over_functions(answer.get("units"))?,
            ledger_bytes: answer.get("ledger bytes").and_then(Value::as_f64).context("no ledger")?,
        })
    }
}

/// The sums over all functions of what is counted by function.
fn over_functions(by_function: Option<&Value>) -> Result<BTreeMap<String, f64>> {
    let by_function = by_function.and_then(Value::as_object).context("no counts by function")?;
    let mut sums = BTreeMap::new();
    for (name, amount) in by_function.values().filter_map(Value::as_object).flatten() {
        *sums.entry(name.clone()).or_default() += amount.as_f64().context("an amount is not a number")?;
    }
    Ok(sums)
}
