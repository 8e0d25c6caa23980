//! Metrics, alarms, the dashboard and the runbook.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::key::policy::SIZE_LIMIT;
use ami_share_domain::metrics::{Metric, NAMESPACE};
use ami_share_domain::review::report::NEARLY_FULL_PERCENT;
use ami_share_tests::template::Template;
use serde_json::Value;
use strum::IntoEnumIterator;

use crate::files::{source_of_functions, text};
use crate::markdown::{code, rows, section};

const RUNBOOK: &str = "docs/runbook.md";

fn metrics() -> BTreeSet<String> {
    Metric::iter().map(|metric| metric.name().to_owned()).collect()
}

/// The properties of the alarms, by their names without that of the stack.
fn alarms() -> BTreeMap<String, Value> {
    let template = Template::read().unwrap();
    let alarms = template.resources("AWS::CloudWatch::Alarm").unwrap().into_iter().map(|(_, alarm)| {
        let name = alarm["Properties"]["AlarmName"]["Fn::Sub"].as_str().unwrap();
        let name = name.strip_prefix("${AWS::StackName}-").unwrap();
        (name.to_owned(), alarm["Properties"].clone())
    });
    alarms.collect()
}

/// The body of the dashboard, with a text in place of what CloudFormation fills in.
fn dashboard() -> Value {
    let template = Template::read().unwrap();
    let dashboards = template.resources("AWS::CloudWatch::Dashboard").unwrap();
    let mut body = dashboards[0].1["Properties"]["DashboardBody"]["Fn::Sub"].as_str().unwrap().to_owned();
    while let Some((before, after)) = body.split_once("${") {
        body = format!("{before}filled-in{}", after.split_once('}').unwrap().1);
    }
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("the dashboard is no JSON: {error}"))
}

#[test]
fn the_dashboard_shows_every_metric_and_alarm_and_no_other() {
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let shown = widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array()).flatten();
    let shown = shown.filter(|metric| metric[0] == NAMESPACE).filter_map(|metric| metric[1].as_str());
    assert_eq!(shown.map(str::to_owned).collect::<BTreeSet<_>>(), metrics());
    let listed = widgets.iter().filter_map(|widget| widget["properties"]["alarms"].as_array()).flatten();
    assert_eq!(listed.count(), alarms().len());
}

#[test]
fn every_alarm_uses_an_emitted_metric_and_notifies_the_topic() {
    for (name, alarm) in alarms() {
        let metric = alarm["MetricName"].as_str().unwrap();
        assert!(alarm["Namespace"] != NAMESPACE || metrics().contains(metric), "{name}: {metric}");
        assert_eq!(
            alarm["AlarmActions"],
            serde_json::json!([{ "Ref": "AlarmTopic" }]),
            "{name} notifies no topic"
        );
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name} goes off when nothing happens");
    }
}

#[test]
fn every_alarm_has_a_section_of_the_runbook_and_is_listed() {
    let runbook = text(RUNBOOK);
    for (name, alarm) in alarms() {
        let description = alarm["AlarmDescription"].as_str().unwrap();
        assert!(description.contains(&format!("See {name} in {RUNBOOK}.")), "{name} names another page");
        let page = section(&runbook, &format!("## {name}")).join("\n");
        for part in ["**Means:**", "**How bad:**", "**Look at:**", "**Do:**", "**Over when**"] {
            assert!(page.contains(part), "the section of {name} lacks {part}");
        }
    }
    let listed = rows(&text("docs/observability.md"), "## Alarms");
    let listed: BTreeSet<String> = listed.iter().flat_map(|row| code(&row[0])).collect();
    assert_eq!(listed, alarms().into_keys().collect());
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    let sections = sections.filter(|title| title.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    assert_eq!(sections.map(str::to_owned).collect::<BTreeSet<_>>(), listed, "a section without an alarm");
}

#[test]
fn a_key_is_nearly_full_for_the_alarm_when_it_is_for_the_review() {
    let threshold = SIZE_LIMIT * (100 - NEARLY_FULL_PERCENT) / 100;
    assert_eq!(alarms()["key-policy-nearly-full"]["Threshold"], threshold);
}

/// What follows each occurrence of `start`, up to a character that does not belong.
fn after(text: &str, start: &str, belongs: fn(char) -> bool) -> BTreeSet<String> {
    text.split(start).skip(1).map(|rest| rest.chars().take_while(|c| belongs(*c)).collect()).collect()
}

#[test]
fn the_runbook_queries_messages_and_metrics_that_the_functions_write() {
    let runbook = text(RUNBOOK);
    let queries: String = runbook.lines().filter_map(|line| line.strip_prefix("ask '")).collect();
    let source = source_of_functions();
    let messages =
        ["message in [\"", "\", \"", "message = \""].map(|start| after(&queries, start, |c| c != '"'));
    let messages: BTreeSet<String> = messages.into_iter().flatten().collect();
    assert!(messages.len() >= 3, "{messages:?}");
    for message in messages {
        assert!(source.contains(&format!("\"{message}\"")), "no function writes `{message}`");
    }
    let filtered = after(&queries, "filter ", |c| c.is_ascii_alphabetic());
    for name in filtered.iter().filter(|name| name.starts_with(char::is_uppercase)) {
        assert!(metrics().contains(name), "no function counts {name}");
    }
}
