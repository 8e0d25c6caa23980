"""What a role's own policies allow: asked where AWS acts with a role that somebody has passed to it.

Permissions boundaries and service control policies are not looked at.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json

from moto.iam.models import Role, iam_backends

from simulated_aws import accounts, permission, policy_evaluation
from simulated_aws.policy_evaluation import Context, Request


def find(role_arn: str) -> Role | None:
    """The role, if IAM knows it."""
    partitions = iam_backends.get(role_arn.split(":")[4])
    roles = list(partitions["aws"].roles.values()) if partitions else []
    return next((role for role in roles if role.arn == role_arn), None)


def trusts(role_arn: str, asker: permission.Asker) -> bool:
    """Whether the role exists and lets this service assume it."""
    role = find(role_arn)
    return role is not None and permission.allows(role.assume_role_policy_document, asker, "sts:AssumeRole", role_arn)


def allow(role: Role, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the role's inline and managed policies, taken together, allow this."""
    documents = list(role.policies.values()) + [policy.document for policy in role.managed_policies.values()]
    # A policy of a role names no principal: whoever has the role is the principal.
    statements = [
        statement | {"Principal": "*"}
        for document in documents
        for statement in policy_evaluation.as_list(_read(document).get("Statement"))
        # CloudFormation drops an `AWS::NoValue` of a list; moto leaves nothing in its place.
        if statement is not None
    ]
    request = Request(accounts.root_of(role.account_id), action, context or {}, resource)
    return policy_evaluation.allows(json.dumps({"Statement": statements}), request)


def caller_may(caller: accounts.Caller, action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the caller's role allows this. Who is no session of a role that IAM knows is not asked, and may."""
    role = find(caller.role_arn) if caller.role_arn else None
    return role is None or allow(role, action, resource, context)


def _read(document: str | dict[str, object]) -> dict[str, object]:
    return json.loads(document) if isinstance(document, str) else document
