"""Checks of IAM: whether a policy can limit a role to rows of a table by their partition."""

from typing import Any

from sandbox.answers import ACCEPTED, DENIED, response_code
from sandbox.caller import RIGHTS_WITHIN_SECONDS, caller, shown, wait_until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds
from sandbox.fixture import Fixture


@check("leading-keys", "`dynamodb:LeadingKeys` names the partition of each item that a request reads or writes, also in BatchGetItem, BatchWriteItem and a transaction, and the one that a Query asks for.")
def leading_keys(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    dynamodb, table = caller(fixture).client("dynamodb"), fixture.table

    def row(pk: str) -> dict[str, dict[str, str]]:
        return {"pk": {"S": pk}, "sk": {"S": "1"}}

    def update(pk: str) -> dict[str, Any]:
        sets = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "b"}}}
        return {"TableName": table, "Key": row(pk), **sets}

    def condition(pk: str) -> dict[str, Any]:
        return {"TableName": table, "Key": row(pk), "ConditionExpression": "attribute_exists(pk)"}

    def transacts(*items: dict[str, Any]) -> str:
        return response_code(dynamodb.transact_write_items, TransactItems=list(items))

    def batch(*deleted: str) -> str:
        requests = [{"DeleteRequest": {"Key": row(pk)}} for pk in deleted]
        return response_code(dynamodb.batch_write_item, RequestItems={table: requests})

    def batch_get(*pks: str) -> str:
        return response_code(dynamodb.batch_get_item, RequestItems={table: {"Keys": [row(pk) for pk in pks]}})

    def query(pk: str) -> str:
        condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": pk}}}
        return response_code(dynamodb.query, TableName=table, **condition)

    wait_until(lambda: response_code(dynamodb.update_item, **update("IMAGE#1")) == ACCEPTED, fixture.within(RIGHTS_WITHIN_SECONDS))
    allowed = {
        "UpdateItem": response_code(dynamodb.update_item, **update("IMAGE#1")),
        "PutItem of the audit log": response_code(dynamodb.put_item, TableName=table, Item=row("AUDIT#1")),
        "BatchWriteItem": batch("IMAGE#2", "IMAGE#3"),
        "a transaction of both partitions": transacts({"Update": update("KEY#1")}, {"ConditionCheck": condition("IMAGE#1")}),
        "Query": query("IMAGE#1"),
        "GetItem": response_code(dynamodb.get_item, TableName=table, Key=row("IMAGE#1")),
        "BatchGetItem": batch_get("IMAGE#1", "IMAGE#2"),
    }
    denied = {
        "UpdateItem of the audit log": response_code(dynamodb.update_item, **update("AUDIT#1")),
        "DeleteItem of the audit log": response_code(dynamodb.delete_item, TableName=table, Key=row("AUDIT#1")),
        "BatchWriteItem with one of the audit log": batch("IMAGE#2", "AUDIT#1"),
        "a transaction with one of the audit log": transacts({"Update": update("KEY#1")}, {"Update": update("AUDIT#1")}),
        "Query of the audit log": query("AUDIT#1"),
        "GetItem of the audit log": response_code(dynamodb.get_item, TableName=table, Key=row("AUDIT#1")),
        "BatchGetItem with one of the audit log": batch_get("IMAGE#1", "AUDIT#1"),
    }
    # Not a belief, but useful: PutItem is allowed in one of the two partitions only.
    apart = transacts({"Put": {"TableName": table, "Item": row("IMAGE#4")}}, {"Update": update("KEY#1")})
    alone = f"a transaction is evaluated {'for each action separately' if apart == ACCEPTED else f'as a whole ({apart})'}"
    seen = f"{shown(allowed | denied)}, {alone}"
    if set(allowed.values()) & DENIED or ACCEPTED in denied.values():
        return contradicted(seen)
    if set(allowed.values()) != {ACCEPTED} or not set(denied.values()) <= DENIED:
        raise NotChecked(f"DynamoDB answers neither yes nor no: {seen}")
    return holds(seen)
