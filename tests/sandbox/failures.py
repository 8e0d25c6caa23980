"""Checks of executions that fail: the event of one, what a redrive runs again, and what a parent sees of its child."""

import json
import uuid
from typing import Any

from botocore.exceptions import ClientError

from sandbox import executions, machines
from sandbox.answers import code_of, until
from sandbox.caller import RIGHTS_WITHIN_SECONDS
from sandbox.findings import Finding, Needs, NotChecked, check, contradicted, holds_if
from sandbox.event_listener import Event
from sandbox.fixture import Fixture

# How long the event of an execution is waited for, and how often it is tried.
EVENT_WITHIN_SECONDS = 60
TRIES = 3

CAUSE = "a check of ami-share"


@check("status-event-error", "The event `Step Functions Execution Status Change` of an execution that failed has its error and cause, as `error` and `cause` of its detail.")
def error_of_a_status_event(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html"""
    details = {error: _status_event(fixture, error) for error in ("ShareRefused", "AwsFailed")}
    as_read = all((detail.get("error"), detail.get("cause")) == (error, CAUSE) for error, detail in details.items())
    fields = sorted(set().union(*details.values()))
    return holds_if(as_read, "; ".join([*(_shown(detail) for detail in details.values()), f"its fields are {', '.join(fields)}"]))


def _shown(detail: Event) -> str:
    return f"error {detail.get('error')}, cause {detail.get('cause')}"


def _status_event(fixture: Fixture, error: str) -> Event:
    """The detail of the event of an execution that fails with this error. A new rule may miss the first event.

    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
    """
    listener = fixture.event_listener
    failed: set[str] = set()

    def is_wanted(event: Event) -> bool:
        return event["detail"].get("executionArn") in failed and event["detail"].get("status") == "FAILED"

    for _ in range(TRIES):
        failed.add(executions.run(fixture, fixture.workflow, {"error": error, "cause": CAUSE})["executionArn"])
        event = listener.soon(is_wanted, fixture.within(EVENT_WITHIN_SECONDS))
        if event is not None:
            return dict(event["detail"])
    raise NotChecked(f"no event came of {TRIES} executions that failed")


@check("redrive-in-a-map", "A redrive of an execution that failed inside a Map runs the iterations that failed, were aborted or had not begun, and keeps the results of the others.")
def redrive_in_a_map(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html (of those that failed or aborted)"""
    table, dynamodb = fixture.table, fixture.account.client("dynamodb")
    machine = fixture.new_workflow("map", machines.counting(fixture.account.partition, table))

    def row(pk: str, sk: str) -> dict[str, Any]:
        return {"pk": {"S": pk}, "sk": {"S": sk}}

    def fails_at_the_second() -> dict[str, Any] | None:
        """The role may not change rows at first."""
        pk = uuid.uuid4().hex
        dynamodb.put_item(TableName=table, Item=row(pk, "failing") | {"broken": {"BOOL": True}})
        first = executions.run(fixture, machine, {"pk": pk, "rows": ["done", "failing", "not begun"]})
        failed.append(first)
        return first | {"pk": pk} if "ConditionalCheckFailed" in first.get("error", "") else None

    failed: list[dict[str, Any]] = []
    first = until(fails_at_the_second, fixture.within(RIGHTS_WITHIN_SECONDS), pause=5)
    if first is None:
        raise NotChecked(f"the execution does not fail as it should ({executions.failure(failed[-1])})")
    dynamodb.update_item(TableName=table, Key=row(first["pk"], "failing"), UpdateExpression="REMOVE broken")
    fixture.account.client("stepfunctions").redrive_execution(executionArn=first["executionArn"])
    redriven = executions.end(fixture, first["executionArn"], redrives=1)
    rows = dynamodb.query(
        TableName=table, ConsistentRead=True, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": first["pk"]}}
    )["Items"]
    runs = {one["sk"]["S"]: one.get("runs", {}).get("N", "0") for one in rows}
    seen = ", ".join(f"{what}: {number} run{'s' if number != '1' else ''}" for what, number in sorted(runs.items()))
    if redriven["status"] != "SUCCEEDED":
        return contradicted(f"{seen}, then {executions.failure(redriven)}")
    results = [{"row": row, "runs": "1"} for row in ("done", "failing", "not begun")]
    return holds_if(json.loads(redriven["output"]) == results, f"{seen}, results {redriven['output']}")


@check("nested-execution-errors", "A child that fails is `States.TaskFailed` to a parent that waits for it with `startExecution.sync:2`, and one that cannot be started is `StepFunctions.` and the reason.")
def errors_of_a_nested_execution(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html (names no errors)

    To wait, Step Functions needs a rule that it makes itself and keeps: if it is missing, no execution waits here.
    """
    waits = _may_wait(fixture)
    machine = fixture.new_workflow("parent", machines.starting(fixture.account.partition, waits))
    not_started = _error(fixture, machine, fixture.account.arn("states", f"stateMachine:{fixture.name('nobody')}"))
    seen = f"not started: {not_started}"
    if not not_started.startswith("StepFunctions."):
        return contradicted(seen)
    if not waits:
        raise Needs(f"the rule that Step Functions makes with the first workflow that waits for another, and keeps; {seen}")
    failed = _error(fixture, machine, fixture.workflow)
    return holds_if(failed == "States.TaskFailed", f"{seen}, failed: {failed}")


def _error(fixture: Fixture, parent: str, child: str) -> str:
    """What the parent fails with, once its role is known to be allowed to start something."""
    given = {"machine": child, "input": {"error": "AwsFailed", "cause": CAUSE}}
    seen = [""]

    def is_about_the_child() -> bool:
        execution = executions.run(fixture, parent, given)
        seen[0] = str(execution.get("error", execution["status"]))
        return "AccessDenied" not in seen[0]

    until(is_about_the_child, fixture.within(RIGHTS_WITHIN_SECONDS), pause=5)
    return seen[0]


def _may_wait(fixture: Fixture) -> bool:
    """Whether the rule exists that informs Step Functions of the end of a child."""
    try:
        fixture.account.client("events").describe_rule(Name=machines.MANAGED_RULE)
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return False
        raise
    return True
