"""Checks of EventBridge Scheduler and Step Functions: moments that have passed, names, fractions of a second."""

import json
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from botocore.exceptions import ClientError

from sandbox import executions
from sandbox.answers import TAKEN, answer, described, related, until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds, holds_if
from sandbox.fixture import Fixture

# How long a moment that has passed may take to start something, before we say that it never does.
FIRES_WITHIN_SECONDS = 180


def _schedule(fixture: Fixture, name: str, moment: datetime, given: dict[str, str]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
    return {
        "GroupName": fixture.schedule_group, "Name": name, "ScheduleExpressionTimezone": "UTC",
        "ScheduleExpression": moment.strftime("at(%Y-%m-%dT%H:%M:%S)"), "ActionAfterCompletion": "DELETE",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": fixture.workflow, "RoleArn": fixture.service_role, "Input": json.dumps(given)},
    }  # fmt: skip


def _started_with(fixture: Fixture, marker: str) -> bool:
    states = fixture.account.client("stepfunctions")
    executions = states.list_executions(stateMachineArn=fixture.workflow)["executions"]
    inputs = (states.describe_execution(executionArn=one["executionArn"]).get("input", "") for one in executions)
    return any(marker in given for given in inputs)


@check("schedule-past", "A schedule at a moment that has passed is refused, or starts its target at once; it is not kept without ever starting anything.")
def schedule_at_a_moment_that_has_passed(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time (says nothing of it)"""
    scheduler, marker = fixture.account.client("scheduler"), uuid.uuid4().hex
    # One that is ahead first, so that what is refused afterwards is not the new role.
    ahead = _schedule(fixture, "ahead", datetime.now(timezone.utc) + timedelta(days=2), {})
    fixture.until_trusted(scheduler.create_schedule, **ahead)
    past = _schedule(fixture, "past", datetime.now(timezone.utc) - timedelta(minutes=10), {"marker": marker})
    try:
        scheduler.create_schedule(**past)
    except ClientError as error:
        if related(error) != "ValidationException" or "role" in str(error).lower():
            raise NotChecked(f"refused, but maybe not for the moment: {described(error)}") from error
        return holds(f"refused with {described(error)}")
    began = time.monotonic()
    if until(lambda: _started_with(fixture, marker), fixture.within(FIRES_WITHIN_SECONDS), pause=3):
        return holds(f"taken, and started after {time.monotonic() - began:.0f} s")
    seen = f"taken, and nothing was started within {time.monotonic() - began:.0f} s"
    if time.monotonic() - began < FIRES_WITHIN_SECONDS:
        raise NotChecked(seen)
    return contradicted(seen)


@check("schedule-name-free", "The name of a schedule that was deleted is free at once.")
def name_of_a_deleted_schedule(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteSchedule.html"""
    scheduler = fixture.account.client("scheduler")
    wanted = _schedule(fixture, "again", datetime.now(timezone.utc) + timedelta(days=2), {})
    fixture.until_trusted(scheduler.create_schedule, **wanted)
    scheduler.delete_schedule(GroupName=fixture.schedule_group, Name="again")
    code = answer(scheduler.create_schedule, **wanted)
    return holds_if(code == TAKEN, code)


@check("wait-fraction", "A Wait state takes a timestamp with a fraction of a second, and ends no earlier than that second.")
def wait_until_a_fraction_of_a_second(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-wait-state.html"""
    second = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=4)
    found = executions.run(fixture, fixture.workflow, {"not_before": second.strftime("%Y-%m-%dT%H:%M:%S.250Z")})
    if found["startDate"] >= second:
        raise NotChecked("the execution began so late that there was nothing to wait for")
    if found["status"] != "SUCCEEDED":
        return contradicted(executions.failure(found))
    late = (found["stopDate"] - second).total_seconds()
    return holds_if(late >= 0, f"it ended {late:.2f} s after the second began")
