"""Computes the input of a rule's target: the event, or the result of Input, InputPath or InputTransformer.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
import re
from typing import Any

from jsonpath_ng.ext import parse

_PLACEHOLDER = re.compile(r"<([^<>\s]+)>")


def payload(target: dict[str, Any], event: dict[str, Any], rule_arn: str) -> str:
    """The text for the target: the JSON of the event unless the target has an input of its own."""
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_find(target["InputPath"], event))
    if target.get("InputTransformer"):
        return _transform(target["InputTransformer"], event, rule_arn)
    return json.dumps(event)


def _find(path: str, event: dict[str, Any]) -> Any:
    found = parse(path).find(event)
    return found[0].value if found else None


def _transform(transformer: dict[str, Any], event: dict[str, Any], rule_arn: str) -> str:
    values = {name: _find(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
    }
    template = transformer["InputTemplate"]

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        return _render(values[match[1]], quoted=_within_quotes(template, match.start()))

    return _PLACEHOLDER.sub(fill, template)


def _render(value: Any, quoted: bool) -> str:
    """A placeholder inside a JSON string becomes the plain text, elsewhere the JSON value. A path without a value is empty."""
    if value is None:
        return ""
    if not quoted:
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]


def _within_quotes(template: str, position: int) -> bool:
    before = template[:position].replace("\\\\", "").replace('\\"', "")
    return before.count('"') % 2 == 1
