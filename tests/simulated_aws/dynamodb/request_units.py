"""Computes the read and write request units that a request of DynamoDB consumes, for a table that is billed on demand.

- A write takes a unit for each KB of the item before or after it, whichever is larger, even if its condition is not met.
  In a transaction it takes two units for each KB, and so does a condition check.
- A strongly consistent read takes a unit for each 4 KB: of each item read by its key, or of all items of a query together.
  An eventually consistent read takes half. A read without a result takes one unit.
- A write that changes an index is also a write of the index.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations
https://martinhicks.dev/articles/what-a-conditional-dynamodb-transaction-costs (a condition check)
"""

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from simulated_aws.core.accounts import HUB_ACCOUNT

_WRITE_BYTES, _READ_BYTES = 1024, 4096
_IN_TRANSACTION = 2

Json = dict[str, Any]


class Bill:
    """The units of one request. Create it before the request is served: it reads the items as they were before."""

    def __init__(self, operation: str, request: Json):
        self._operation = operation
        self._request = request
        self._written = [_Write(table, key) for table, key in _written(operation, request)]

    def units(self, answer: bytes) -> dict[str, float]:
        """The units that the request consumed, once it has been served with this answer."""
        if self._written:
            times = _IN_TRANSACTION if self._operation == "TransactWriteItems" else 1
            return {"dynamodb write": float(times * sum(write.units() for write in self._written))}
        return {"dynamodb read": _read(self._operation, self._request, json.loads(answer or b"{}"))}


class _Write:
    """An item that a request writes or checks."""

    def __init__(self, table: Table, key: Json):
        self._table = table
        self._key = key
        self._before = _attributes(self._item())

    def units(self) -> int:
        after = _attributes(self._item())
        units = _full(max(_size(self._before), _size(after)), _WRITE_BYTES)
        seen = [index for index in self._table.global_indexes if self._before != after and self._is_in(index, after)]
        return units * (1 + len(seen))

    def _is_in(self, index: Any, after: Json) -> bool:
        return any(all(name in item for name in index.schema_key_attrs) for item in (self._before, after))

    def _item(self) -> Item | None:
        backend = _backend()
        return self._table.get_item(*backend.get_keys_value(self._table, self._key))


def stored_bytes() -> int:
    """The size of all tables in bytes."""
    return sum(_size(_attributes(item)) for table in _backend().tables.values() for item in table.all_items())


def _written(operation: str, request: Json) -> Iterator[tuple[Table, Json]]:
    """Each item that the request writes or checks: its table, and attributes with its key among them."""
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem":
            yield _target(request)
        case "TransactWriteItems":
            yield from (_target(item) for one in request["TransactItems"] for item in one.values())
        case "BatchWriteItem":
            for name, writes in request["RequestItems"].items():
                yield from (_target(item | {"TableName": name}) for write in writes for item in write.values())


def _target(item: Json) -> tuple[Table, Json]:
    return _backend().get_table(item["TableName"]), item.get("Key") or item["Item"]


def _read(operation: str, request: Json, answer: Json) -> float:
    match operation:
        case "GetItem":
            return _for_reading([answer.get("Item", {})], request.get("ConsistentRead", False))
        case "Query":
            return _for_reading(answer.get("Items", []), request.get("ConsistentRead", False))
        case "BatchGetItem":
            return sum(_of_each(name, requested) for name, requested in request["RequestItems"].items())
    raise NotImplementedError(f"what {operation} consumes is not known to the simulated AWS")


def _of_each(name: str, requested: Json) -> float:
    """Each item by itself and as a whole, whatever part of it the request reads."""
    table = _backend().get_table(name)
    items = (table.get_item(*_backend().get_keys_value(table, key)) for key in requested["Keys"])
    return sum(_for_reading([_attributes(item)], requested.get("ConsistentRead", False)) for item in items)


def _for_reading(items: Iterable[Json], is_consistent: bool) -> float:
    return _full(sum(_size(item) for item in items), _READ_BYTES) * (1.0 if is_consistent else 0.5)


def _full(size: int, unit: int) -> int:
    """The units for a size, at least one."""
    return max(1, -(-size // unit))


def _attributes(item: Item | None) -> Json:
    return item.to_json()["Attributes"] if item is not None else {}


def _size(attributes: Json) -> int:
    """Names and values together: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    return sum(len(name.encode()) + _size_of(value) for name, value in attributes.items())


def _size_of(value: Json) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content.lstrip("-")) // 2 + 2
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "L":
            return 3 + sum(1 + _size_of(one) for one in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _size_of(one) for name, one in content.items())
        case "BOOL" | "NULL":
            return 1
    raise NotImplementedError(f"the size of a value of type {kind} is not known to the simulated AWS")


def _backend() -> Any:
    # The Region that the stack is deployed in.
    return dynamodb_backends[HUB_ACCOUNT][os.environ.get("AWS_DEFAULT_REGION", "us-east-1")]
