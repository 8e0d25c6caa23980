//! Operators find every log line by image, execution and request, and metrics that are right.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_tests::world::PATIENCE;
use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde_json::Value;

use crate::fixture::{Fixture, flow, flow_throttled};

/// The functions that every grant and every revocation invokes.
const FUNCTIONS: [&str; 4] = ["resolve-share", "extend-key-policy", "share-image", "notify-targets"];

const UNITS: [&str; 3] = ["Bytes", "Count", "Seconds"];

#[test]
fn every_line_about_an_image_says_which_execution_and_request_wrote_it() -> Result<()> {
    flow(async |fixture| {
        let golden = granted_and_revoked(fixture).await?;
        let executions: BTreeSet<String> = fixture.hub.executions_of(&golden).await?.into_keys().collect();
        for function in FUNCTIONS {
            let lines = fixture.log_lines(function, &golden)?;
            let (documents, logged): (Vec<_>, Vec<_>) =
                lines.iter().partition(|line| line.get("_aws").is_some());
            assert!(!documents.is_empty() && !logged.is_empty(), "{function}: {lines:?}");
            for line in &lines {
                assert_eq!(line["image"], golden.as_str(), "{function}: {line}");
                assert!(line["request"].as_str().is_some_and(|id| id.len() == 36), "{function}: {line}");
                let execution = line["execution"].as_str().context("no execution")?;
                assert!(executions.contains(execution), "{function}: {line}");
            }
            assert!(logged.iter().all(|line| line["message"].is_string() && line["level"] == "INFO"));
            // Every line of these requests names the image, so none was missed.
            let requests: BTreeSet<&str> = lines.iter().filter_map(|line| line["request"].as_str()).collect();
            for request in requests {
                let of_request = fixture.log_lines(function, request)?;
                assert!(of_request.iter().all(|line| line["image"] == golden.as_str()), "{of_request:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn grants_refusals_and_revocations_are_counted_once_and_every_call_is_counted() -> Result<()> {
    flow(async |fixture| {
        let golden = granted_and_revoked(fixture).await?;
        let notified = counted(&documents(fixture, "notify-targets", &golden)?);
        for (metric, count) in [
            ("SharesGranted", 1.0),
            ("SharesRefused", 2.0),
            ("ExternalTargetsRefused", 1.0),
            ("SharesRevoked", 1.0),
        ] {
            assert_eq!(notified.get(metric), Some(&count), "{metric} in {notified:?}");
        }
        let granted = documents(fixture, "share-image", &golden)?;
        let seconds: Vec<f64> =
            granted.iter().filter_map(|document| document["SecondsToShare"].as_f64()).collect();
        let plausible = 0.0..PATIENCE.as_secs_f64();
        assert!(matches!(seconds.as_slice(), [seconds] if plausible.contains(seconds)), "{seconds:?}");
        // An invocation that stops early on a busy machine, to be retried, does not measure the policy.
        let keys = documents(fixture, "extend-key-policy", &golden)?;
        assert!(keys.iter().any(|key| key["KeyPolicyBytesLeft"].as_f64().is_some_and(|left| left > 0.0)));
        every_call_is_counted(fixture, &golden).await
    })
}

#[test]
fn throttled_tries_are_counted_and_the_share_goes_through() -> Result<()> {
    flow_throttled(async |fixture| {
        let names: Vec<String> = (0..12).map(|_| fixture.name("throttled")).collect();
        try_join_all(names.iter().map(|name| fixture.hub.create_tagged_account(name, "Stage", "throttled")))
            .await?;
        let image = fixture.image("throttled").await?;
        fixture.hub.invocations(&image).await?;
        // Two reconciliations that read the organization at once would throttle each other for minutes.
        fixture.await_reconciliations(&image, 0).await?;
        assert_eq!(fixture.share(&image, "tag:Stage=throttled").await?, "shared with 12 accounts");
        fixture.await_reconciliations(&image, 1).await?;
        let resolved = documents(fixture, "resolve-share", &image)?;
        let throttles = counted(&resolved).get("Throttles").copied().unwrap_or_default();
        let of_organizations: f64 =
            resolved.iter().filter_map(|one| one["throttled"]["Organizations"].as_f64()).sum();
        assert!(throttles >= 1.0 && throttles == of_organizations, "{resolved:?}");
        every_call_is_counted(fixture, &image).await
    })
}

/// An encrypted image that was shared with one account, while an external account and a malformed selector were
/// refused, and that was then revoked.
async fn granted_and_revoked(fixture: &Fixture) -> Result<String> {
    let b = fixture.target_account("b").await?;
    let golden = fixture.golden("counted").await?;
    fixture.hub.invocations(&golden.image).await?;
    fixture.await_reconciliations(&golden.image, 0).await?;
    let status = fixture.share(&golden.image, &format!("{} 999999999999 22222", b.id)).await?;
    assert!(status.starts_with("shared with 1 account; refused: "), "{status}");
    fixture.await_reconciliations(&golden.image, 1).await?;
    fixture.hub.untag(&golden.image, "ami-share:with").await?;
    fixture.hub.status(&golden.image, |status| status.starts_with("not shared")).await?;
    fixture.await_reconciliations(&golden.image, 2).await?;
    Ok(golden.image)
}

/// The metric documents that a function wrote about an image; checks each.
fn documents(fixture: &Fixture, function: &str, image: &str) -> Result<Vec<Value>> {
    let mut documents = fixture.log_lines(function, image)?;
    documents.retain(|line| line.get("_aws").is_some());
    for document in &documents {
        valid(document).with_context(|| document.to_string())?;
    }
    let requests: BTreeSet<&str> = documents.iter().filter_map(|one| one["request"].as_str()).collect();
    assert_eq!(requests.len(), documents.len(), "an invocation wrote two documents");
    Ok(documents)
}

/// Checks a document against the part of the schema that ami-share uses. Source:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn valid(document: &Value) -> Result<()> {
    let root = document.as_object().context("not an object")?;
    let metadata = root.get("_aws").context("no _aws")?;
    metadata.get("Timestamp").and_then(Value::as_u64).context("no Timestamp in milliseconds")?;
    let directives = metadata.get("CloudWatchMetrics").and_then(Value::as_array);
    let directives = directives.context("no CloudWatchMetrics")?;
    let [directive] = directives.as_slice() else { anyhow::bail!("not exactly one directive") };
    anyhow::ensure!(directive["Namespace"] == "ami-share", "another namespace");
    let sets = directive["Dimensions"].as_array().context("no Dimensions")?;
    anyhow::ensure!(!sets.is_empty(), "the list of dimension sets is empty");
    for dimension in sets.iter().map(|set| set.as_array().context("no set")).collect::<Result<Vec<_>>>()? {
        anyhow::ensure!(dimension.is_empty(), "dimensions cost money");
    }
    let metrics = directive["Metrics"].as_array().context("no Metrics")?;
    anyhow::ensure!((1..=100).contains(&metrics.len()), "one to a hundred metrics");
    for metric in metrics {
        let name = metric["Name"].as_str().context("no Name")?;
        let unit = metric["Unit"].as_str().context("no Unit")?;
        anyhow::ensure!(UNITS.contains(&unit), "`{unit}` is not a unit");
        anyhow::ensure!(root.get(name).is_some_and(Value::is_number), "{name} has no value");
    }
    let has_metric = |name: &str| metrics.iter().any(|metric| metric["Name"] == name);
    let is_metric = |name: &String| name.starts_with(char::is_uppercase);
    let stray: Vec<_> = root.keys().filter(|name| is_metric(name) && !has_metric(name)).collect();
    anyhow::ensure!(stray.is_empty(), "{stray:?} are values without a metric");
    Ok(())
}

/// The sum of each metric.
fn counted(documents: &[Value]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, value) in documents.iter().filter_map(Value::as_object).flatten() {
        if let Some(value) = value.as_f64() {
            *sums.entry(name.clone()).or_default() += value;
        }
    }
    sums
}

/// Checks that the functions count the calls that the simulated AWS received. On a busy machine a function may count a
/// call that never arrived.
async fn every_call_is_counted(fixture: &Fixture, image: &str) -> Result<()> {
    let invocations = fixture.hub.invocations(image).await?;
    let mut exact = 0;
    for invocation in &invocations {
        let documents = documents(fixture, &invocation.function, image)?;
        let document = documents.iter().find(|one| one["request"] == invocation.request_id.as_str());
        let document = document.with_context(|| format!("no document of {invocation:?}"))?;
        let by_service = document["calls"].as_object().context("no calls")?;
        let sum: u64 = by_service.values().filter_map(Value::as_u64).sum();
        assert_eq!(document["ApiCalls"].as_u64(), Some(sum), "{document}");
        let sum = usize::try_from(sum)?;
        assert!(sum >= invocation.calls.len(), "{document}\n{:?}", invocation.calls);
        exact += usize::from(sum == invocation.calls.len());
    }
    assert!(exact * 2 > invocations.len(), "{exact} of {}", invocations.len());
    Ok(())
}
