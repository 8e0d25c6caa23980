"""The CloudWatch alarms and dashboards of a template.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-dashboard.html
"""

import json

from moto.cloudwatch.models import cloudwatch_backends

from simulated_aws.cloudformation.resource_type import Addition, Properties

# Properties whose parameter of moto's function is not simply the name in snake case.
_NAMES = {"AlarmName": "name", "AlarmDescription": "description", "OKActions": "ok_actions", "Metrics": None}
_NEEDED = {
    "namespace": None, "metric_name": None, "period": None, "statistic": None, "description": None, "threshold": None,
    "dimensions": [], "alarm_actions": [],
}  # fmt: skip

# A template may write numbers as text.
_NUMBERS = {"evaluation_periods": int, "datapoints_to_alarm": int, "period": int, "threshold": float}


class Alarm(Addition):
    TYPE = "AWS::CloudWatch::Alarm"
    NAME_PROPERTY = "AlarmName"
    ARN = "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        named = {_NAMES.get(name, _small(name)): value for name, value in properties.items()}
        given = {name: value for name, value in named.items() if name is not None and value is not None}
        numbers = {name: read(given[name]) for name, read in _NUMBERS.items() if name in given}
        cloudwatch_backends[account_id][region].put_metric_alarm(**_NEEDED | given | numbers)

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        cloudwatch_backends[account_id][region].delete_alarms([properties["AlarmName"]])


class BadDashboard(Exception):
    """The body of a dashboard is not a JSON object with widgets."""


class Dashboard(Addition):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""

    TYPE = "AWS::CloudWatch::Dashboard"
    NAME_PROPERTY = "DashboardName"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        name, body = properties["DashboardName"], properties["DashboardBody"]
        try:
            widgets = json.loads(body)["widgets"]
        except (KeyError, TypeError, ValueError) as error:
            raise BadDashboard(f"the body of the dashboard {name} is not valid: {error}") from error
        if not all(isinstance(widget.get("properties"), dict) and "type" in widget for widget in widgets):
            raise BadDashboard(f"a widget of the dashboard {name} lacks its type or its properties")
        cloudwatch_backends[account_id][region].put_dashboard(name, body)

    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        cloudwatch_backends[account_id][region].delete_dashboards([properties["DashboardName"]])


def _small(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
