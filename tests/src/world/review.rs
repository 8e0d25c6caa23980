//! Starts, awaits and reads reviews; enables and disables the rules of the stack.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};
use serde_json::{Value, json};

use super::{Account, HUB, REGION, STACK};

/// A review that succeeded.
#[derive(Debug, Clone)]
pub struct Review {
    /// The ARN of its execution.
    pub execution: String,
    /// Its output: counts, and the URI of its report.
    pub output: Value,
}

impl Review {
    /// One of the counts of its output.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.output.get(name)?.as_u64()
    }

    /// The `s3://` URI of the page that it wrote.
    pub fn page(&self) -> Result<&str> {
        self.output.get("report").and_then(Value::as_str).context("the review has no report")
    }
}

impl Account {
    /// Starts the review workflow, under a name of AWS's choice where `name` is `None`; returns the execution's ARN.
    pub async fn start_review(&self, name: Option<&str>, input: &Value) -> Result<String> {
        let request =
            self.sfn.start_execution().state_machine_arn(review_workflow()).input(input.to_string());
        let answer = request.set_name(name.map(str::to_owned)).send().await.context("StartExecution")?;
        Ok(answer.execution_arn().to_owned())
    }

    /// Waits for the end of a review; an error if it did not succeed.
    pub async fn reviewed(&self, execution: &str) -> Result<Review> {
        let (status, output) = self.outcome(execution).await?;
        if status != "SUCCEEDED" {
            bail!("the review is {status}: {output}");
        }
        let output = serde_json::from_str(&output).context("the output is not JSON")?;
        Ok(Review { execution: execution.to_owned(), output })
    }

    /// Starts a review of all images, and waits for its end.
    pub async fn review(&self) -> Result<Review> {
        let execution = self.start_review(None, &json!({})).await?;
        self.reviewed(&execution).await
    }

    /// Redrives a failed execution, which continues where it stopped.
    pub async fn redrive(&self, execution: &str) -> Result<()> {
        self.sfn.redrive_execution().execution_arn(execution).send().await.context("RedriveExecution")?;
        Ok(())
    }

    /// The executions of the review workflow so far, by ARN, with their status.
    pub async fn reviews(&self) -> Result<BTreeMap<String, String>> {
        self.executions_of_workflow(&review_workflow()).await
    }

    /// Waits until no review and no reconciliation runs, and no event so far can still start one.
    pub async fn wait_until_idle(&self) -> Result<()> {
        self.until("no review and no reconciliation runs", async || {
            if self.under_way().await? > 0 {
                return Ok(None);
            }
            // In this order: a review that has ended starts no reconciliation any more.
            let running = [self.reviews().await?, self.executions().await?];
            let have_ended = running.iter().all(|all| all.values().all(|status| status != "RUNNING"));
            // They may have caused events just now.
            Ok((have_ended && self.under_way().await? == 0).then_some(()))
        })
        .await
    }

    /// Waits until every event so far is delivered, and the functions that it invoked have ended.
    pub async fn events_delivered(&self) -> Result<()> {
        let received = async || Ok((self.under_way().await? == 0).then_some(()));
        self.until("every event is delivered", received).await
    }

    /// The number of events and asynchronous invocations that have not ended. The real AWS has no API for that.
    async fn under_way(&self) -> Result<u64> {
        let answer = self.control("GET", "under-way", "").await?;
        answer.get("under way").and_then(Value::as_u64).context("no number in `under way`")
    }

    /// The access review beside a page, as JSON.
    pub async fn access_review(&self, page: &str) -> Result<Value> {
        let json = page.replace(".html", ".json");
        serde_json::from_slice(&self.object(&json).await?).context("the access review is not JSON")
    }

    /// The content of an object by its `s3://` URI.
    pub async fn object(&self, uri: &str) -> Result<Vec<u8>> {
        let (bucket, key) = bucket_and_key(uri)?;
        let answer = self.s3.get_object().bucket(bucket).key(key).send().await.context("s3:GetObject")?;
        Ok(answer.body.collect().await.context("reading an object")?.to_vec())
    }

    /// The number of pages that a review read: it writes one part for each, beside its report.
    pub async fn pages_of(&self, page: &str) -> Result<usize> {
        let (bucket, key) = bucket_and_key(page)?;
        let folder = key.rsplit_once('/').context("the report is in no folder")?.0;
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(format!("{folder}/parts/"));
        Ok(request.send().await.context("s3:ListObjectsV2")?.contents().len())
    }

    /// The size of all that a review wrote, its parts included, in bytes.
    pub async fn bytes_of(&self, page: &str) -> Result<f64> {
        let (bucket, key) = bucket_and_key(page)?;
        let folder = key.rsplit_once('/').context("the report is in no folder")?.0;
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(format!("{folder}/"));
        let objects = request.send().await.context("s3:ListObjectsV2")?;
        Ok(objects.contents().iter().filter_map(|object| object.size()).map(|size| size as f64).sum())
    }

    /// Disables the stack's rules: no event starts anything.
    pub async fn disable_rules(&self) -> Result<()> {
        for rule in self.rules().await? {
            self.events.disable_rule().name(rule).send().await.context("DisableRule")?;
        }
        Ok(())
    }

    /// Enables the stack's rules again. The stack never receives the events of the time between.
    pub async fn enable_rules(&self) -> Result<()> {
        for rule in self.rules().await? {
            self.events.enable_rule().name(rule).send().await.context("EnableRule")?;
        }
        Ok(())
    }

    /// Disables the stack's rule for events of AWS Organizations.
    pub async fn ignore_organization(&self) -> Result<()> {
        let rules = self.rules().await?;
        let rule = rules.iter().find(|rule| rule.contains("OrganizationChanged")).context("no such rule")?;
        self.events.disable_rule().name(rule).send().await.context("DisableRule")?;
        Ok(())
    }

    /// The rules of the stack that match events; not those that only have a schedule.
    async fn rules(&self) -> Result<Vec<String>> {
        let answer = self.events.list_rules().name_prefix(format!("{STACK}-")).send().await;
        let answer = answer.context("ListRules")?;
        let matching = answer.rules().iter().filter(|rule| rule.event_pattern().is_some());
        Ok(matching.filter_map(|rule| rule.name().map(str::to_owned)).collect())
    }
}

/// The current time, in the format of events.
pub fn now() -> Result<String> {
    Ok(DateTime::from(SystemTime::now()).fmt(Format::DateTime)?)
}

fn review_workflow() -> String {
    format!("arn:aws:states:{REGION}:{HUB}:stateMachine:{STACK}-review")
}

fn bucket_and_key(uri: &str) -> Result<(&str, &str)> {
    let path = uri.strip_prefix("s3://").context("not an s3:// URI")?;
    path.split_once('/').context("an s3:// URI without a key")
}
