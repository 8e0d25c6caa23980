"""AWS X-Ray: a function or state machine sends its traces with its own role."""

import json
from types import SimpleNamespace

import pytest
from simulated_aws.cloudwatch import traces


@pytest.fixture
def traced(aws):
    """A traced function whose role allows these actions."""

    def make(*actions):
        iam, name = aws.client("iam"), f"traced-{len(actions)}"
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": list(actions) or "sqs:SendMessage", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName=name, PolicyName="trace", PolicyDocument=document)
        function = SimpleNamespace(function_arn=f"arn:function:{name}", role=role)
        traces.trace(function.function_arn, "Active")
        return function

    return make


def test_a_role_that_may_not_send_traces_sends_none(traced, caplog):
    """https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
    traces.of_invocation(traced("xray:PutTraceSegments", "xray:PutTelemetryRecords"))
    assert "no trace" not in caplog.text
    traces.of_invocation(traced("xray:PutTraceSegments"))
    assert "is not allowed xray:PutTelemetryRecords" in caplog.text


def test_what_is_not_traced_needs_no_role_for_it(aws, caplog):
    """https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
    traces.of_invocation(SimpleNamespace(function_arn="arn:function:untraced", role="arn:aws:iam::111122223333:role/none"))
    assert "no trace" not in caplog.text
