//! Reviews: started, waited for and read; and what keeps the stack from hearing of changes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat as Format};
use serde_json::{Value, json};

use super::{Account, HUB, REGION, STACK};

/// A review that has ended well.
#[derive(Debug, Clone)]
pub struct Review {
    /// The ARN of its execution.
    pub execution: String,
    /// What it answered: counts, and where its report is.
    pub output: Value,
}

impl Review {
    /// One of the counts of its answer.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.output.get(name)?.as_u64()
    }

    /// The `s3://` URI of the page that it wrote.
    pub fn page(&self) -> Result<&str> {
        self.output.get("report").and_then(Value::as_str).context("a review without a report")
    }
}

impl Account {
    /// Starts the review workflow under a name, or under one that AWS gives; answers the execution's ARN.
    pub async fn start_review(&self, name: Option<&str>, input: &Value) -> Result<String> {
        let request =
            self.sfn.start_execution().state_machine_arn(review_workflow()).input(input.to_string());
        let answer = request.set_name(name.map(str::to_owned)).send().await.context("StartExecution")?;
        Ok(answer.execution_arn().to_owned())
    }

    /// Waits until a review has ended well.
    pub async fn reviewed(&self, execution: &str) -> Result<Review> {
        let (status, said) = self.outcome(execution).await?;
        if status != "SUCCEEDED" {
            bail!("the review is {status}: {said}");
        }
        let output = serde_json::from_str(&said).context("an output that is no JSON")?;
        Ok(Review { execution: execution.to_owned(), output })
    }

    /// Reviews all images by hand, and waits for the end.
    pub async fn review(&self) -> Result<Review> {
        let execution = self.start_review(None, &json!({})).await?;
        self.reviewed(&execution).await
    }

    /// Lets an execution that ended badly go on where it stopped.
    pub async fn redrive(&self, execution: &str) -> Result<()> {
        self.sfn.redrive_execution().execution_arn(execution).send().await.context("RedriveExecution")?;
        Ok(())
    }

    /// The executions of the review workflow so far, by ARN, with their status.
    pub async fn reviews(&self) -> Result<BTreeMap<String, String>> {
        self.executions_of_workflow(&review_workflow()).await
    }

    /// Waits until neither a review nor a look at any image runs, and nothing that has happened so far can start one.
    pub async fn still(&self) -> Result<()> {
        self.until("no review and no look runs any more", async || {
            if self.under_way().await? > 0 {
                return Ok(None);
            }
            // In this order: a review that has ended starts no look any more.
            let running = [self.reviews().await?, self.executions().await?];
            let are_over = running.iter().all(|all| all.values().all(|status| status != "RUNNING"));
            // What they did may have been told just now.
            Ok((are_over && self.under_way().await? == 0).then_some(()))
        })
        .await
    }

    /// Waits until every event so far is delivered, and the functions that it invoked have ended.
    pub async fn events_delivered(&self) -> Result<()> {
        let received = async || Ok((self.under_way().await? == 0).then_some(()));
        self.until("every event is delivered", received).await
    }

    /// How many events and asynchronous invocations are not done yet: no AWS has an API for that.
    async fn under_way(&self) -> Result<u64> {
        let answer = self.control("GET", "under-way", "").await?;
        answer.get("under way").and_then(Value::as_u64).context("no number of what is under way")
    }

    /// The access review beside a page, as JSON.
    pub async fn access_review(&self, page: &str) -> Result<Value> {
        let json = page.replace(".html", ".json");
        serde_json::from_slice(&self.object(&json).await?).context("an access review that is no JSON")
    }

    /// What is under an `s3://` URI.
    pub async fn object(&self, uri: &str) -> Result<Vec<u8>> {
        let (bucket, key) = bucket_and_key(uri)?;
        let answer = self.s3.get_object().bucket(bucket).key(key).send().await.context("s3:GetObject")?;
        Ok(answer.body.collect().await.context("reading an object")?.to_vec())
    }

    /// How many pages a review read, by the parts that it left beside its report.
    pub async fn pages_of(&self, page: &str) -> Result<usize> {
        let (bucket, key) = bucket_and_key(page)?;
        let folder = key.rsplit_once('/').context("a report in no folder")?.0;
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(format!("{folder}/parts/"));
        Ok(request.send().await.context("s3:ListObjectsV2")?.contents().len())
    }

    /// How much a review wrote, its parts included, in bytes.
    pub async fn bytes_of(&self, page: &str) -> Result<f64> {
        let (bucket, key) = bucket_and_key(page)?;
        let folder = key.rsplit_once('/').context("a report in no folder")?.0;
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(format!("{folder}/"));
        let objects = request.send().await.context("s3:ListObjectsV2")?;
        Ok(objects.contents().iter().filter_map(|object| object.size()).map(|size| size as f64).sum())
    }

    /// Makes the stack deaf: no event starts anything any more.
    pub async fn disable_rules(&self) -> Result<()> {
        for rule in self.rules().await? {
            self.events.disable_rule().name(rule).send().await.context("DisableRule")?;
        }
        Ok(())
    }

    /// Lets the stack hear events again. What happened meanwhile is lost.
    pub async fn enable_rules(&self) -> Result<()> {
        for rule in self.rules().await? {
            self.events.enable_rule().name(rule).send().await.context("EnableRule")?;
        }
        Ok(())
    }

    /// Makes the stack deaf to AWS Organizations.
    pub async fn ignore_organization(&self) -> Result<()> {
        let rules = self.rules().await?;
        let rule = rules.iter().find(|rule| rule.contains("OrganizationChanged")).context("no such rule")?;
        self.events.disable_rule().name(rule).send().await.context("DisableRule")?;
        Ok(())
    }

    /// The rules of the stack that wait for events; not those that only have a schedule.
    async fn rules(&self) -> Result<Vec<String>> {
        let answer = self.events.list_rules().name_prefix(format!("{STACK}-")).send().await;
        let answer = answer.context("ListRules")?;
        let waiting = answer.rules().iter().filter(|rule| rule.event_pattern().is_some());
        Ok(waiting.filter_map(|rule| rule.name().map(str::to_owned)).collect())
    }
}

/// This moment, as events write it.
pub fn now() -> Result<String> {
    Ok(DateTime::from(SystemTime::now()).fmt(Format::DateTime)?)
}

fn review_workflow() -> String {
    format!("arn:aws:states:{REGION}:{HUB}:stateMachine:{STACK}-review")
}

fn bucket_and_key(uri: &str) -> Result<(&str, &str)> {
    let path = uri.strip_prefix("s3://").context("no s3:// URI")?;
    path.split_once('/').context("an s3:// URI without a key")
}
