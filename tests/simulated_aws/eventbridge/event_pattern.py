"""Matches events against the patterns of EventBridge rules.

It replaces moto's matcher, which ignores objects inside arrays and treats an unknown filter as a match.

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
    for key, expected in pattern.items():
        if key == "$or":
            if not any(_matches_object(alternative, nodes) for alternative in expected):
                return False
            continue
        found = [node[key] for node in nodes if isinstance(node, dict) and key in node]
        values = [value for item in found for value in (item if isinstance(item, list) else [item])]
        if isinstance(expected, dict):
            if not _matches_object(expected, values):
                return False
        elif not any(_satisfies(condition, values) for condition in expected):
            return False
    return True


def _satisfies(condition: Any, values: list[Any]) -> bool:
    leaves = [value for value in values if not isinstance(value, dict)]
    if not isinstance(condition, dict):
        return any(_equal(value, condition) for value in leaves)
    ((name, expected),) = condition.items()
    if name == "exists":
        return bool(leaves) == expected
    return any(_passes(name, expected, value) for value in leaves)


def _passes(name: str, expected: Any, value: Any) -> bool:
    if name == "anything-but":
        if isinstance(expected, dict):
            ((inner, inner_expected),) = expected.items()
            return not _passes(inner, inner_expected, value)
        return not any(_equal(value, item) for item in _list(expected))
    if name == "numeric":
        comparisons = zip(expected[::2], expected[1::2], strict=True)
        return _is_number(value) and all(_COMPARISONS[sign](value, limit) for sign, limit in comparisons)
    if not isinstance(value, str):
        return False
    if isinstance(expected, dict):
        # `{"prefix": {"equals-ignore-case": "ami"}}` is the only nesting that prefix and suffix support.
        return _passes(name, str(expected["equals-ignore-case"]).lower(), value.lower())
    return any(_text_passes(name, str(item), value) for item in _list(expected))


def _text_passes(name: str, expected: str, value: str) -> bool:
    match name:
        case "prefix":
            return value.startswith(expected)
        case "suffix":
            return value.endswith(expected)
        case "equals-ignore-case":
            return value.lower() == expected.lower()
        case "wildcard":
            return re.fullmatch(_wildcard(expected), value, re.DOTALL) is not None
        case "cidr":
            return _is_address(value) and ipaddress.ip_address(value) in ipaddress.ip_network(expected)
        case _:
            return False


def check(pattern: dict[str, Any]) -> None:
    """Refuses a pattern that EventBridge does not accept: an unknown operator would never match, or always."""
    for key, expected in pattern.items():
        if key == "$or":
            for alternative in expected:
                check(alternative)
        elif isinstance(expected, dict):
            check(expected)
        else:
            for condition in expected:
                _check_condition(condition)


def _check_condition(condition: Any) -> None:
    for name, expected in condition.items() if isinstance(condition, dict) else ():
        if name not in _OPERATORS:
            raise InvalidEventPatternException(reason=f"Unrecognized match type {name}")
        if name == "exists" and not isinstance(expected, bool):
            raise InvalidEventPatternException(reason="exists match pattern must be either true or false.")
        if name == "anything-but" and isinstance(expected, dict) and not set(expected) <= _WITHIN_ANYTHING_BUT:
            raise InvalidEventPatternException(reason=f"Unsupported anything-but pattern: {', '.join(expected)}")
        if expected in ([], {}):
            raise InvalidEventPatternException(reason=f"Empty {name} pattern")


def _test_event_pattern(response: EventsHandler) -> tuple[str, dict[str, Any]]:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html"""
    pattern = json.loads(response._get_param("EventPattern"))
    check(pattern)
    result = matches(pattern, json.loads(response._get_param("Event")))
    return json.dumps({"Result": result}), response.response_headers


def install() -> None:
    """Checks the pattern of every new rule, and adds TestEventPattern."""
    EventsHandler.test_event_pattern = _test_event_pattern
    parse = EventPatternParser.parse

    def parse_and_check(self: EventPatternParser) -> dict[str, Any]:
        pattern = parse(self)
        check(pattern)
        return pattern

    EventPatternParser.parse = parse_and_check


def _wildcard(expected: str) -> str:
    """`*` matches any characters, `\\*` and `\\\\` for themselves."""
    parts = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", expected)
    escaped = re.compile(r"\\[*\\]")
    return "".join(
        ".*" if part == "*" else re.escape(part[1:] if escaped.fullmatch(part) else part) for part in parts
    )


def _equal(value: Any, expected: Any) -> bool:
    """JSON's equality: `true` is not the number 1."""
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected


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
