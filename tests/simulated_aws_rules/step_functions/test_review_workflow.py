"""Amazon States Language in a second state machine of the stack: waiting, child executions, polling."""

import json
import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from running import eventually
from stack_calls import wait_for_end


def run(simulation, given):
    """An execution of the stack's second workflow, when it has ended, and its output."""
    client, review = simulation.client("stepfunctions"), simulation.outputs["ReviewArn"]
    arn = client.start_execution(stateMachineArn=review, input=json.dumps(given))["executionArn"]
    execution = wait_for_end(simulation, arn)
    assert execution["status"] == "SUCCEEDED", execution
    return json.loads(execution["output"])


def test_a_wait_ends_at_its_timestamp(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html"""
    until = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    run(simulation, {"not_before": until.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert timedelta(0) <= datetime.now(timezone.utc) - until < timedelta(seconds=60)


@pytest.mark.parametrize("moment", ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00.123Z"])
def test_a_wait_for_a_moment_that_has_passed_ends_at_once(simulation, moment):
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html"""
    began = time.monotonic()
    run(simulation, {"not_before": moment})
    assert time.monotonic() - began < 60


def test_a_map_waits_for_child_executions_and_catches_those_that_fail(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""
    marker = uuid.uuid4().hex
    output = run(simulation, {"items": [{"marker": marker}, {"do": "fail", "error": "Caught"}, {}]})
    succeeded, caught, last = output["children"]
    assert succeeded["status"] == last["status"] == "SUCCEEDED"
    # With `.sync:2` the child's output is JSON, not text.
    assert succeeded["output"]["detail"] == {"marker": marker}
    assert caught == {"status": "CAUGHT", "error": "States.TaskFailed"}


def test_a_parent_needs_more_permissions_to_wait_than_to_start(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/stepfunctions-iam.html"""
    iam, client, name = simulation.client("iam"), simulation.client("stepfunctions"), f"parent-{uuid.uuid4().hex}"
    workflow = simulation.outputs["WorkflowArn"]
    starts = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": workflow}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [starts]})
    role_arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=policy)

    def outcome(resource):
        task = {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": workflow}, "End": True}
        definition = json.dumps({"StartAt": "Child", "States": {"Child": task}})
        machine = client.create_state_machine(name=f"{name}-{len(resource)}", definition=definition, roleArn=role_arn)
        return wait_for_end(simulation, client.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"])

    started = outcome("arn:aws:states:::states:startExecution")
    assert json.loads(started["output"])["ExecutionArn"].startswith(workflow.replace("stateMachine", "execution"))
    waited = outcome("arn:aws:states:::states:startExecution.sync")
    assert (waited["status"], waited["error"]) == ("FAILED", "StepFunctions.AccessDeniedException")


def test_an_executions_name_is_used_once(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    client, name = simulation.client("stepfunctions"), uuid.uuid4().hex
    until = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = {"stateMachineArn": simulation.outputs["ReviewArn"], "name": name, "input": json.dumps({"not_before": until})}
    running = client.start_execution(**wanted)["executionArn"]
    # The same request returns the running execution; another input is refused, and so is every request once it has ended.
    assert client.start_execution(**wanted)["executionArn"] == running
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(**wanted | {"input": "{}"})
    client.stop_execution(executionArn=running)
    wait_for_end(simulation, running)
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(**wanted)


def test_a_retry_can_poll_until_something_is_there(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error"""
    marker = simulation.folder / uuid.uuid4().hex
    poll = {"do": "fail_at_first", "times": 5, "error": "Pending", "marker": str(marker)}
    output = run(simulation, {"poll": poll})
    assert (output["note"], output["poll"]) == ("polled", poll)
    moments = [float(line) for line in marker.read_text().splitlines()]
    # Backoff with the rate 1: all pauses are as long as the first. With AWS's own rate, 2, the last would be 16 seconds.
    pauses = [later - earlier for earlier, later in zip(moments, moments[1:])]
    assert len(pauses) == 5 and all(0.9 <= pause < 16 for pause in pauses)


def test_a_table_of_the_stack_can_be_read_by_its_index(simulation):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html"""
    table, dynamodb = simulation.outputs["TableName"], simulation.client("dynamodb")
    for image in ("IMAGE#ami-1", "IMAGE#ami-2"):
        key = {"pk": {"S": image}, "sk": {"S": "INTENT"}}
        dynamodb.put_item(TableName=table, Item=key | {"managed": {"S": "yes"}, "desired": {"S": "org"}})
        dynamodb.put_item(TableName=table, Item=key | {"sk": {"S": "LEASE"}})
    wanted = {
        "TableName": table, "IndexName": "managed-images", "KeyConditionExpression": "managed = :yes",
        "ExpressionAttributeValues": {":yes": {"S": "yes"}},
    }  # fmt: skip
    first = dynamodb.query(**wanted, Limit=1)
    rest = dynamodb.query(**wanted, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [one["pk"]["S"] for one in first["Items"] + rest["Items"]] == ["IMAGE#ami-1", "IMAGE#ami-2"]
    # KEYS_ONLY: the index holds its own keys and those of the table.
    assert set(first["Items"][0]) == {"pk", "sk", "managed"}


def test_a_child_that_is_waited_for_is_stopped_with_its_parent(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync"""
    client, marker = simulation.client("stepfunctions"), uuid.uuid4().hex
    review, workflow = simulation.outputs["ReviewArn"], simulation.outputs["WorkflowArn"]
    given = json.dumps({"items": [{"do": "sleep", "seconds": 5, "marker": marker}]})
    parent = client.start_execution(stateMachineArn=review, input=given)["executionArn"]

    def child():
        running = client.list_executions(stateMachineArn=workflow, statusFilter="RUNNING")["executions"]
        inputs = {one["executionArn"]: client.describe_execution(executionArn=one["executionArn"])["input"] for one in running}
        return next((arn for arn, text in inputs.items() if marker in text), None)

    arn = eventually(child)
    client.stop_execution(executionArn=parent)
    assert wait_for_end(simulation, arn)["status"] == "ABORTED"
