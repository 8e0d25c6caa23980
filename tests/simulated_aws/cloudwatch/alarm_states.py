"""Evaluates the state of an alarm from its metric when a caller describes it.

CloudWatch itself evaluates an alarm in each period and takes its actions; here no action is taken.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation
"""

import operator
from collections.abc import Callable, Iterable
from datetime import timedelta

from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.core.utils import utcnow

_COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len}


def state(backend: CloudWatchBackend, alarm: Alarm) -> str:
    """`ALARM` when enough of the last periods breach the threshold; a period without values does not."""
    now, period = utcnow(), timedelta(seconds=int(alarm.period))
    points = [
        one for one in backend.get_all_metrics()
        if (one.namespace, one.name) == (alarm.namespace, alarm.metric_name) and one.dimensions == alarm.dimensions
    ]  # fmt: skip
    breaching = 0
    for number in range(int(alarm.evaluation_periods)):
        end = now - number * period
        values = [one.value for one in points if end - period < one.timestamp <= end]
        if values and _COMPARISONS[alarm.comparison_operator](_STATISTICS[alarm.statistic](values), alarm.threshold):
            breaching += 1
    return "ALARM" if breaching >= int(alarm.datapoints_to_alarm or alarm.evaluation_periods) else "OK"


def install() -> None:
    """Evaluates alarms whenever a call describes them."""
    for name in ("describe_alarms", "get_alarms_by_alarm_names", "get_alarms_by_alarm_name_prefix", "get_alarms_by_state_value"):
        setattr(CloudWatchBackend, name, _evaluating(getattr(CloudWatchBackend, name)))


def _evaluating(describe: Callable[..., Iterable[Alarm]]) -> Callable[..., Iterable[Alarm]]:
    def call(self: CloudWatchBackend, *args: object) -> Iterable[Alarm]:
        for alarm in self.alarms.values():
            if alarm.metric_name and alarm.statistic in _STATISTICS and (found := state(self, alarm)) != alarm.state_value:
                alarm.update_state("Threshold Crossed" if found == "ALARM" else "Threshold not crossed", "{}", found)
        return describe(self, *args)

    return call
