"""Calls that AWS refuses, does not answer, or answers late: AWS has no API for it, so these are the rules of `faults.py`.

Public evidence confirms what they imitate: each refusal has the form of its protocol (models of the services); a call may
take effect without an answer (https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html).
"""

import urllib.error
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from running import HUB, TARGET_ACCOUNT, eventually, unique
from running_images import change, permissions, register
from stack_calls import invoke


@pytest.fixture
def client(simulation):
    """A client that makes each call once: SDKs repeat what was not answered."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}

    def make(service):
        once = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=simulation.endpoint_url, region_name="us-east-1", config=once, **keys)

    return make


@pytest.fixture
def image(simulation):
    return register(simulation.client("ec2"))


@pytest.fixture
def target_account(simulation):
    simulation.client("sts", TARGET_ACCOUNT).get_caller_identity()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("ec2", "describe_images", {}),
        ("sns", "list_topics", {}),
        ("sts", "get_caller_identity", {}),
        ("kms", "list_keys", {}),
        ("organizations", "list_roots", {}),
        ("dynamodb", "list_tables", {}),
        ("events", "list_rules", {}),
        ("stepfunctions", "list_state_machines", {}),
        ("scheduler", "get_schedule", {"Name": "none"}),
        ("s3", "get_object", {"Bucket": "none", "Key": "none"}),
    ],
)
def test_a_refusal_has_the_form_of_the_protocol_of_its_service(faults, client, service, operation, arguments):
    scope = {"stepfunctions": "states"}.get(service, service)
    name = "".join(word.title() for word in operation.split("_"))
    faults.arm("refuse", service=scope, operation=name, code="ChosenCode", message="chosen <text>", status=403)
    with pytest.raises(ClientError) as refused:
        getattr(client(service), operation)(**arguments)
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["Error"]["Message"]) == ("ChosenCode", "chosen <text>")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(("times", "refused"), [(1, [True, False, False]), (2, [True, True, False]), (None, [True] * 3)])
def test_a_refusal_is_for_once_or_some_times_or_ever(faults, client, image, times, refused):
    fault = faults.arm("refuse", service="ec2", operation="DescribeImages", where={"ImageId.1": image}, times=times)
    assert [is_refused(client("ec2").describe_images, ImageIds=[image]) for _ in range(3)] == refused
    assert faults.struck(fault) == sum(refused)
    faults.end(fault)
    assert not is_refused(client("ec2").describe_images, ImageIds=[image])


def is_refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError:
        return True
    return False


def test_a_refusal_is_only_for_calls_with_its_parameters(faults, client, image, target_account):
    ec2 = client("ec2")
    change(ec2, image, "Add")
    adding = {"ImageId": image, "LaunchPermission.Add.*": "*"}
    fault = faults.arm("refuse", service="ec2", operation="ModifyImageAttribute", where=adding, times=None)
    with pytest.raises(ClientError):
        change(ec2, image, "Add", HUB)
    change(ec2, image, "Remove")
    assert (permissions(ec2, image), faults.struck(fault)) == ([], 1)


def test_a_parameter_of_a_json_protocol_has_the_name_of_its_place(faults, client):
    queue = client("sqs").create_queue(QueueName=unique("queue").replace(".", "-"))["QueueUrl"]
    where = {"QueueUrl": queue, "Entries.2.MessageBody": "b*"}
    faults.arm("refuse", service="sqs", operation="SendMessageBatch", where=where, times=None)
    entries = [{"Id": text, "MessageBody": text} for text in ("a", "bb")]
    assert not is_refused(client("sqs").send_message_batch, QueueUrl=queue, Entries=entries[:1])
    assert is_refused(client("sqs").send_message_batch, QueueUrl=queue, Entries=entries)


def test_a_refusal_is_only_for_its_callers(faults, simulation, client):
    """A function's session has the function's name."""
    queue = simulation.queue()
    detail = {"do": "send", "queue_url": queue.url, "texts": ["a"]}
    faults.arm("refuse", service="sqs", operation="SendMessage", caller="wor*", where={"QueueUrl": queue.url})
    client("sqs").send_message(QueueUrl=queue.url, MessageBody="of the hub")
    # The worker ends when a call fails.
    assert "FunctionError" in invoke(simulation, detail)[0]
    assert "FunctionError" not in invoke(simulation, detail)[0]
    faults.arm("refuse", service="sts", caller="tester", code="ForTheTester")
    with pytest.raises(ClientError, match="ForTheTester"):
        simulation.client("sts", TARGET_ACCOUNT).get_caller_identity()


def test_a_call_that_is_not_answered_took_effect(faults, client, image, target_account):
    ec2 = client("ec2")
    fault = faults.arm("time-out", service="ec2", operation="ModifyImageAttribute", where={"ImageId": image})
    with pytest.raises(ConnectionClosedError):
        change(ec2, image, "Add")
    assert (permissions(ec2, image), faults.struck(fault)) == ([TARGET_ACCOUNT], 1)
    change(ec2, image, "Remove")
    assert permissions(ec2, image) == []


def test_an_sdk_repeats_a_call_that_was_not_answered(faults, simulation, image, target_account):
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"""
    fault = faults.arm("time-out", service="ec2", operation="ModifyImageAttribute", where={"ImageId": image})
    change(simulation.client("ec2"), image, "Add")
    assert (permissions(simulation.client("ec2"), image), faults.struck(fault)) == ([TARGET_ACCOUNT], 1)


def test_another_caller_makes_a_change_while_a_call_waits(faults, client, image, target_account):
    ec2 = client("ec2")
    adding = {"ImageId": image, "LaunchPermission.Add.*": "*"}
    fault = faults.arm("hold", service="ec2", operation="ModifyImageAttribute", where=adding)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(change, ec2, image, "Add")
        eventually(lambda: faults.struck(fault) == 1)
        change(client("ec2"), image, "Remove")
        assert (permissions(ec2, image), waiting.done()) == ([], False)
        faults.end(fault)
        waiting.result(60)
    assert permissions(ec2, image) == [TARGET_ACCOUNT]


def test_another_caller_makes_a_change_after_a_call_has_read(faults, client, image, target_account):
    ec2 = client("ec2")
    reading = {"ImageId": image}
    fault = faults.arm("hold", service="ec2", operation="DescribeImageAttribute", where=reading, when="after")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(permissions, ec2, image)
        eventually(lambda: faults.struck(fault) == 1)
        change(client("ec2"), image, "Add")
        faults.end(fault)
        assert waiting.result(60) == []
    assert permissions(ec2, image) == [TARGET_ACCOUNT]


@pytest.mark.parametrize("fault", [{"then": "explode"}, {"then": "refuse", "unknown": 1}, {"then": "lag", "writes": 0}])
def test_a_fault_that_nobody_knows_is_refused(faults, fault):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        faults.arm(**fault)
