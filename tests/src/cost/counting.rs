//! What was used between two moments: read from the simulated AWS, and expressed in the items of the bill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::prices::Item;
use super::usage::Usage;
use crate::world::Account;
use crate::world::meter::Meter;

/// How long a new environment of a function takes to start, which is billed. Every invocation counts as such a start.
pub const START_SECONDS: f64 = 0.2;
/// How long a function takes, without its calls.
pub const OWN_SECONDS: f64 = 0.01;
/// How long a call of AWS takes; calls follow one another.
pub const CALL_SECONDS: f64 = 0.02;
/// The memory of a function, as template.yaml has it.
pub const MEMORY_GB: f64 = 0.25;
/// What Lambda itself writes to the log of each invocation.
pub const PLATFORM_LOG_BYTES: f64 = 400.0;
/// The months for which logs are stored: `LogRetentionDays` by default.
pub const LOG_MONTHS: f64 = 3.0;
/// The months for which reviews are stored (`ReviewRetentionDays` by default), and after which the ledger is measured.
pub const YEAR: f64 = 12.0;
const BYTES_OF_GB: f64 = 1e9;

/// The counts at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    meter: Meter,
    executions: BTreeSet<String>,
    log_bytes: f64,
}

/// What was used between two moments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    /// Invocations and calls of the functions, and the growth of the ledger.
    pub meter: Meter,
    /// Executions of both workflows.
    pub executions: f64,
    /// States that they entered, retries included.
    pub transitions: f64,
    /// What functions wrote to their logs, in bytes.
    pub log_bytes: f64,
    /// What reviews wrote to their bucket, in bytes.
    pub object_bytes: f64,
}

impl Moment {
    /// The counts now. `logs` is the folder of the functions' logs.
    pub async fn now(hub: &Account, logs: &Path) -> Result<Self> {
        let executions = hub.executions().await?.into_keys().chain(hub.reviews().await?.into_keys());
        Ok(Self { meter: hub.meter().await?, executions: executions.collect(), log_bytes: log_bytes(logs)? })
    }

    /// The number of executions that have started since then.
    pub async fn executions_since(&self, hub: &Account) -> Result<usize> {
        let now = hub.executions().await?.len() + hub.reviews().await?.len();
        Ok(now.saturating_sub(self.executions.len()))
    }

    /// What was used since then.
    pub async fn since(&self, hub: &Account, logs: &Path) -> Result<Used> {
        let now = Self::now(hub, logs).await?;
        let started: Vec<&String> = now.executions.difference(&self.executions).collect();
        let mut transitions = 0.0;
        for execution in &started {
            transitions += transitions_of(hub, execution).await?;
        }
        Ok(Used {
            meter: difference(&now.meter, &self.meter),
            executions: started.len() as f64,
            transitions,
            log_bytes: now.log_bytes - self.log_bytes,
            object_bytes: 0.0,
        })
    }
}

impl Used {
    /// The number of calls that functions made.
    pub fn calls(&self) -> f64 {
        self.meter.calls.values().sum()
    }

    /// What AWS bills for it.
    ///
    /// # Errors
    /// When the cost of a call is not known here.
    pub fn billed(&self) -> Result<Usage> {
        let Self { meter, executions: _, transitions, log_bytes, object_bytes } = self;
        let unit = |name: &str| meter.units.get(name).copied().unwrap_or_default();
        let seconds = meter.invocations * (START_SECONDS + OWN_SECONDS) + self.calls() * CALL_SECONDS;
        let log = log_bytes + meter.invocations * PLATFORM_LOG_BYTES;
        let usage = Usage::default()
            .with(Item::Transition, *transitions)
            .with(Item::Invocation, meter.invocations)
            .with(Item::ComputeTime, seconds * MEMORY_GB)
            .with(Item::WriteUnit, unit("dynamodb write"))
            .with(Item::ReadUnit, unit("dynamodb read"))
            .with(Item::TableStorage, meter.ledger_bytes * YEAR / BYTES_OF_GB)
            .with(Item::TableBackup, meter.ledger_bytes * YEAR / BYTES_OF_GB)
            .with(Item::Event, unit("events"))
            .with(Item::Message, unit("messages"))
            // The table and the topic are encrypted with keys that AWS manages, whose use is billed.
            .with(Item::KeyRequest, meter.invocations + unit("messages"))
            .with(Item::ObjectStorage, object_bytes * YEAR / BYTES_OF_GB)
            .with(Item::LogIntake, log / BYTES_OF_GB)
            .with(Item::LogStorage, log * LOG_MONTHS / BYTES_OF_GB);
        meter.calls.iter().try_fold(usage, |usage, (call, count)| {
            Ok(match item_of(call)? {
                Some(item) => usage.with(item, *count),
                None => usage,
            })
        })
    }
}

/// The item that a call is billed as; `None` if it is free, or billed by its units.
fn item_of(call: &str) -> Result<Option<Item>> {
    let (service, operation) = call.split_once(':').context("a call without a service")?;
    Ok(match (service, operation) {
        ("kms", _) => Some(Item::KeyRequest),
        ("sqs", _) => Some(Item::QueueRequest),
        ("s3", "PutObject" | "ListObjectsV2") => Some(Item::ObjectWrite),
        ("s3", "GetObject") => Some(Item::ObjectRead),
        // Its single start is billed; creating and changing it is free.
        ("scheduler", "CreateSchedule") => Some(Item::ScheduledStart),
        ("dynamodb" | "events" | "sns", _) => None,
        ("ec2" | "organizations" | "sts" | "states" | "scheduler", _) => None,
        _ => bail!("the cost of {call} is not known: add it to tests/src/cost/counting.rs"),
    })
}

/// The states that an execution entered, its retries of tasks, and its end, which AWS's own examples count too.
async fn transitions_of(hub: &Account, execution: &str) -> Result<f64> {
    let request = hub.sfn.get_execution_history().execution_arn(execution);
    let mut events = request.into_paginator().items().send();
    let (mut entered, mut tasks, mut tries) = (0.0, 0.0, 0.0);
    while let Some(event) = events.next().await {
        let event = event.context("GetExecutionHistory")?;
        let kind = event.r#type().as_str();
        entered += f64::from(kind.ends_with("StateEntered"));
        tasks += f64::from(kind == "TaskStateEntered");
        tries += f64::from(kind == "TaskScheduled");
    }
    Ok(entered + (tries - tasks).max(0.0) + 1.0)
}

fn difference(now: &Meter, before: &Meter) -> Meter {
    let less = |now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
        let since = now
            .iter()
            .map(|(name, amount)| (name.clone(), amount - before.get(name).copied().unwrap_or_default()));
        since.filter(|(_, amount)| *amount > 0.0).collect()
    };
    Meter {
        invocations: now.invocations - before.invocations,
        calls: less(&now.calls, &before.calls),
        units: less(&now.units, &before.units),
        ledger_bytes: now.ledger_bytes - before.ledger_bytes,
    }
}

/// The size of the functions' logs. The log of the simulated AWS itself does not count.
fn log_bytes(logs: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(logs).context("reading the folder of logs")? {
        let entry = entry.context("reading the folder of logs")?;
        if entry.file_name() != "simulated-aws.log" {
            bytes += entry.metadata().context("reading a log")?.len();
        }
    }
    Ok(bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(calls: &[(&str, f64)], units: &[(&str, f64)]) -> Used {
        let named =
            |all: &[(&str, f64)]| all.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect();
        let meter = Meter { invocations: 2.0, calls: named(calls), units: named(units), ledger_bytes: 1e6 };
        Used { meter, executions: 1.0, transitions: 8.0, log_bytes: 1_200.0, object_bytes: 0.0 }
    }

    #[test]
    fn calls_are_billed_by_their_service_and_some_are_free() {
        let calls = [
            ("kms:GetKeyPolicy", 3.0),
            ("s3:GetObject", 2.0),
            ("scheduler:CreateSchedule", 2.0),
            ("ec2:DescribeImages", 9.0),
        ];
        let usage = used(&calls, &[("dynamodb write", 7.0), ("messages", 1.0)]).billed().unwrap();
        // Three by the functions, one for each invocation, one for the message.
        assert_eq!(usage.of(Item::KeyRequest), 6.0);
        assert_eq!((usage.of(Item::ObjectRead), usage.of(Item::ScheduledStart)), (2.0, 2.0));
        assert_eq!(
            (usage.of(Item::WriteUnit), usage.of(Item::Message), usage.of(Item::Transition)),
            (7.0, 1.0, 8.0)
        );
        let seconds = 2.0 * (START_SECONDS + OWN_SECONDS) + 16.0 * CALL_SECONDS;
        assert!((usage.of(Item::ComputeTime) - seconds * MEMORY_GB).abs() < 1e-12);
        assert!((usage.of(Item::LogIntake) - 2_000e-9).abs() < 1e-15);
    }

    #[test]
    fn a_call_to_a_service_of_unknown_cost_is_no_call_for_nothing() {
        let error = used(&[("rekognition:DetectFaces", 1.0)], &[]).billed().unwrap_err();
        assert!(error.to_string().contains("rekognition:DetectFaces"), "{error}");
    }
}
