"""Splits answers into pages: a token says where the next page starts.

Clients must treat tokens as opaque
(https://docs.aws.amazon.com/AWSEC2/latest/DeveloperGuide/ec2-api-pagination.html).
"""

import base64
import binascii
from typing import TypeVar

Item = TypeVar("Item")


class InvalidToken(ValueError):
    """A token that no answer contained."""


def page(items: list[Item], size: int | None, token: str | None) -> tuple[list[Item], str | None]:
    """The items of one page and the token of the next page; all items and no token if the request has no page size."""
    start = _decode(token) if token else 0
    if size is None:
        return items[start:], None
    end = start + size
    return items[start:end], (_encode(end) if end < len(items) else None)


def _encode(position: int) -> str:
    return base64.urlsafe_b64encode(f"from {position}".encode()).decode()


def _decode(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from "))
    except (binascii.Error, ValueError) as cause:
        raise InvalidToken(token) from cause
