"""Executions of state machines: starts each, and polls it until it has ended."""

import json
from typing import Any

from sandbox.answers import until
from sandbox.findings import NotChecked
from sandbox.fixture import Fixture

_ENDS_WITHIN_SECONDS = 60


def run(fixture: Fixture, machine: str, given: dict[str, Any]) -> dict[str, Any]:
    """Starts one; the execution when it has ended.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html (is eventually consistent)
    """
    states = fixture.account.client("stepfunctions")
    started = fixture.until_trusted(states.start_execution, stateMachineArn=machine, input=json.dumps(given))
    return end(fixture, started["executionArn"])


def end(fixture: Fixture, execution: str, redrives: int = 0) -> dict[str, Any]:
    """One that was started, and redriven so many times, when it has ended. What is shown of it may be old."""
    states = fixture.account.client("stepfunctions")

    def ended() -> dict[str, Any] | None:
        try:
            found = dict(states.describe_execution(executionArn=execution))
        except states.exceptions.ExecutionDoesNotExist:
            return None
        return found if found["status"] != "RUNNING" and found.get("redriveCount", 0) >= redrives else None

    found = until(ended, _ENDS_WITHIN_SECONDS, pause=0.5)
    if found is None:
        raise NotChecked("the execution does not end")
    return dict(found)


def failure(execution: dict[str, Any]) -> str:
    """`FAILED: Error Cause`, as far as it has them; the cause only in part."""
    return f"{execution['status']}: {execution.get('error', '')} {execution.get('cause', '')[:200]}".strip(": ")
