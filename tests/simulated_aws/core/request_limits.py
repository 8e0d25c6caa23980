"""Request limits: throttles an account that calls too often in a Region.

They are off unless `SIMULATED_AWS_REQUEST_LIMITS` is `on`, because tests call more often than real callers. If it is a
number, they are on, and it is the refill per second of the buckets of AWS Organizations: a busy machine may call too
seldom to exceed the usual limit.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html#throttling-limits
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import BaseResponse
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.tags import TagResponse
from moto.kms.responses import KmsResponse
from moto.organizations.exceptions import OrganizationsClientError
from moto.organizations.responses import OrganizationsResponse


@dataclass
class Bucket:
    """A token bucket: holds at most `burst` tokens and gets `refill` tokens each second. A call takes one."""

    burst: float
    refill: float
    tokens: float = field(init=False)
    filled: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens, self.filled = self.burst, time.monotonic()

    def take(self) -> bool:
        """Takes a token; False if none is left."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.refill)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


# Operation, burst and refill per second. AWS documents no numbers for Organizations: these are an assumption.
LIMITS: list[tuple[type[BaseResponse], str, float, float]] = [
    (AmisResponse, "modify_image_attribute", 100, 5),
    (AmisResponse, "copy_image", 100, 1),
    (AmisResponse, "describe_images", 100, 20),
    (AmisResponse, "describe_image_attribute", 100, 20),
    (ElasticBlockStore, "modify_snapshot_attribute", 100, 5),
    (ElasticBlockStore, "describe_snapshots", 100, 20),
    (ElasticBlockStore, "describe_snapshot_attribute", 100, 20),
    (TagResponse, "create_tags", 100, 10),
    (TagResponse, "delete_tags", 100, 10),
    (KmsResponse, "put_key_policy", 15, 15),
    (OrganizationsResponse, "list_accounts", 8, 5),
    (OrganizationsResponse, "list_accounts_for_parent", 8, 5),
    (OrganizationsResponse, "list_organizational_units_for_parent", 8, 5),
    (OrganizationsResponse, "list_parents", 8, 5),
    (OrganizationsResponse, "list_tags_for_resource", 8, 5),
    (OrganizationsResponse, "describe_account", 8, 5),
]

_buckets: dict[tuple[str, str, str], Bucket] = {}


def install() -> None:
    """Puts a bucket in front of each operation that has a limit."""
    for response, operation, burst, refill in LIMITS:
        setattr(response, operation, _limited(getattr(response, operation), operation, burst, refill))


def _limited(method: Callable[[Any], Any], operation: str, burst: float, refill: float) -> Callable[[Any], Any]:
    def call(response: BaseResponse) -> Any:
        limits = os.environ.get("SIMULATED_AWS_REQUEST_LIMITS", "off")
        if limits != "off":
            place = (response.current_account, response.region, operation)
            is_chosen = limits != "on" and isinstance(response, OrganizationsResponse)
            if not _buckets.setdefault(place, Bucket(burst, float(limits) if is_chosen else refill)).take():
                raise _refusal(response)
        return method(response)

    return call


def _refusal(response: BaseResponse) -> Exception:
    """The error of throttling, which differs by service."""
    if isinstance(response, KmsResponse):
        return JsonRESTError("ThrottlingException", "You have exceeded the rate at which you may call KMS.")
    if isinstance(response, OrganizationsResponse):
        return OrganizationsClientError("TooManyRequestsException", "AWS Organizations can't complete your request.")
    return EC2ClientError("RequestLimitExceeded", "Request limit exceeded.")
