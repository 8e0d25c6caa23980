"""Evaluates policies: principals, actions, resources and conditions of their statements.

It implements the policy language without policy variables. `kms.key_access` knows what EC2 needs of a key,
`kms.key_policy` which documents KMS accepts, `role_permissions` what a role may do.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import fnmatch
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from simulated_aws.core.accounts import Caller

Context = dict[str, list[str]]

# The resource of a request for the key whose policy is evaluated.
THIS_KEY = "the key of the policy"


@dataclass(frozen=True)
class Request:
    """A caller, an action, a resource, and the condition keys that AWS sets for them (case-insensitive)."""

    caller: Caller
    action: str
    context: Context = field(default_factory=dict)
    resource: str | None = None


def allows(policy: str, request: Request) -> bool:
    """True if some statement allows the request and none denies it."""
    effects = _effects(policy, request)
    return "Allow" in effects and "Deny" not in effects


def denies(policy: str, request: Request) -> bool:
    """True if some statement denies the request."""
    return "Deny" in _effects(policy, request)


def _effects(policy: str, request: Request) -> set[str]:
    return {statement.get("Effect") for statement in _statements(policy) if applies(statement, request)}


@lru_cache(maxsize=4096)
def _statements(policy: str) -> list[dict[str, Any]]:
    """Parsed once: the same few documents are evaluated all the time."""
    return as_list(json.loads(policy).get("Statement"))


def as_list(value: Any) -> list[Any]:
    """In policy documents a list of one may be written as the item itself."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def applies(statement: dict[str, Any], request: Request) -> bool:
    """Whether the statement of a resource policy applies to this request, whatever its effect."""
    return _names_principal(statement, request.caller) and speaks_of(statement, request)


def speaks_of(statement: dict[str, Any], request: Request) -> bool:
    """The same for a statement of a role's own policy, which has no principal."""
    return (
        _names_action(statement, request.action)
        and _names_resource(statement, request.resource)
        and all(_holds(operator, keys, request.context) for operator, keys in statement.get("Condition", {}).items())
    )


def _names_principal(statement: dict[str, Any], caller: Caller) -> bool:
    if "NotPrincipal" in statement:
        return not _is_among(statement["NotPrincipal"], caller)
    return _is_among(statement.get("Principal"), caller)


def _is_among(principal: Any, caller: Caller) -> bool:
    """An account as principal means every principal in it that its own IAM allows: here that is every one.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    if caller.service is not None:
        return caller.service in as_list(principal.get("Service")) or "*" in as_list(principal.get("AWS"))
    account = caller.account_id
    itself = {"*", account, f"arn:aws:iam::{account}:root", caller.arn, caller.role_arn}
    return any(named in itself for named in as_list(principal.get("AWS")))


def _names_action(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not _matches_any(statement["NotAction"], action.lower())
    return _matches_any(statement.get("Action"), action.lower())


def _names_resource(statement: dict[str, Any], resource: str | None) -> bool:
    """A key policy applies to its own key, whatever its Resource; a statement without one has no effect.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html#key-policy-elements
    """
    if resource == THIS_KEY:
        return bool(statement.get("Resource") or statement.get("NotResource"))
    if resource is None:
        return True
    if "NotResource" in statement:
        return matching(as_list(statement["NotResource"]), resource) is None
    return matching(as_list(statement.get("Resource", "*")), resource) is not None


def matching(patterns: list[str], resource: str) -> int | None:
    """The index of the first pattern that the resource matches."""
    return next((place for place, pattern in enumerate(patterns) if _like(resource, str(pattern))), None)


def _matches_any(patterns: Any, action: str) -> bool:
    return any(_like(action, pattern.lower()) for pattern in as_list(patterns))


def _holds(operator: str, keys: dict[str, Any], context: Context) -> bool:
    """Every key of a condition operator has to match one of its values.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    actual_by_key = {key.lower(): values for key, values in context.items()}
    return all(
        _key_holds(operator, [str(value) for value in as_list(wanted)], actual_by_key.get(key.lower()))
        for key, wanted in keys.items()
    )


def _key_holds(operator: str, wanted: list[str], actual: list[str] | None) -> bool:
    quantifier, _, rest = operator.rpartition(":")
    optional = rest.endswith("IfExists")
    comparison = rest.removesuffix("IfExists")
    if comparison == "Null":
        return (actual is None) == (wanted[0].lower() == "true")
    if actual is None:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
        return optional or quantifier == "ForAllValues" or (comparison in _NEGATED and not quantifier)
    negated = comparison in _NEGATED
    matches = _COMPARISONS[_NEGATED.get(comparison, comparison)]
    results = [any(matches(value, pattern) for pattern in wanted) != negated for value in actual]
    return all(results) if quantifier == "ForAllValues" else any(results)


def _like(value: str, pattern: str) -> bool:
    """`*` and `?` are the only wildcards of a policy; a bracket means itself."""
    return value == pattern or _matcher(pattern)(value) is not None


@lru_cache(maxsize=8192)
def _matcher(pattern: str) -> Callable[[str], Any]:
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match


_COMPARISONS = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}

_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
