"""One call of a service changes things as if no other call ran at the same time.

moto's backends are written for one caller, but here a thread serves each request: two conditional writes could both
find their condition true. One lock for each service keeps them apart.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
"""

import threading
from collections.abc import Callable
from typing import Any

from moto.core.responses import BaseResponse
from moto.dynamodb.responses import DynamoHandler
from moto.ec2.responses import EC2Response
from moto.kms.responses import KmsResponse
from moto.organizations.responses import OrganizationsResponse

_SERVICES: list[type[BaseResponse]] = [DynamoHandler, EC2Response, KmsResponse, OrganizationsResponse]


def one_at_a_time(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The method, in which only one thread is at any time."""
    lock = threading.RLock()

    def call(response: BaseResponse) -> Any:
        with lock:
            return method(response)

    return call


def install() -> None:
    """Puts the lock of each service around its calls."""
    for service in _SERVICES:
        service.call_action = one_at_a_time(service.call_action)
