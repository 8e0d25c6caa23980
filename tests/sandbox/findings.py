"""What a check finds, and the register of checks: one function for each belief, named by the belief's id."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Verdict(Enum):
    """The result of checking one belief."""

    HOLDS = "holds"
    CONTRADICTED = "does not hold"
    NOT_CHECKED = "not checked"
    SKIPPED = "skipped"
    BROKEN = "broke off"


@dataclass(frozen=True)
class Finding:
    """A verdict, and what was seen or why nothing was seen."""

    verdict: Verdict
    seen: str


class NotChecked(Exception):
    """The account or the endpoint gives no answer to the question: neither for the belief nor against it."""


class Needs(Exception):
    """The check needs something that the account does not have: `an organization`."""


@dataclass(frozen=True)
class Check:
    """One belief, and how it is checked."""

    id: str
    belief: str
    run: Callable[[Any], Finding]


CHECKS: list[Check] = []


def check(id: str, belief: str) -> Callable[[Callable[[Any], Finding]], Callable[[Any], Finding]]:
    """Registers a function as the check of the belief with this id in docs/assumptions.md."""

    def register(run: Callable[[Any], Finding]) -> Callable[[Any], Finding]:
        CHECKS.append(Check(id, belief, run))
        return run

    return register


def holds(seen: str) -> Finding:
    """The belief is true, as far as was seen."""
    return Finding(Verdict.HOLDS, seen)


def contradicted(seen: str) -> Finding:
    """The belief is wrong."""
    return Finding(Verdict.CONTRADICTED, seen)


def holds_if(is_so: bool, seen: str) -> Finding:
    """One of the two."""
    return holds(seen) if is_so else contradicted(seen)
