"""Whether the policy of an event bus, a queue, a topic, a function or a role lets an account or an AWS service in.

It says who asks and with which condition keys; the policy language itself is in `policy_evaluation`.

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
class Asker:
    """Who asks, and the condition keys that AWS sets for it."""

    caller: accounts.Caller
    context: Context


def account(account_id: str, request: Context | None = None) -> Asker:
    """A principal of this account, which its own IAM allows the call. `request` are the called service's own keys."""
    caller = accounts.caller(account_id)
    context = {"aws:PrincipalAccount": [account_id], "aws:PrincipalArn": [caller.role_arn or caller.arn], **(request or {})}
    organization = membership.organization_id(account_id)
    if organization is not None:
        context["aws:PrincipalOrgID"] = [organization]
        context["aws:PrincipalOrgPaths"] = [membership.organization_path(account_id) or ""]
    return Asker(caller, context)


def service(name: str, source_arn: str, source_account: str) -> Asker:
    """An AWS service, such as `events.amazonaws.com`, that acts for a resource, such as a rule."""
    caller = accounts.Caller(source_account, name, service=name)
    return Asker(caller, {"aws:SourceArn": [source_arn], "aws:SourceAccount": [source_account]})


def allows(policy: str | dict[str, Any] | None, asker: Asker, action: str, resource: str) -> bool:
    """Whether some statement allows it and none denies it. No policy allows nothing."""
    if not policy:
        return False
    document = policy if isinstance(policy, str) else json.dumps(policy)
    # moto writes the principal `*` of PutPermission as the root of an account named `*`.
    document = document.replace('"arn:aws:iam::*:root"', '"*"')
    return policy_evaluation.allows(document, Request(asker.caller, action, asker.context, resource))
