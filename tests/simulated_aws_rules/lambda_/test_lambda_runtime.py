"""Lambda: invocations, concurrency, failures, and the environment of a function."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from running import HUB, REGION, Queue, eventually
from stack_calls import invoke


def test_the_function_answers_with_what_its_binary_returns(simulation):
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    answer, payload = invoke(simulation, {"a": 1})
    assert payload == {"detail": {"a": 1}}
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer


def test_the_process_sees_its_own_variables_and_those_of_lambda_and_nothing_else(simulation, monkeypatch):
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
    _, environment = invoke(simulation, {"do": "environment"})
    assert environment["GREETING"] == "hello"
    assert environment["BUS"] == simulation.outputs["BusName"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "worker"
    assert environment["AWS_REGION"] == REGION
    assert environment["AWS_ENDPOINT_URL"] == simulation.endpoint_url
    assert environment["_HANDLER"] == "bootstrap"
    assert "HOME" not in environment
    assert "PYTHONPATH" not in environment


def test_the_process_acts_with_the_role_of_its_function(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
    import boto3

    _, environment = invoke(simulation, {"do": "environment"})
    sts = boto3.client(
        "sts", endpoint_url=simulation.endpoint_url, region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
    )  # fmt: skip
    identity = sts.get_caller_identity()
    assert identity["Account"] == HUB
    role = simulation.client("lambda").get_function(FunctionName="worker")["Configuration"]["Role"].rsplit("/", 1)[-1]
    assert identity["Arn"] == f"arn:aws:sts::{HUB}:assumed-role/{role}/worker"


def test_each_invocation_gets_its_request_id_and_its_deadline(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-next"""
    _, headers = invoke(simulation, {"do": "headers"})
    lower_case_headers = {name.lower(): value for name, value in headers.items()}
    assert uuid.UUID(lower_case_headers["lambda-runtime-aws-request-id"])
    assert 0 < int(lower_case_headers["lambda-runtime-deadline-ms"]) - time.time() * 1000 < 60_000
    assert lower_case_headers["lambda-runtime-invoked-function-arn"] == f"arn:aws:lambda:{REGION}:{HUB}:function:worker"


def test_invocations_at_once_have_processes_of_their_own_which_are_used_again(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html"""
    meeting = {"do": "meet", "number": 4, "marker": str(simulation.folder / uuid.uuid4().hex)}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: invoke(simulation, meeting), range(4)))
    processes = {payload["pid"] for _, payload in answers}
    assert len(processes) == 4
    assert invoke(simulation, {"do": "sleep", "seconds": 0})[1]["pid"] in processes


def test_an_error_of_the_function_is_answered_as_a_function_error(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror"""
    answer, payload = invoke(simulation, {"do": "fail", "error": "Busy"})
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {"errorType": "Busy", "errorMessage": "this is Busy"}


def test_a_function_that_takes_too_long_is_ended(simulation, short_timeout):
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""
    answer, payload = invoke(simulation, {"do": "sleep", "seconds": 30})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Task timed out after 2.00 seconds")
    assert invoke(simulation, {"a": 1})[1] == {"detail": {"a": 1}}


def test_a_process_that_ends_fails_its_invocation_and_a_new_one_serves_the_next(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html"""
    answer, payload = invoke(simulation, {"do": "exit"})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert invoke(simulation, {"a": 1})[1] == {"detail": {"a": 1}}


def test_a_function_that_is_not_there_is_not_found(simulation):
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        simulation.client("lambda").invoke(FunctionName="nobody", Payload=b"{}")


def test_an_event_is_accepted_at_once_and_tried_again_twice(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    marker = simulation.folder / uuid.uuid4().hex
    detail = {"do": "fail_at_first", "times": 9, "error": "Busy", "marker": str(marker)}
    answer, payload = invoke(simulation, detail, InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, None)
    eventually(lambda: marker.exists() and len(marker.read_text().splitlines()) == 3)
    time.sleep(1)
    assert len(marker.read_text().splitlines()) == 3


def test_what_a_function_writes_is_in_its_log(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    invoke(simulation, {"a": 1})
    assert (simulation.folder / "logs" / "worker.log").exists()


def test_an_event_that_fails_at_every_attempt_goes_to_the_functions_dead_letter_queue(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq"""
    queue, marker = Queue(simulation.client("sqs"), simulation.outputs["FailedEventsUrl"]), uuid.uuid4().hex
    invoke(simulation, {"do": "fail", "error": "Hopeless", "marker": marker}, InvocationType="Event")
    # Other tests fail events too.
    message = eventually(lambda: next((one for one in [queue.message()] if marker in one["Body"]), None))
    assert json.loads(message["Body"])["detail"]["marker"] == marker
    assert "Hopeless" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]


def test_a_function_has_a_log_while_its_role_may_write_logs(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-permissions"""
    iam, client, name = simulation.client("iam"), simulation.client("lambda"), f"silent-{uuid.uuid4().hex}"
    role = client.get_function(FunctionName="worker")["Configuration"]["Role"].rsplit("/", 1)[-1]
    silent = {"Effect": "Deny", "Action": "logs:PutLogEvents", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [silent]})
    log = simulation.folder / "logs" / "worker.log"
    before = log.stat().st_size if log.exists() else 0
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
    try:
        invoke(simulation, {"do": "log", "lines": ["denied"]})
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    assert (log.stat().st_size if log.exists() else 0) == before
    invoke(simulation, {"do": "log", "lines": [f"allowed again {name}"]})
    assert f"allowed again {name}" in log.read_text()
