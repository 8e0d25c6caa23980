//! The stack, seen from the hub: the ledger, and the executions of the workflow.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;

use super::{Account, HUB, REGION, STACK};

impl Account {
    /// The rows of one partition of the ledger (`IMAGE#ami-…` or `KEY#arn…`), by sort key.
    pub async fn ledger(&self, partition: &str) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let mut pages = self
            .dynamodb
            .query()
            .table_name(format!("{STACK}-ledger"))
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .into_paginator()
            .items()
            .send();
        let mut rows = BTreeMap::new();
        while let Some(item) = pages.next().await {
            let row: BTreeMap<String, String> =
                item.context("Query")?.into_iter().map(|(name, value)| (name, plain(&value))).collect();
            rows.insert(row.get("sk").cloned().unwrap_or_default(), row);
        }
        Ok(rows)
    }

    /// The executions of the share workflow so far, by ARN, with their status.
    pub async fn executions(&self) -> Result<BTreeMap<String, String>> {
        let machine = format!("arn:aws:states:{REGION}:{HUB}:stateMachine:{STACK}-share");
        let mut pages = self.sfn.list_executions().state_machine_arn(machine).into_paginator().items().send();
        let mut executions = BTreeMap::new();
        while let Some(execution) = pages.next().await {
            let execution = execution.context("ListExecutions")?;
            executions.insert(execution.execution_arn().to_owned(), execution.status().as_str().to_owned());
        }
        Ok(executions)
    }
}

fn plain(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        AttributeValue::Bool(flag) => flag.to_string(),
        AttributeValue::Ss(texts) => texts.join(" "),
        AttributeValue::L(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}
