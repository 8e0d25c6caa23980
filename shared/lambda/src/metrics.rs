//! Writes the counts of an invocation as one document in CloudWatch's embedded metric format, from which CloudWatch
//! extracts metrics.
//!
//! There are no dimensions (see ADR 14). The document also holds, under the names of the log lines, what the invocation
//! is about, and the calls of each service: Logs Insights finds and sums them without a metric of their own.
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::io::{self, Write};

use ami_share_aws::calls::Tally;
use ami_share_domain::metrics::{Measurements, Metric, NAMESPACE};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::invocation::Invocation;

/// The calls of one invocation, by service.
type CallsOfServices = BTreeMap<String, Tally>;

/// Writes the document of a finished invocation as one line, whether it failed or not.
pub(crate) fn write(function: &str, invocation: &Invocation, calls: &CallsOfServices) {
    let Some(document) = document(function, invocation, calls, Timestamp::now()) else { return };
    // In one write, so that no log line lands inside. A metric that cannot be written fails no invocation.
    if let Err(error) = io::stdout().lock().write_all(format!("{document}\n").as_bytes()) {
        tracing::warn!(%error, "the metrics were not written");
    }
}

/// `None` when nothing was counted.
fn document(
    function: &str,
    invocation: &Invocation,
    calls: &CallsOfServices,
    now: Timestamp,
) -> Option<Value> {
    let measured = invocation.measured();
    let measured = measured
        .counting(Metric::ApiCalls, calls.values().map(|tally| tally.attempts).sum())
        .counting(Metric::Throttles, calls.values().map(|tally| tally.throttled).sum());
    if measured.is_empty() {
        return None;
    }
    let mut document = Map::new();
    document.insert("_aws".to_owned(), directive(&measured, now));
    document.insert("function".to_owned(), function.into());
    document.extend(invocation.properties().map(|(name, value)| (name.to_owned(), value.into())));
    document.extend(measured.values().map(|(metric, value)| (metric.name().to_owned(), number(value))));
    document.insert("calls".to_owned(), by_service(calls, |tally| tally.attempts));
    document.insert("throttled".to_owned(), by_service(calls, |tally| tally.throttled));
    Some(Value::Object(document))
}

/// The directive that names the fields of the document that are metrics.
fn directive(measured: &Measurements, now: Timestamp) -> Value {
    let metrics =
        measured.values().map(|(metric, _)| json!({ "Name": metric.name(), "Unit": metric.unit().name() }));
    json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{
            "Namespace": NAMESPACE,
            "Dimensions": [[]],
            "Metrics": metrics.collect::<Vec<_>>(),
        }],
    })
}

/// `{"EC2": 3}`, without the services whose count is zero.
fn by_service(calls: &CallsOfServices, count: fn(&Tally) -> usize) -> Value {
    let counted = calls.iter().map(|(service, tally)| (service.clone(), count(tally)));
    counted.filter(|(_, count)| *count > 0).map(|(service, count)| (service, Value::from(count))).collect()
}

/// A count is written without a decimal point: `3`, not `3.0`.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    match value.fract() == 0.0 && value.abs() < 9e15 {
        true => (value as i64).into(),
        false => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;

    use super::*;
    use crate::invocation::About;

    fn invocation() -> Invocation {
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        let image = "ami-0abcdef1234567890".parse().unwrap();
        let execution = Some("arn:aws:states:…".to_owned());
        Invocation::new(&context, About { execution, ..About::image(&image) })
    }

    #[test]
    fn a_document_names_its_metrics_and_says_what_they_are_about() {
        let invocation = invocation();
        invocation.measure(&Measurements::default().counting(Metric::SharesGranted, 2));
        invocation.measure(&Measurements::default().with(Metric::SecondsToShare, 4.25));
        let calls = BTreeMap::from([
            ("EC2".to_owned(), Tally { attempts: 5, throttled: 2 }),
            ("KMS".to_owned(), Tally { attempts: 1, throttled: 0 }),
        ]);
        let now = Timestamp::from_millisecond(1_574_109_732_004).unwrap();
        let document = document("ami-share-share-image", &invocation, &calls, now).unwrap();
        assert_eq!(
            document,
            json!({
                "_aws": {
                    "Timestamp": 1_574_109_732_004_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "ami-share",
                        "Dimensions": [[]],
                        "Metrics": [
                            { "Name": "SharesGranted", "Unit": "Count" },
                            { "Name": "SecondsToShare", "Unit": "Seconds" },
                            { "Name": "ApiCalls", "Unit": "Count" },
                            { "Name": "Throttles", "Unit": "Count" },
                        ],
                    }],
                },
                "function": "ami-share-share-image",
                "request": "r-1",
                "execution": "arn:aws:states:…",
                "image": "ami-0abcdef1234567890",
                "SharesGranted": 2,
                "SecondsToShare": 4.25,
                "ApiCalls": 6,
                "Throttles": 2,
                "calls": { "EC2": 5, "KMS": 1 },
                "throttled": { "EC2": 2 },
            })
        );
        assert!(!document.to_string().contains('\n'));
    }

    #[test]
    fn an_invocation_without_counts_writes_no_document() {
        assert_eq!(document("f", &invocation(), &BTreeMap::new(), Timestamp::now()), None);
    }
}
