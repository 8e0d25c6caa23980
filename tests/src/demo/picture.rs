//! How the demo shows policies, the workflow's steps and the ledger's rows.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::world::Account;

/// Prints what changed between two key policies, line by line.
pub(super) fn print_policy_diff(before: &str, after: &str) -> Result<()> {
    let (before, after) = (pretty(before)?, pretty(after)?);
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => "-",
            ChangeTag::Insert => "+",
            ChangeTag::Equal => " ",
        };
        print!("     {sign} {change}");
    }
    println!();
    Ok(())
}

fn pretty(policy: &str) -> Result<String> {
    let policy: Value = serde_json::from_str(policy).context("the key policy is not JSON")?;
    Ok(format!("{policy:#}"))
}

/// Prints the steps that an execution of the share workflow entered, with the time since its start.
pub(super) async fn print_steps(hub: &Account, execution: &str) -> Result<()> {
    let events = hub.sfn.get_execution_history().execution_arn(execution).max_results(1000).send().await;
    let events = events.context("GetExecutionHistory")?;
    let start = events.events().first().map(|event| event.timestamp().as_secs_f64()).unwrap_or_default();
    for event in events.events() {
        if let Some(entered) = event.state_entered_event_details() {
            println!("   {:5.2} s  {}", event.timestamp().as_secs_f64() - start, entered.name());
        }
    }
    Ok(())
}

/// Prints rows of the ledger, with their main attributes.
pub(super) fn print_rows(rows: &BTreeMap<String, BTreeMap<String, String>>) {
    for (sort_key, row) in rows {
        let shown = [
            "outcome",
            "principals",
            "targets",
            "keys",
            "since",
            "until",
            "reason",
            "delivered",
            "without_bus",
            "status",
        ];
        let attributes = shown
            .iter()
            .filter_map(|name| Some(format!("{name}={}", row.get(*name).filter(|value| !value.is_empty())?)));
        println!("     {sort_key}: {}", attributes.collect::<Vec<_>>().join(", "));
    }
}

/// Prints the rows of an image's audit log, oldest first.
pub(super) fn print_audit_log(rows: &BTreeMap<String, BTreeMap<String, String>>) {
    for row in rows.values() {
        let value = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
        println!(
            "     {} {:16} {} for {}",
            value("at"),
            value("action"),
            value("resource"),
            value("principals")
        );
    }
}
