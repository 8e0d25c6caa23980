"""Compares two simulated AWSs: everything must be equal but times and random ids."""

import difflib
import json
import re
from typing import Any

from world import KEYS

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The names of reviews have dashes instead of colons.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d([:-])\d\d\1\d\d(?:\.\d+)?(?:Z|\+00:00)?")
# Numbers since 1970: milliseconds, seconds, and the tens of seconds in the name of a review.
_TICKS = re.compile(r"\b1[789]\d{7,8}(?:\d{3})?(?:\.\d+)?\b")
# Request ids, and the suffixes of names that CloudFormation generates.
_RANDOM = re.compile(r"\b[0-9a-f]{32,64}\b|\b[A-Za-z0-9]{52}\b|(?<=bucket-)[a-z0-9]{12}\b|(?<=Role-)[A-Z0-9]{12}\b")


def plain(value: Any) -> Any:
    """The value with placeholders, such as `<uuid>` and `<moment>`, for what differs from run to run."""
    text = json.dumps(value, sort_keys=True)
    text = _UUID.sub(lambda found: found[0] if found[0] in KEYS else "<uuid>", text)
    # Of two concurrent calls, either may be recorded first.
    text = re.sub(r"<uuid>-\d+\b", "<uuid>-<number>", text)
    for pattern, name in ((_MOMENT, "<moment>"), (_TICKS, "<ticks>"), (_RANDOM, "<random>")):
        text = pattern.sub(name, text)
    return json.loads(text)


def comparable(state: dict[str, Any]) -> dict[str, Any]:
    """The state with sorted lists: of two concurrent calls, either may come first."""
    parts = plain(state)
    return {name: sorted(part, key=str) if isinstance(part, list) else part for name, part in parts.items()}


def differences(one: Any, other: Any) -> str:
    """The lines in which two values differ as JSON; empty if they are equal."""
    written = [json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (one, other)]
    return "\n".join(difflib.unified_diff(*written, "in the container's world", "in the reference", lineterm=""))
