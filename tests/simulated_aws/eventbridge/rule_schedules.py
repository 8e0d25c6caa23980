"""Fires EventBridge rules with a ScheduleExpression; their targets get a `Scheduled Event`.

Rules support `rate` and `cron` in UTC, on the default bus only, but not `at`.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from moto.events.exceptions import ValidationException
from moto.events.models import Rule, events_backends

from simulated_aws.eventbridge import delivery, emission
from simulated_aws.scheduler import clock, schedule_expression
from simulated_aws.scheduler.clock import Plan
from simulated_aws.scheduler.schedule_expression import At, MalformedExpression, Rate


def plan_of(expression: str) -> Plan:
    """When a rule with this expression fires. A rate first fires after one period; its unit is singular for 1.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
    """
    try:
        parsed = schedule_expression.parse(expression)
    except MalformedExpression as error:
        raise _invalid() from error
    if isinstance(parsed, Rate):
        if re.fullmatch(r"rate\((1 (minute|hour|day)|(?!1 )\d+ (minutes|hours|days))\)", expression) is None:
            raise _invalid()
        return Plan(replace(parsed, at_once=False))
    if isinstance(parsed, At):
        raise _invalid()
    return Plan(parsed)


def _invalid() -> ValidationException:
    return ValidationException("Parameter ScheduleExpression is not valid.")


def _planning(initialize: Any) -> Any:
    def call(self: Rule, *args: Any, **kwargs: Any) -> None:
        initialize(self, *args, **kwargs)
        if self.scheduled_expression:
            self.plan = plan_of(self.scheduled_expression)

    return call


def _enabled() -> Iterator[clock.Firing]:
    for regions in list(events_backends.values()):
        for backend in list(regions.values()):
            for rule in list(backend.event_buses["default"].rules.values()):
                if rule.scheduled_expression and rule.state != "DISABLED":
                    yield rule.plan, partial(_fire, rule)


def _fire(rule: Rule, moment: datetime) -> None:
    event = emission.envelope(
        rule.account_id, rule.region_name, "aws.events", "Scheduled Event", [rule.arn], {}, moment
    )
    delivery.deliver_to_targets(rule, event)


def install() -> None:
    """Gives every rule with a schedule its plan, and registers these rules with the clock."""
    Rule.__init__ = _planning(Rule.__init__)
    clock.watch(_enabled)
