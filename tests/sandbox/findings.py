"""What a check finds, and the register of checks: one function for each belief, named by the belief's id."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Verdict(Enum):
    """The result for one belief."""

    HOLDS = "holds"
    CONTRADICTED = "does not hold"
    NOT_CHECKED = "not checked"
    SKIPPED = "skipped"
    BROKEN = "broke off"


@dataclass(frozen=True)
class Finding:
    """A verdict, and what was seen, or why nothing was seen."""

    verdict: Verdict
    seen: str


class NotChecked(Exception):
    """The account or the endpoint cannot confirm or contradict the belief."""


class Needs(Exception):
    """The check needs something that the account does not have: `an organization`."""


@dataclass(frozen=True)
class Check:
    """One belief and its check."""

    id: str
    belief: str
    function: Callable[[Any], Finding]


CHECKS: list[Check] = []


def check(id: str, belief: str) -> Callable[[Callable[[Any], Finding]], Callable[[Any], Finding]]:
    """Registers a function as the check of the belief with this id in docs/assumptions.md."""

    def register(function: Callable[[Any], Finding]) -> Callable[[Any], Finding]:
        CHECKS.append(Check(id, belief, function))
        return function

    return register


def holds(seen: str) -> Finding:
    """The belief is true, as far as was seen."""
    return Finding(Verdict.HOLDS, seen)


def contradicted(seen: str) -> Finding:
    """The belief is wrong."""
    return Finding(Verdict.CONTRADICTED, seen)


def holds_if(is_so: bool, seen: str) -> Finding:
    """Either of the two."""
    return holds(seen) if is_so else contradicted(seen)
