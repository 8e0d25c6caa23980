//! What is billed by the month, counted where it is declared: alarms and dashboards in the template, metrics in the code.

use std::fs;

use anyhow::{Context, Result};

use super::month::Watched;
use crate::workspace;

/// What the template and the code of this checkout have.
pub fn watched() -> Result<Watched> {
    let template = read("template.yaml")?;
    let of_type = |name: &str| count(&template, |line| line.trim() == format!("Type: {name}"));
    Ok(Watched {
        metrics: of_type("AWS::Logs::MetricFilter") + metrics_of_code()?,
        alarms: of_type("AWS::CloudWatch::Alarm"),
        dashboards: of_type("AWS::CloudWatch::Dashboard"),
    })
}

/// The cases of the enumeration of metrics, which are sent without dimensions, so that each is one metric.
fn metrics_of_code() -> Result<u32> {
    let source = read("shared/domain/src/metrics.rs")?;
    let (_, after) = source.split_once("pub enum Metric {").context("there is no enumeration of metrics")?;
    let (cases, _) = after.split_once("\n}").context("the enumeration of metrics has no end")?;
    Ok(count(cases, |line| line.trim().starts_with(|first: char| first.is_ascii_uppercase())))
}

fn count(text: &str, is_one: impl Fn(&str) -> bool) -> u32 {
    u32::try_from(text.lines().filter(|line| is_one(line)).count()).unwrap_or(u32::MAX)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace::file(path)).with_context(|| format!("reading {path}"))
}
