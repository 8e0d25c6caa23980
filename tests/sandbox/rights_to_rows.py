"""Checks of IAM: whether a condition can limit a role to rows of a table by their partition."""

from typing import Any

from sandbox.answers import DENIED, TAKEN, judged
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
        return judged(dynamodb.transact_write_items, TransactItems=list(items))

    def batch(*deleted: str) -> str:
        requests = [{"DeleteRequest": {"Key": row(pk)}} for pk in deleted]
        return judged(dynamodb.batch_write_item, RequestItems={table: requests})

    def batch_get(*pks: str) -> str:
        return judged(dynamodb.batch_get_item, RequestItems={table: {"Keys": [row(pk) for pk in pks]}})

    def query(pk: str) -> str:
        condition = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": pk}}}
        return judged(dynamodb.query, TableName=table, **condition)

    wait_until(lambda: judged(dynamodb.update_item, **update("IMAGE#1")) == TAKEN, fixture.within(RIGHTS_WITHIN_SECONDS))
    allowed = {
        "UpdateItem": judged(dynamodb.update_item, **update("IMAGE#1")),
        "PutItem of the audit log": judged(dynamodb.put_item, TableName=table, Item=row("AUDIT#1")),
        "BatchWriteItem": batch("IMAGE#2", "IMAGE#3"),
        "a transaction of both partitions": transacts({"Update": update("KEY#1")}, {"ConditionCheck": condition("IMAGE#1")}),
        "Query": query("IMAGE#1"),
        "GetItem": judged(dynamodb.get_item, TableName=table, Key=row("IMAGE#1")),
        "BatchGetItem": batch_get("IMAGE#1", "IMAGE#2"),
    }
    denied = {
        "UpdateItem of the audit log": judged(dynamodb.update_item, **update("AUDIT#1")),
        "DeleteItem of the audit log": judged(dynamodb.delete_item, TableName=table, Key=row("AUDIT#1")),
        "BatchWriteItem with one of the audit log": batch("IMAGE#2", "AUDIT#1"),
        "a transaction with one of the audit log": transacts({"Update": update("KEY#1")}, {"Update": update("AUDIT#1")}),
        "Query of the audit log": query("AUDIT#1"),
        "GetItem of the audit log": judged(dynamodb.get_item, TableName=table, Key=row("AUDIT#1")),
        "BatchGetItem with one of the audit log": batch_get("IMAGE#1", "AUDIT#1"),
    }
    # No belief of ours, but good to know: PutItem is allowed in one of the two partitions only.
    apart = transacts({"Put": {"TableName": table, "Item": row("IMAGE#4")}}, {"Update": update("KEY#1")})
    alone = f"a transaction is judged {'for each action apart' if apart == TAKEN else f'as a whole ({apart})'}"
    seen = f"{shown(allowed | denied)}, {alone}"
    if set(allowed.values()) & DENIED or TAKEN in denied.values():
        return contradicted(seen)
    if set(allowed.values()) != {TAKEN} or not set(denied.values()) <= DENIED:
        raise NotChecked(f"DynamoDB answers neither yes nor no: {seen}")
    return holds(seen)
