//! The ledger, and the executions of the share workflow.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

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

    /// Deletes the whole table.
    pub async fn delete_ledger(&self) -> Result<()> {
        let request = self.dynamodb.delete_table().table_name(format!("{STACK}-ledger"));
        request.send().await.context("DeleteTable")?;
        Ok(())
    }

    /// Takes the lease of a key and never releases it, as a hanging writer would.
    pub async fn hold_key_lease(&self, key: &str) -> Result<()> {
        let item =
            [("pk", format!("KEY#{key}")), ("sk", "LEASE".to_owned()), ("holder", "a test".to_owned())];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let ends = AttributeValue::N("4102444800000".to_owned());
        let request = self.dynamodb.put_item().table_name(format!("{STACK}-ledger"));
        let request = request.set_item(Some(item.into())).item("ends", ends);
        request.send().await.context("PutItem")?;
        Ok(())
    }

    /// Releases the lease of a key.
    pub async fn release_key_lease(&self, key: &str) -> Result<()> {
        let request = self.dynamodb.delete_item().table_name(format!("{STACK}-ledger"));
        let request = request.key("pk", AttributeValue::S(format!("KEY#{key}")));
        request.key("sk", AttributeValue::S("LEASE".to_owned())).send().await.context("DeleteItem")?;
        Ok(())
    }

    /// Records that an image needs one more key for a target, as if it had a snapshot on that key.
    pub async fn record_key_need(&self, image: &str, key: &str, account: &str) -> Result<()> {
        let keys = AttributeValue::L(vec![AttributeValue::S(key.to_owned())]);
        let request = self.dynamodb.update_item().table_name(format!("{STACK}-ledger"));
        let request = request.key("pk", AttributeValue::S(format!("IMAGE#{image}")));
        let request = request.key("sk", AttributeValue::S("INTENT".to_owned()));
        let request = request.update_expression("SET #keys = list_append(#keys, :keys)");
        let request = request.expression_attribute_names("#keys", "keys");
        request.expression_attribute_values(":keys", keys).send().await.context("UpdateItem")?;
        let request = self.dynamodb.put_item().table_name(format!("{STACK}-ledger"));
        let request = request.item("pk", AttributeValue::S(format!("KEY#{key}")));
        let request = request.item("sk", AttributeValue::S(format!("IMAGE#{image}")));
        let needed = AttributeValue::Ss(vec![account.to_owned()]);
        request.item("principals", needed).send().await.context("PutItem")?;
        Ok(())
    }

    /// The executions of the share workflow so far, by ARN, with their status.
    pub async fn executions(&self) -> Result<BTreeMap<String, String>> {
        self.executions_of_workflow(&share_workflow()).await
    }

    /// The executions of a workflow so far, by ARN, with their status.
    pub(super) async fn executions_of_workflow(&self, workflow: &str) -> Result<BTreeMap<String, String>> {
        let mut pages =
            self.sfn.list_executions().state_machine_arn(workflow).into_paginator().items().send();
        let mut executions = BTreeMap::new();
        while let Some(execution) = pages.next().await {
            let execution = execution.context("ListExecutions")?;
            executions.insert(execution.execution_arn().to_owned(), execution.status().as_str().to_owned());
        }
        Ok(executions)
    }

    /// Starts the share workflow; returns the execution's ARN.
    pub async fn start_execution(&self, input: &Value) -> Result<String> {
        let request = self.sfn.start_execution().state_machine_arn(share_workflow()).input(input.to_string());
        Ok(request.send().await.context("StartExecution")?.execution_arn().to_owned())
    }

    /// Waits until an execution has ended; returns its status, and its output or the cause of its failure.
    pub async fn outcome(&self, execution: &str) -> Result<(String, String)> {
        self.until("the execution has ended", async || {
            let answer = self.sfn.describe_execution().execution_arn(execution).send().await;
            let answer = answer.context("DescribeExecution")?;
            let status = answer.status().as_str().to_owned();
            let output = answer.output().or(answer.cause()).unwrap_or_default().to_owned();
            Ok((status != "RUNNING").then_some((status, output)))
        })
        .await
    }

    /// When an execution started, in whole seconds since 1970.
    pub async fn started_at(&self, execution: &str) -> Result<i64> {
        let answer = self.sfn.describe_execution().execution_arn(execution).send().await;
        Ok(answer.context("DescribeExecution")?.start_date().secs())
    }

    /// Starts a reconciliation of an image and waits for its end; returns the same as [`Self::outcome`].
    pub async fn reconcile(&self, image: &str) -> Result<(String, String)> {
        let execution = self.start_execution(&json!({ "image_id": image })).await?;
        self.outcome(&execution).await
    }

    /// The inputs of all executions so far whose input names an image, by ARN.
    pub async fn executions_of(&self, image: &str) -> Result<BTreeMap<String, Value>> {
        let mut of_image = BTreeMap::new();
        for execution in self.executions().await?.into_keys() {
            let input = self.input(&execution).await?;
            if input.contains(image) {
                of_image.insert(execution, serde_json::from_str(&input).context("the input is not JSON")?);
            }
        }
        Ok(of_image)
    }

    /// Waits until no execution whose input names an image runs; returns how many there were.
    pub async fn settled(&self, image: &str) -> Result<usize> {
        self.until("every reconciliation of the image has ended", async || {
            let of_image = self.executions_of(image).await?;
            let all = self.executions().await?;
            let ended = |execution| all.get(execution).is_some_and(|status| status != "RUNNING");
            Ok(of_image.keys().all(ended).then_some(of_image.len()))
        })
        .await
    }

    /// The input of an execution. It never changes, so it is read once.
    async fn input(&self, execution: &str) -> Result<String> {
        let mut inputs = self.inputs.lock().await;
        if let Some(input) = inputs.get(execution) {
            return Ok(input.clone());
        }
        let answer = self.sfn.describe_execution().execution_arn(execution).send().await;
        let input = answer.context("DescribeExecution")?.input().unwrap_or_default().to_owned();
        inputs.insert(execution.to_owned(), input.clone());
        Ok(input)
    }
}

fn share_workflow() -> String {
    format!("arn:aws:states:{REGION}:{HUB}:stateMachine:{STACK}-share")
}

fn plain(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        AttributeValue::Bool(flag) => flag.to_string(),
        AttributeValue::Ss(texts) => texts.join(" "),
        AttributeValue::L(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        AttributeValue::M(fields) => {
            let fields: BTreeMap<&String, String> =
                fields.iter().map(|(name, value)| (name, plain(value))).collect();
            format!("{fields:?}")
        }
        other => format!("{other:?}"),
    }
}
