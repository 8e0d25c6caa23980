"""The request units of DynamoDB requests.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import json

import pytest
from simulated_aws.dynamodb.request_units import Bill

TABLE = "ledger"
KEY = {"pk": {"S": "p"}, "sk": {"S": "s"}}


@pytest.fixture
def dynamodb(aws):
    """The hub's DynamoDB, with a table and an index of its `managed` items."""
    client = aws.client("dynamodb")
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "managed")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{
            "IndexName": "managed-images", "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "managed", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
        }],
    )  # fmt: skip
    return client


def item(size, **attributes):
    """An item of this size in bytes, with its key (6 bytes) and the name `text`, plus other attributes."""
    return KEY | {"text": {"S": "x" * (size - 6 - 4)}} | attributes


def consumed(dynamodb, operation, answer=b"", **request):
    """The units that a request consumed."""
    bill = Bill(operation, request)
    method = {"PutItem": dynamodb.put_item, "DeleteItem": dynamodb.delete_item, "UpdateItem": dynamodb.update_item,
              "BatchWriteItem": dynamodb.batch_write_item, "TransactWriteItems": dynamodb.transact_write_items}  # fmt: skip
    if operation in method:
        method[operation](**request)
    return bill.units(answer)


def put(dynamodb, row):
    return consumed(dynamodb, "PutItem", TableName=TABLE, Item=row)["dynamodb write"]


def test_a_write_takes_a_unit_for_each_kb_of_the_larger_of_the_item_before_and_after(dynamodb):
    assert put(dynamodb, item(1024)) == 1
    assert put(dynamodb, item(1025)) == 2
    assert put(dynamodb, item(100)) == 2
    assert consumed(dynamodb, "DeleteItem", TableName=TABLE, Key=KEY) == {"dynamodb write": 1}
    assert consumed(dynamodb, "DeleteItem", TableName=TABLE, Key=KEY) == {"dynamodb write": 1}


def test_an_update_takes_as_much_as_the_whole_item_however_little_it_changes(dynamodb):
    put(dynamodb, item(3000))
    update = {"UpdateExpression": "SET notified = :t", "ExpressionAttributeValues": {":t": {"BOOL": True}}}
    assert consumed(dynamodb, "UpdateItem", TableName=TABLE, Key=KEY, **update) == {"dynamodb write": 3}


def test_a_write_that_the_index_sees_is_a_write_there_as_well(dynamodb):
    managed = {"managed": {"S": "yes"}}
    assert put(dynamodb, item(100, **managed)) == 2
    assert put(dynamodb, item(100, **managed)) == 1, "nothing changed"
    assert put(dynamodb, item(200, **managed)) == 2
    assert put(dynamodb, item(200)) == 2, "it has left the index"
    assert put(dynamodb, item(300)) == 1


def test_a_batch_takes_what_its_writes_take_and_a_transaction_twice_as_much_also_for_a_check(dynamodb):
    writes = [{"PutRequest": {"Item": item(1500)}}]
    assert consumed(dynamodb, "BatchWriteItem", RequestItems={TABLE: writes}) == {"dynamodb write": 2}
    other = {"pk": {"S": "p"}, "sk": {"S": "other"}}
    check = {"ConditionCheck": {"TableName": TABLE, "Key": KEY, "ConditionExpression": "attribute_exists(pk)"}}
    items = [{"Put": {"TableName": TABLE, "Item": other}}, check]
    assert consumed(dynamodb, "TransactWriteItems", TransactItems=items) == {"dynamodb write": 2 * (1 + 2)}


def test_a_read_takes_a_unit_for_each_four_kb_and_half_of_it_where_it_may_be_late(dynamodb):
    answer = json.dumps({"Items": [item(3000), item(3000)]}).encode()
    assert consumed(dynamodb, "Query", answer, TableName=TABLE, ConsistentRead=True) == {"dynamodb read": 2}
    assert consumed(dynamodb, "Query", answer, TableName=TABLE) == {"dynamodb read": 1}
    assert consumed(dynamodb, "Query", b'{"Items": []}', TableName=TABLE, ConsistentRead=True) == {"dynamodb read": 1}
    answer = json.dumps({"Item": item(5000)}).encode()
    assert consumed(dynamodb, "GetItem", answer, TableName=TABLE, Key=KEY, ConsistentRead=True) == {"dynamodb read": 2}
    assert consumed(dynamodb, "GetItem", b"{}", TableName=TABLE, Key=KEY) == {"dynamodb read": 0.5}


def test_a_batch_reads_each_item_by_itself_and_whole(dynamodb):
    put(dynamodb, item(5000))
    keys = [KEY, {"pk": {"S": "p"}, "sk": {"S": "nothing"}}]
    requested = {TABLE: {"Keys": keys, "ConsistentRead": True, "ProjectionExpression": "pk"}}
    assert consumed(dynamodb, "BatchGetItem", RequestItems=requested) == {"dynamodb read": 3}
