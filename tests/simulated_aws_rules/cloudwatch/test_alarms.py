"""CloudWatch: alarms and dashboards of a template."""

import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from running import HUB, REGION
from simulated_aws.cloudformation.alarms import BadDashboard, Dashboard
from simulated_aws.cloudwatch import embedded_metrics
from stack_calls import invoke


def document(name, value, namespace="tests", **more):
    """A document of one metric, like the example of the specification."""
    directive = {"Namespace": namespace, "Dimensions": [[]], "Metrics": [{"Name": name, "Unit": "Count"}]}
    return {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive | more]}, name: value}


def statistics(simulation, name, *which):
    """Over the last hour."""
    now = datetime.now(timezone.utc)
    found = simulation.client("cloudwatch").get_metric_statistics(
        Namespace="tests", MetricName=name, StartTime=now - timedelta(hours=1), EndTime=now + timedelta(minutes=1),
        Period=7200, Statistics=which,
    )["Datapoints"]  # fmt: skip
    return [tuple(point[one] for one in which) for point in found]


def test_what_a_function_logs_in_the_embedded_metric_format_is_a_metric(simulation):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    lines = [json.dumps(document("Given", 2)), "a line of text", json.dumps(document("Given", [3, 4])), '{"Given": 100}']
    invoke(simulation, {"do": "log", "lines": lines})
    assert statistics(simulation, "Given", "Sum", "Maximum", "SampleCount") == [(9, 4, 3)]
    assert statistics(simulation, "Given", "Sum") == [(9,)], "each document counts once"


@pytest.mark.parametrize("broken", [
    document("Given", "many"),
    document("Given", [1] * 101),
    document("Given", 1, Dimensions=[]),
    document("Given", 1, Dimensions=[["service"]]),
    document("Given", 1, Metrics=[{"Name": "Missing"}]),
    document("Given", 1, Metrics=[{"Name": "Given"}] * 101),
    {"_aws": {"CloudWatchMetrics": []}},
])  # fmt: skip
def test_a_document_that_is_not_valid_makes_no_metric(broken):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    with pytest.raises(embedded_metrics.InvalidDocument):
        list(embedded_metrics.metrics(broken))


@pytest.mark.parametrize(("values", "state"), [((), "OK"), ((1,), "OK"), ((1, 2), "ALARM")])
def test_an_alarm_goes_off_when_its_metric_breaches_the_threshold(simulation, values, state):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation"""
    cloudwatch, name = simulation.client("cloudwatch"), f"alarm-{len(values)}"
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="tests", MetricName=name, Statistic="Sum", Period=300, EvaluationPeriods=1,
        Threshold=3, ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="notBreaching",
    )  # fmt: skip
    invoke(simulation, {"do": "log", "lines": [json.dumps(document(name, value)) for value in values]})
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["StateValue"] == state
    cloudwatch.delete_alarms(AlarmNames=[name])


def test_an_alarm_of_the_stack_can_be_described(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html"""
    found = simulation.client("cloudwatch").describe_alarms(AlarmNames=[simulation.outputs["AlarmName"]])["MetricAlarms"]
    assert [one["AlarmArn"] for one in found] == [simulation.outputs["AlarmArn"]]
    assert (found[0]["MetricName"], found[0]["Period"]) == ("ApproximateNumberOfMessagesVisible", 300)
    assert found[0]["AlarmActions"] == [simulation.outputs["TopicArn"]]


def test_a_dashboard_of_the_stack_can_be_read(simulation):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetDashboard.html"""
    cloudwatch = simulation.client("cloudwatch")
    [name] = [one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]]
    [widget] = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])["widgets"]
    assert widget["properties"]["alarms"] == [simulation.outputs["AlarmArn"]]


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"widgets": [{"type": "text"}]}'])
def test_a_dashboard_without_a_valid_body_is_not_made(body):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    with pytest.raises(BadDashboard):
        Dashboard.create({"DashboardName": "board", "DashboardBody": body}, HUB, REGION)
