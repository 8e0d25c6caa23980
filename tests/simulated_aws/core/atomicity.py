"""Makes each call of a service atomic: it changes state as if no other call ran at the same time.

moto's backends expect one caller, but here a thread serves each request: two conditional writes could both find their
condition true. One lock for each service prevents that.

Step Functions and SQS lock less: rules start executions without a request, and a caller that waits for a message must
not block the sender.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from moto.core.responses import BaseResponse
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.ec2.responses import EC2Response
from moto.kms.responses import KmsResponse
from moto.organizations.responses import OrganizationsResponse
from moto.sqs.models import Queue
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

_SERVICES: list[type[BaseResponse]] = [DynamoHandler, EC2Response, KmsResponse, OrganizationsResponse]
_LOCKS = {service: threading.RLock() for service in _SERVICES}
_WITH_PAST_STATES = (EC2Response, KmsResponse, OrganizationsResponse)


@contextmanager
def alone() -> Iterator[None]:
    """Keeps every other call of EC2, KMS and AWS Organizations waiting until the block ends."""
    with ExitStack() as held:
        for service in _WITH_PAST_STATES:
            held.enter_context(_LOCKS[service])
        yield


def one_at_a_time(method: Callable[..., Any], lock: Any = None) -> Callable[..., Any]:
    """Wraps the method so that one thread at a time runs it."""
    lock = lock or threading.RLock()

    def call(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return method(*args, **kwargs)

    return call


def keeping_what_arrives(delete_message: Callable[[Queue, str], None]) -> Callable[[Queue, str], None]:
    """moto deletes a message by building a new list: a message sent meanwhile would be in the old list only.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    def call(queue: Queue, receipt_handle: str) -> None:
        # Senders hold this lock too.
        with queue._messages_lock:
            delete_message(queue, receipt_handle)

    return call


_transaction = threading.local()


def _remembering(transact: Callable[..., None]) -> Callable[..., None]:
    """A failed transaction changes nothing: moto restores a copy of each table, which it makes for every write.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
    """

    def call(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        _transaction.writes = [write for item in transact_items for write in item.values()]
        try:
            transact(backend, transact_items)
        finally:
            _transaction.writes = None

    return call


def _copy_of_table(table: Table, memo: dict[int, Any]) -> Table:
    """Copies only the items that the transaction writes: copying the whole table takes longer as it grows."""
    writes = getattr(_transaction, "writes", None)
    copied = table.__class__.__new__(table.__class__)
    if writes is None:
        copied.__dict__ |= copy.deepcopy(table.__dict__, memo)
        return copied
    copied.__dict__ |= table.__dict__
    copied.items = table.items.copy()
    for write in writes:
        partition = (write.get("Key") or write.get("Item") or {}).get(table.hash_key_attr)
        if partition and DynamoType(partition) in table.items:
            copied.items[DynamoType(partition)] = copy.deepcopy(table.items[DynamoType(partition)])
    return copied


def install() -> None:
    """Puts the lock of each service around its calls, and limits what a failed transaction restores."""
    for service in _SERVICES:
        service.call_action = one_at_a_time(service.call_action, _LOCKS[service])
    # One call both searches for the name of an execution and adds the execution.
    StepFunctionsParserBackend.start_execution = one_at_a_time(StepFunctionsParserBackend.start_execution)
    Queue.delete_message = keeping_what_arrives(Queue.delete_message)
    DynamoDBBackend.transact_write_items = _remembering(DynamoDBBackend.transact_write_items)
    Table.__deepcopy__ = _copy_of_table
