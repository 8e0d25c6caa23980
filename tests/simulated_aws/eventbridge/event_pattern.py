"""Matches events against the patterns of EventBridge rules.

Written anew because moto's matcher ignores objects inside arrays and takes an unknown filter for a match.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import ipaddress
import json
import operator
import re
from typing import Any

from moto.events.exceptions import InvalidEventPatternException
from moto.events.models import EventPatternParser
from moto.events.responses import EventsHandler

_COMPARISONS = {"<": operator.lt, "<=": operator.le, "=": operator.eq, ">=": operator.ge, ">": operator.gt}


_OPERATORS = {"anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"}
_WITHIN_ANYTHING_BUT = {"equals-ignore-case", "prefix", "suffix", "wildcard"}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether every field of the pattern is satisfied. A rule without a pattern (a schedule's) matches nothing."""
    return bool(pattern) and _matches_object(pattern, [event])


def _matches_object(pattern: dict[str, Any], nodes: list[Any]) -> bool:
    """`nodes` are all values found at one path: more than one when the path leads through an array of objects."""
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(_matches_object(alternative, nodes) for alternative in wanted):
                return False
            continue
        found = [node[key] for node in nodes if isinstance(node, dict) and key in node]
        values = [value for item in found for value in (item if isinstance(item, list) else [item])]
        if isinstance(wanted, dict):
            if not _matches_object(wanted, values):
                return False
        elif not any(_satisfies(condition, values) for condition in wanted):
            return False
    return True


def _satisfies(condition: Any, values: list[Any]) -> bool:
    leaves = [value for value in values if not isinstance(value, dict)]
    if not isinstance(condition, dict):
        return any(_equal(value, condition) for value in leaves)
    ((name, wanted),) = condition.items()
    if name == "exists":
        return bool(leaves) == wanted
    return any(_passes(name, wanted, value) for value in leaves)


def _passes(name: str, wanted: Any, value: Any) -> bool:
    if name == "anything-but":
        if isinstance(wanted, dict):
            ((inner, inner_wanted),) = wanted.items()
            return not _passes(inner, inner_wanted, value)
        return not any(_equal(value, item) for item in _list(wanted))
    if name == "numeric":
        comparisons = zip(wanted[::2], wanted[1::2], strict=True)
        return _is_number(value) and all(_COMPARISONS[sign](value, limit) for sign, limit in comparisons)
    if not isinstance(value, str):
        return False
    if isinstance(wanted, dict):
        # `{"prefix": {"equals-ignore-case": "ami"}}` is the only nesting that prefix and suffix know.
        return _passes(name, str(wanted["equals-ignore-case"]).lower(), value.lower())
    return any(_text_passes(name, str(item), value) for item in _list(wanted))


def _text_passes(name: str, wanted: str, value: str) -> bool:
    match name:
        case "prefix":
            return value.startswith(wanted)
        case "suffix":
            return value.endswith(wanted)
        case "equals-ignore-case":
            return value.lower() == wanted.lower()
        case "wildcard":
            return re.fullmatch(_wildcard(wanted), value, re.DOTALL) is not None
        case "cidr":
            return _is_address(value) and ipaddress.ip_address(value) in ipaddress.ip_network(wanted)
        case _:
            return False


def check(pattern: dict[str, Any]) -> None:
    """Refuses a pattern that EventBridge would not take: an unknown operator would otherwise never match, or always."""
    for key, wanted in pattern.items():
        if key == "$or":
            for alternative in wanted:
                check(alternative)
        elif isinstance(wanted, dict):
            check(wanted)
        else:
            for condition in wanted:
                _check_condition(condition)


def _check_condition(condition: Any) -> None:
    for name, wanted in condition.items() if isinstance(condition, dict) else ():
        if name not in _OPERATORS:
            raise InvalidEventPatternException(reason=f"Unrecognized match type {name}")
        if name == "exists" and not isinstance(wanted, bool):
            raise InvalidEventPatternException(reason="exists match pattern must be either true or false.")
        if name == "anything-but" and isinstance(wanted, dict) and not set(wanted) <= _WITHIN_ANYTHING_BUT:
            raise InvalidEventPatternException(reason=f"Unsupported anything-but pattern: {', '.join(wanted)}")
        if wanted in ([], {}):
            raise InvalidEventPatternException(reason=f"Empty {name} pattern")


def _test_event_pattern(response: EventsHandler) -> tuple[str, dict[str, Any]]:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html"""
    pattern = json.loads(response._get_param("EventPattern"))
    check(pattern)
    result = matches(pattern, json.loads(response._get_param("Event")))
    return json.dumps({"Result": result}), response.response_headers


def install() -> None:
    """Checks the pattern of every new rule, and lets a pattern be tried."""
    EventsHandler.test_event_pattern = _test_event_pattern
    parse = EventPatternParser.parse

    def parse_and_check(self: EventPatternParser) -> dict[str, Any]:
        pattern = parse(self)
        check(pattern)
        return pattern

    EventPatternParser.parse = parse_and_check


def _wildcard(wanted: str) -> str:
    """`*` stands for any characters, `\\*` and `\\\\` for themselves."""
    parts = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", wanted)
    escaped = re.compile(r"\\[*\\]")
    return "".join(
        ".*" if part == "*" else re.escape(part[1:] if escaped.fullmatch(part) else part) for part in parts
    )


def _equal(value: Any, wanted: Any) -> bool:
    """JSON's equality: `true` is not the number 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
