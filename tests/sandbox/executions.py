"""Executions of state machines: starts one, and polls it until it has ended."""

import json
from typing import Any

from sandbox.answers import until
from sandbox.findings import NotChecked
from sandbox.fixture import Fixture

_ENDS_WITHIN_SECONDS = 60


def run(fixture: Fixture, machine: str, given: dict[str, Any]) -> dict[str, Any]:
    """Starts an execution and returns it when it has ended.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html (is eventually consistent)
    """
    states = fixture.account.client("stepfunctions")
    started = fixture.until_trusted(states.start_execution, stateMachineArn=machine, input=json.dumps(given))
    return end(fixture, started["executionArn"])


def end(fixture: Fixture, execution: str, redrives: int = 0) -> dict[str, Any]:
    """An execution that was started, and redriven so many times, when it has ended. An answer of AWS may be old."""
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
    """`FAILED: Error Cause`, as far as it has them; the cause is shortened."""
    return f"{execution['status']}: {execution.get('error', '')} {execution.get('cause', '')[:200]}".strip(": ")
