"""Checks the parameters of a stack as CloudFormation does before it creates resources.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

import re
from typing import Any


class ParameterError(Exception):
    """A parameter that is unknown, missing, or not accepted."""


def resolve(declared: dict[str, dict[str, Any]], given: dict[str, str]) -> dict[str, str]:
    """The value of every parameter: the given value, or the default."""
    for name in given:
        if name not in declared:
            raise ParameterError(f"the template has no parameter `{name}`")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise ParameterError(f"the parameter `{name}` needs a value")
        values[name] = str(value)
        _check(name, declaration, values[name])
    return values


def _check(name: str, declaration: dict[str, Any], value: str) -> None:
    allowed = declaration.get("AllowedValues")
    if allowed is not None and value not in [str(item) for item in allowed]:
        raise _refusal(name, declaration, value, f"one of {', '.join(str(item) for item in allowed)}")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and re.fullmatch(pattern, value) is None:
        raise _refusal(name, declaration, value, f"text that matches {pattern}")
    if declaration["Type"] == "Number":
        _check_number(name, declaration, value)
    if len(value) > int(declaration.get("MaxLength", 4096)) or len(value) < int(declaration.get("MinLength", 0)):
        raise _refusal(name, declaration, value, "text of another length")


def _check_number(name: str, declaration: dict[str, Any], value: str) -> None:
    try:
        number = float(value)
    except ValueError as error:
        raise _refusal(name, declaration, value, "a number") from error
    lowest, highest = float(declaration.get("MinValue", "-inf")), float(declaration.get("MaxValue", "inf"))
    if not lowest <= number <= highest:
        raise _refusal(name, declaration, value, f"a number from {lowest:g} to {highest:g}")


def _refusal(name: str, declaration: dict[str, Any], value: str, requirement: str) -> ParameterError:
    rule = declaration.get("ConstraintDescription", requirement)
    return ParameterError(f"the parameter `{name}` is `{value}`, and must be {rule}")
