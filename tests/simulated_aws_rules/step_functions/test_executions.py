"""Step Functions: the interpreter, its Lambda tasks, and the events of executions."""

import json
import uuid

import boto3
import pytest
from botocore.exceptions import ClientError
from running import eventually
from stack_calls import start_execution, wait_for_end


def next_event(queue, arn):
    """The next event of an execution. The queue gets events of other tests too, some of them late."""
    return eventually(lambda: next((event for event in [queue.next()] if event["detail"]["executionArn"] == arn), None))


def moments(marker):
    return [float(line) for line in marker.read_text().splitlines()]


def test_tasks_choices_and_a_map_run_and_the_context_object_is_known(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
    execution = wait_for_end(simulation, start_execution(simulation, {"items": [{"n": 1}, {"n": 2}]}))
    assert execution["status"] == "SUCCEEDED"
    name = execution["name"]
    results = json.loads(execution["output"])["results"]
    assert results == [{"answer": {"detail": {"n": n}, "execution": name}} for n in (1, 2)]


def test_a_functions_own_error_type_is_retried_after_the_declared_pauses(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error"""
    marker = simulation.folder / uuid.uuid4().hex
    detail = {"do": "fail_at_first", "times": 2, "error": "Busy", "marker": str(marker)}
    assert wait_for_end(simulation, start_execution(simulation, detail))["status"] == "SUCCEEDED"
    first, second, third = moments(marker)
    assert 1 <= second - first
    # MaxDelaySeconds is 1: without it the second pause would last a minute.
    assert 1 <= third - second < 60


def test_attempts_are_limited_and_then_the_execution_fails_with_the_functions_error(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error"""
    marker = simulation.folder / uuid.uuid4().hex
    detail = {"do": "fail_at_first", "times": 9, "error": "Busy", "marker": str(marker)}
    execution = wait_for_end(simulation, start_execution(simulation, detail))
    assert (execution["status"], execution["error"]) == ("FAILED", "Busy")
    assert json.loads(execution["cause"])["errorMessage"] == "this is Busy"
    assert len(moments(marker)) == 3


def test_jitter_shortens_a_pause(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error"""
    markers = [simulation.folder / uuid.uuid4().hex for _ in range(8)]
    details = [{"do": "fail_at_first", "times": 1, "error": "Jittery", "marker": str(marker)} for marker in markers]
    arns = [start_execution(simulation, detail) for detail in details]

    def pauses():
        came = [moments(marker) for marker in markers if marker.exists()]
        return [twice[1] - twice[0] for twice in came if len(twice) == 2]

    # Each pause is random, up to a minute: not all eight of them are nearly that long.
    assert eventually(pauses)[0] < 60
    for arn in arns:
        simulation.client("stepfunctions").stop_execution(executionArn=arn)


def test_each_iteration_of_a_map_has_attempts_of_its_own(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""
    markers = [simulation.folder / uuid.uuid4().hex for _ in range(4)]
    items = [{"do": "fail_at_first", "times": 1, "error": "Busy", "marker": str(marker)} for marker in markers]
    assert wait_for_end(simulation, start_execution(simulation, {"items": items}))["status"] == "SUCCEEDED"
    assert [len(moments(marker)) for marker in markers] == [2, 2, 2, 2]


def test_an_error_that_is_caught_leads_on_and_fail_names_error_and_cause_from_paths(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-fail.html"""
    execution = wait_for_end(simulation, start_execution(simulation, {"do": "fail", "error": "Caught"}))
    assert (execution["status"], execution["error"]) == ("FAILED", "Caught")
    assert json.loads(execution["cause"]) == {"errorType": "Caught", "errorMessage": "this is Caught"}


def test_executions_are_listed_described_and_have_a_history(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""
    arn, client = start_execution(simulation, {}), simulation.client("stepfunctions")
    execution = wait_for_end(simulation, arn)
    workflow = simulation.outputs["WorkflowArn"]
    listed = client.list_executions(stateMachineArn=workflow, statusFilter="SUCCEEDED")["executions"]
    assert arn in [one["executionArn"] for one in listed]
    assert execution["stopDate"] >= execution["startDate"]
    kinds = [event["type"] for event in client.get_execution_history(executionArn=arn)["events"]]
    assert kinds[0] == "ExecutionStarted"
    assert "TaskSucceeded" in kinds
    assert kinds[-1] == "ExecutionSucceeded"


def test_twelve_executions_run_at_once(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html: an account may have a million open."""
    # Ten processes serve one function, and some may still serve an execution that another test has stopped.
    meeting = {"do": "meet", "number": 6, "marker": str(simulation.folder / uuid.uuid4().hex)}
    arns = [start_execution(simulation, meeting) for _ in range(12)]
    assert {wait_for_end(simulation, arn)["status"] for arn in arns} == {"SUCCEEDED"}


@pytest.mark.parametrize(("detail", "status"), [({}, "SUCCEEDED"), ({"do": "fail", "error": "Caught"}, "FAILED")])
def test_the_start_and_the_end_of_an_execution_have_events(simulation, detail, status):
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html"""
    queue = simulation.queue()
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [simulation.outputs["WorkflowArn"]]}}
    simulation.rule(pattern, {"Arn": queue.arn})
    arn = start_execution(simulation, detail)

    started, ended = next_event(queue, arn), next_event(queue, arn)

    assert started["detail-type"] == "Step Functions Execution Status Change"
    assert started["resources"] == [arn]
    assert started["detail"]["status"] == "RUNNING"
    assert started["detail"]["stopDate"] is None
    assert json.loads(started["detail"]["input"]) == {"detail": detail}
    assert started["detail"]["inputDetails"] == {"included": True}
    assert ended["detail"]["status"] == status
    assert ended["detail"]["stopDate"] >= ended["detail"]["startDate"]
    if status == "SUCCEEDED":
        assert json.loads(ended["detail"]["output"]) == {"detail": {}}
        assert ended["detail"]["outputDetails"] == {"included": True}
    else:
        assert ended["detail"]["error"] == "Caught"
        assert ended["detail"]["output"] is None


def test_a_role_needs_permission_to_start_an_execution(simulation):
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html"""
    iam, name, workflow = simulation.client("iam"), f"starter-{uuid.uuid4().hex}", simulation.outputs["WorkflowArn"]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
    session = simulation.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    starter = boto3.client(
        "stepfunctions", endpoint_url=simulation.endpoint_url, region_name="us-east-1",
        aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )  # fmt: skip
    with pytest.raises(ClientError, match="AccessDenied"):
        starter.start_execution(stateMachineArn=workflow)
    starts = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": workflow}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [starts]})
    iam.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=policy)
    assert starter.start_execution(stateMachineArn=workflow)["executionArn"]


def test_an_execution_that_is_stopped_is_aborted_with_the_reason(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html"""
    queue, client = simulation.queue(), simulation.client("stepfunctions")
    simulation.rule({"source": ["aws.states"], "detail": {"status": ["ABORTED"]}}, {"Arn": queue.arn})
    arn = start_execution(simulation, {"do": "sleep", "seconds": 5})
    client.stop_execution(executionArn=arn, error="Enough", cause="stopped by a test")
    execution = wait_for_end(simulation, arn)
    assert (execution["status"], execution["error"], execution["cause"]) == ("ABORTED", "Enough", "stopped by a test")
    assert next_event(queue, arn)["detail"]["error"] == "Enough"


def test_a_failed_execution_can_be_redriven_from_the_state_that_failed(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html"""
    marker, client = simulation.folder / uuid.uuid4().hex, simulation.client("stepfunctions")
    # The first state succeeds; the Map fails twice, is redriven, and then succeeds.
    item = {"do": "fail_at_first", "times": 2, "error": "Busy", "marker": str(marker)}
    arn = start_execution(simulation, {"items": [item]})
    failed = wait_for_end(simulation, arn)
    assert (failed["status"], failed["redriveStatus"], failed["redriveCount"]) == ("FAILED", "REDRIVABLE", 0)

    client.redrive_execution(executionArn=arn)

    redriven = wait_for_end(simulation, arn)
    assert (redriven["status"], redriven["redriveCount"]) == ("SUCCEEDED", 1)
    assert "error" not in redriven
    assert json.loads(redriven["output"])["results"][0]["answer"]["execution"] == failed["name"]
    events = client.get_execution_history(executionArn=arn)["events"]
    kinds = [event["type"] for event in events]
    after = kinds[kinds.index("ExecutionRedriven") + 1 :]
    assert after[0] == "MapStateEntered"
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))


def test_a_map_that_is_redriven_keeps_the_results_of_what_succeeded(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html"""
    done, failing = (simulation.folder / uuid.uuid4().hex for _ in range(2))
    items = [
        {"do": "fail_at_first", "times": times, "error": "Busy", "marker": str(marker)} for marker, times in ((done, 0), (failing, 2))
    ]
    arn = start_execution(simulation, {"items": items})
    assert wait_for_end(simulation, arn)["status"] == "FAILED"
    simulation.client("stepfunctions").redrive_execution(executionArn=arn)
    redriven = wait_for_end(simulation, arn)
    assert redriven["status"] == "SUCCEEDED"
    assert [one["answer"]["detail"] for one in json.loads(redriven["output"])["results"]] == items
    assert (len(moments(done)), len(moments(failing))) == (1, 3)


def test_a_redriven_execution_has_one_event_of_running_again(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html"""
    queue, client = simulation.queue(), simulation.client("stepfunctions")
    simulation.rule({"source": ["aws.states"], "detail": {"stateMachineArn": [simulation.outputs["WorkflowArn"]]}}, {"Arn": queue.arn})
    marker = simulation.folder / uuid.uuid4().hex
    item = {"do": "fail_at_first", "times": 2, "error": "Busy", "marker": str(marker)}
    arn = start_execution(simulation, {"items": [item]})
    assert wait_for_end(simulation, arn)["status"] == "FAILED"
    client.redrive_execution(executionArn=arn)
    assert wait_for_end(simulation, arn)["status"] == "SUCCEEDED"
    statuses = [next_event(queue, arn)["detail"]["status"] for _ in range(4)]
    assert statuses == ["RUNNING", "FAILED", "RUNNING", "SUCCEEDED"]


def test_an_execution_that_has_not_failed_cannot_be_redriven(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html#API_RedriveExecution_Errors"""
    arn, client = start_execution(simulation, {}), simulation.client("stepfunctions")
    wait_for_end(simulation, arn)
    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        client.redrive_execution(executionArn=arn)
