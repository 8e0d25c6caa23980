"""Concurrent calls of one service."""

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from moto.sqs.models import Message, Queue
from running import unique
from running_images import change, permissions, register
from simulated_aws.core import atomicity


def test_two_calls_of_one_service_never_overlap():
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate"""
    inside, most = 0, 0

    def call(_response):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1

    one_at_a_time = atomicity.one_at_a_time(call)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one_at_a_time, range(16)))
    assert most == 1


def test_of_many_conditional_writes_at_once_one_succeeds(simulation):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate"""
    dynamodb, table = simulation.client("dynamodb"), unique("leases")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )

    def take_number(number):
        try:
            item = {"pk": {"S": "key"}, "owner": {"N": str(number)}}
            dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(take_number, range(64))) == 1


def test_a_failed_transaction_leaves_nothing_behind(simulation):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html"""
    dynamodb, table = simulation.client("dynamodb"), unique("ledger")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    for pk in ("image", "key"):
        dynamodb.put_item(TableName=table, Item={"pk": {"S": pk}, "sk": {"S": "row"}, "who": {"SS": ["a"]}})
    before = dynamodb.scan(TableName=table)["Items"]
    add = {
        "TableName": table,
        "UpdateExpression": "ADD who :who",
        "ExpressionAttributeValues": {":who": {"SS": ["b"]}},
    }
    old = {"Update": add | {"Key": {"pk": {"S": "key"}, "sk": {"S": "row"}}}}
    new = {"Update": add | {"Key": {"pk": {"S": "new"}, "sk": {"S": "row"}}}}
    taken = {"pk": {"S": "image"}, "sk": {"S": "row"}}
    put = {"Put": {"TableName": table, "Item": taken, "ConditionExpression": "attribute_not_exists(pk)"}}
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        dynamodb.transact_write_items(TransactItems=[old, new, put])
    assert dynamodb.scan(TableName=table)["Items"] == before

    dynamodb.transact_write_items(TransactItems=[old, new])
    sets = {item["pk"]["S"]: sorted(item["who"]["SS"]) for item in dynamodb.scan(TableName=table)["Items"]}
    assert sets == {"image": ["a"], "key": ["a", "b"], "new": ["b"]}


def test_one_name_given_many_times_at_once_starts_one_execution(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: it is idempotent."""
    client, name = simulation.client("stepfunctions"), f"once-{uuid.uuid4().hex}"
    definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3, "End": True}}}
    # moto copies the state machine between searching the name and adding the execution: here that takes a while.
    log_group = {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:111122223333:log-group:none:*"}}
    machine = client.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn="arn:aws:iam::111122223333:role/none",
        loggingConfiguration={"level": "OFF", "destinations": [log_group] * 5000},
    )["stateMachineArn"]  # fmt: skip

    def start(_number):
        try:
            client.start_execution(stateMachineArn=machine, name=name, input="{}")
        except client.exceptions.ExecutionAlreadyExists:
            # The call came after the execution had ended.
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))
    executions = client.list_executions(stateMachineArn=machine)["executions"]
    assert [one["name"] for one in executions] == [name]


def test_a_message_that_arrives_while_another_is_deleted_stays():
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html"""
    queue, is_deleting = Queue("queue", "us-east-1", "111122223333"), threading.Event()

    def delete_slowly(queue, _receipt_handle):
        others = list(queue._messages)
        is_deleting.set()
        time.sleep(0.2)
        queue._messages = others

    with ThreadPoolExecutor(1) as threads:
        deleted = threads.submit(atomicity.keeping_what_arrives(delete_slowly), queue, "")
        assert is_deleting.wait(60)
        queue.add_message(Message("id", "arrives"))
        deleted.result()
    assert [message.body for message in queue.messages] == ["arrives"]


def test_launch_permissions_that_are_added_at_once_are_all_there(simulation):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html"""
    ec2 = simulation.client("ec2")
    image = register(ec2)
    accounts = [f"{number:012}" for number in range(555500000000, 555500000012)]
    for account_id in accounts:
        simulation.client("sts", account_id).get_caller_identity()

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda account_id: change(ec2, image, "Add", account_id), accounts))
    assert sorted(permissions(ec2, image)) == accounts
