"""Calls of the stack in `stack/`: its function, with a short timeout where a test needs one, and its workflow."""

import json

import pytest
from running import eventually


def invoke(simulation, detail, **options):
    """Invokes the worker; returns the answer and its payload."""
    payload = json.dumps({"detail": detail})
    answer = simulation.client("lambda").invoke(FunctionName="worker", Payload=payload, **options)
    body = answer["Payload"].read()
    return answer, json.loads(body) if body else None


@pytest.fixture
def short_timeout(simulation):
    """Gives the worker two seconds instead of a minute. A minute lets the other tests run on a busy machine."""
    client = simulation.client("lambda")
    client.update_function_configuration(FunctionName="worker", Timeout=2)
    yield
    client.update_function_configuration(FunctionName="worker", Timeout=60)


def start_execution(simulation, detail):
    """Starts an execution of the workflow; returns its ARN."""
    client, workflow = simulation.client("stepfunctions"), simulation.outputs["WorkflowArn"]
    return client.start_execution(stateMachineArn=workflow, input=json.dumps({"detail": detail}))["executionArn"]


def wait_for_end(simulation, arn):
    """Waits until the execution has ended; returns its description."""
    client = simulation.client("stepfunctions")

    def finished():
        execution = client.describe_execution(executionArn=arn)
        return execution if execution["status"] != "RUNNING" else None

    return eventually(finished)
