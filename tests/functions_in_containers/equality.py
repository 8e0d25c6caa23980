"""What two worlds must have in common: everything but moments, and ids that are made up anew each time."""

import difflib
import json
import re
from typing import Any

from world import KEYS

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# With dashes, they are in the names of reviews.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d([:-])\d\d\1\d\d(?:\.\d+)?(?:Z|\+00:00)?")
# Numbers since 1970: milliseconds, seconds, and the tens of seconds in the name of a review.
_TICKS = re.compile(r"\b1[789]\d{7,8}(?:\d{3})?(?:\.\d+)?\b")
# Of AWS requests, and at the end of the names that CloudFormation makes up.
_RANDOM = re.compile(r"\b[0-9a-f]{32,64}\b|\b[A-Za-z0-9]{52}\b|(?<=bucket-)[a-z0-9]{12}\b|(?<=Role-)[A-Z0-9]{12}\b")


def plain(value: Any) -> Any:
    """The value with `<uuid>`, `<moment>` and the like in place of what differs from run to run."""
    text = json.dumps(value, sort_keys=True)
    text = _UUID.sub(lambda found: found[0] if found[0] in KEYS else "<uuid>", text)
    # Of two calls at once, either may be the first that is written down.
    text = re.sub(r"<uuid>-\d+\b", "<uuid>-<number>", text)
    for pattern, name in ((_MOMENT, "<moment>"), (_TICKS, "<ticks>"), (_RANDOM, "<random>")):
        text = pattern.sub(name, text)
    return json.loads(text)


def scene(seen: dict[str, Any]) -> dict[str, Any]:
    """What a world shows, with the lists in one order: of two calls at once, either may come first."""
    parts = plain(seen)
    return {name: sorted(part, key=str) if isinstance(part, list) else part for name, part in parts.items()}


def differences(one: Any, other: Any) -> str:
    """In which lines two values differ once they are written down; empty if they are equal."""
    written = [json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (one, other)]
    return "\n".join(difflib.unified_diff(*written, "in the container's world", "in the reference", lineterm=""))
