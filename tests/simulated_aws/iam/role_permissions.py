"""Evaluates a role's own policies, for each call of its sessions and for each action of AWS with a passed role.

It ignores permissions boundaries, session policies and service control policies. `permission_record` records what
allowed or denied a call.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
from dataclasses import dataclass
from typing import Any

from moto.iam.models import ManagedPolicy, Role, iam_backends

from simulated_aws.core import accounts
from simulated_aws.iam import permission_record, policy_evaluation, resource_policy
from simulated_aws.iam.policy_evaluation import Context, Request


@dataclass(frozen=True)
class _Statement:
    """One statement of a role's policies; `name` is its Sid, or its index in the policy."""

    policy: str
    name: str
    body: dict[str, Any]


_roles: dict[str, Role] = {}
_read: dict[str, tuple[list[Any], list[_Statement]]] = {}


def find(role_arn: str) -> Role | None:
    """The role, if IAM knows it."""
    partitions = iam_backends.get(role_arn.split(":")[4])
    if not partitions:
        return None
    roles, found = partitions["aws"].roles, _roles.get(role_arn)
    if found is None or roles.get(found.id) is not found:
        found = next((role for role in list(roles.values()) if role.arn == role_arn), None)
        if found is not None:
            _roles[role_arn] = found
    return found


def trusts(role_arn: str, requester: resource_policy.Requester) -> bool:
    """Whether the role exists and lets this service assume it."""
    role = find(role_arn)
    return role is not None and resource_policy.allows(role.assume_role_policy_document, requester, "sts:AssumeRole", role_arn)


def allow(role: Role, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the role's inline and managed policies, taken together, allow this."""
    request = Request(accounts.root_of(role.account_id), action, context or {}, resource)
    speaking = [statement for statement in _statements(role) if policy_evaluation.speaks_of(statement.body, request)]
    allowing = [statement for statement in speaking if statement.body["Effect"] == "Allow"]
    if not allowing or len(allowing) < len(speaking):
        permission_record.denied(role.name, action, resource)
        return False
    for statement in allowing:
        permission_record.used(role.name, statement.policy, statement.name, action, _place(statement, resource))
    return True


def caller_may(caller: accounts.Caller, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the caller's role allows this. A caller without a role that IAM knows may do everything."""
    role = find(caller.role_arn) if caller.role_arn else None
    return role is None or allow(role, action, resource, context)


def note_denial(caller: accounts.Caller, action: str, resource: str) -> None:
    """Records what is denied without evaluating the role's policies."""
    role = find(caller.role_arn) if caller.role_arn else None
    if role is not None:
        permission_record.denied(role.name, action, resource)


def _place(statement: _Statement, resource: str) -> str:
    if statement.policy.startswith("arn:"):
        return resource
    return str(policy_evaluation.matching(policy_evaluation.as_list(statement.body.get("Resource")), resource))


def _statements(role: Role) -> list[_Statement]:
    """Parsed once, as long as the role's policies are the same documents."""
    policies = dict(role.policies) | {one.arn: _default(one) for one in list(role.managed_policies.values())}
    documents = list(policies.values())
    kept = _read.get(role.id)
    if kept is None or len(kept[0]) != len(documents) or any(a is not b for a, b in zip(kept[0], documents)):
        statements = [one for name, document in policies.items() for one in _of_policy(name, document)]
        kept = _read[role.id] = (documents, statements)
    return kept[1]


def _default(policy: ManagedPolicy) -> str:
    return str(next(one.document for one in policy.versions if one.version_id == policy.default_version_id))


def _of_policy(name: str, document: str | dict[str, Any]) -> list[_Statement]:
    read = json.loads(document) if isinstance(document, str) else document
    # CloudFormation drops an `AWS::NoValue` of a list; moto leaves a null in its place.
    statements = [one for one in policy_evaluation.as_list(read.get("Statement")) if one is not None]
    return [_Statement(name, one.get("Sid") or str(place), one) for place, one in enumerate(statements)]
