"""Decides whether the policy of an event bus, queue, topic, function or role allows an account or an AWS service.

It builds the requester and its condition keys; `policy_evaluation` implements the policy language.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

import json
from dataclasses import dataclass
from typing import Any

from simulated_aws.core import accounts
from simulated_aws.iam import policy_evaluation
from simulated_aws.iam.policy_evaluation import Context, Request
from simulated_aws.organizations import membership


@dataclass(frozen=True)
class Requester:
    """A caller, and the condition keys that AWS sets for it."""

    caller: accounts.Caller
    context: Context


def account(account_id: str, request: Context | None = None) -> Requester:
    """A principal of this account, whose own IAM allows the call. `request` has the condition keys of the called service."""
    caller = accounts.caller(account_id)
    context = {"aws:PrincipalAccount": [account_id], "aws:PrincipalArn": [caller.role_arn or caller.arn], **(request or {})}
    organization = membership.organization_id(account_id)
    if organization is not None:
        context["aws:PrincipalOrgID"] = [organization]
        context["aws:PrincipalOrgPaths"] = [membership.organization_path(account_id) or ""]
    return Requester(caller, context)


def service(name: str, source_arn: str, source_account: str) -> Requester:
    """An AWS service, such as `events.amazonaws.com`, that acts for a resource, such as a rule."""
    caller = accounts.Caller(source_account, name, service=name)
    return Requester(caller, {"aws:SourceArn": [source_arn], "aws:SourceAccount": [source_account]})


def allows(policy: str | dict[str, Any] | None, requester: Requester, action: str, resource: str) -> bool:
    """Whether some statement allows it and none denies it. A missing policy allows nothing."""
    if not policy:
        return False
    document = policy if isinstance(policy, str) else json.dumps(policy)
    # moto writes the principal `*` of PutPermission as the root of an account named `*`.
    document = document.replace('"arn:aws:iam::*:root"', '"*"')
    return policy_evaluation.allows(document, Request(requester.caller, action, requester.context, resource))
