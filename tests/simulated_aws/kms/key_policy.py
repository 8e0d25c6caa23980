"""Checks whether KMS accepts a key policy.

https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html
"""

import json
import re
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.iam.models import iam_backends

from simulated_aws.core import accounts
from simulated_aws.core.accounts import Caller
from simulated_aws.iam.policy_evaluation import THIS_KEY, Request, allows, as_list

MAXIMUM_BYTES = 32_768

_ACCOUNT = re.compile(r"\d{12}")
_IAM_ARN = re.compile(r"arn:aws:iam::(\d{12}):(root|(?:role|user)/[\w+=,.@/-]+)")
_SESSION_ARN = re.compile(r"arn:aws:sts::(\d{12}):(?:assumed-role|federated-user)/[\w+=,.@/-]+")
_SERVICE = re.compile(r"[\w.-]+\.amazonaws\.com(?:\.cn)?")


def check(policy: str, caller: Caller, bypass_lockout_check: bool) -> None:
    """Raises the error of KMS for a policy that it refuses."""
    if len(policy.encode()) > MAXIMUM_BYTES:
        raise JsonRESTError("LimitExceededException", f"The key policy is longer than {MAXIMUM_BYTES} bytes")
    for statement in _statements(policy):
        _check_statement(statement)
    if not bypass_lockout_check and not _keeps_access(policy, caller):
        raise _malformed("The new key policy will not allow you to update the key policy in the future.")


def _statements(policy: str) -> list[Any]:
    try:
        document = json.loads(policy)
    except ValueError:
        raise _malformed("The policy is not in the valid JSON format.") from None
    statements = as_list(document.get("Statement")) if isinstance(document, dict) else []
    if not statements:
        raise _malformed("The policy has no statements.")
    return statements


def _check_statement(statement: Any) -> None:
    """Every statement needs an effect and principals. One without an action or a resource is accepted and has no effect.

    Public evidence confirms it: the page and the model of PutKeyPolicy (Policy) say so; only the console complains.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html#key-policy-elements
    """
    if not isinstance(statement, dict):
        raise _malformed("A policy statement is not an object.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Policy contains a statement without a valid Effect.")
    if not statement.get("Principal") and not statement.get("NotPrincipal"):
        raise _malformed("Policy contains a statement with no principal.")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if not _principal_is_valid(principal):
        raise _malformed("Policy contains a statement with one or more invalid principals.")


def _principal_is_valid(principal: Any) -> bool:
    if isinstance(principal, str):
        return principal == "*"
    return isinstance(principal, dict) and all(
        _named_is_valid(kind, named) for kind, several in principal.items() for named in as_list(several)
    )


def _named_is_valid(kind: str, named: Any) -> bool:
    if not isinstance(named, str):
        return False
    if kind == "AWS":
        return named == "*" or _exists(named)
    if kind == "Service":
        return _SERVICE.fullmatch(named) is not None
    return kind == "Federated"


def _exists(principal: str) -> bool:
    """Principals have to exist: a deleted role leaves its `AROA…` id behind, which no later policy may contain.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
    """
    if _ACCOUNT.fullmatch(principal):
        return accounts.exists(principal)
    session = _SESSION_ARN.fullmatch(principal)
    if session:
        return accounts.exists(session.group(1))
    named = _IAM_ARN.fullmatch(principal)
    if named is None or not accounts.exists(named.group(1)):
        return False
    return named.group(2) == "root" or _is_in_iam(named.group(1), principal) or accounts.role_was_assumed(principal)


def _is_in_iam(account_id: str, arn: str) -> bool:
    if account_id not in iam_backends:
        return False
    iam = iam_backends[account_id]["aws"]
    return any(one.arn == arn for one in [*iam.roles.values(), *iam.users.values()])


def _keeps_access(policy: str, caller: Caller) -> bool:
    """The caller must still be able to put the next policy.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#prevent-unmanageable-key
    """
    context = {"aws:PrincipalAccount": [caller.account_id], "kms:CallerAccount": [caller.account_id]}
    return allows(policy, Request(caller, "kms:PutKeyPolicy", context, THIS_KEY))


def _malformed(message: str) -> JsonRESTError:
    return JsonRESTError("MalformedPolicyDocumentException", message)
