"""Denies every call of a role that IAM knows unless the role's own policies allow it.

Other callers may do everything: the hub's own access key, and sessions of roles that were never created in other
accounts. They represent people with full access.

Each service has its own error for a denied call. `s3.bucket_access` handles S3, together with the bucket policy.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import logging
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from simulated_aws.core import accounts
from simulated_aws.iam import requested_actions, role_permissions
from simulated_aws.iam.policy_evaluation import Context
from simulated_aws.iam.requested_actions import RequestedAction

LOG = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html,
# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
_CODES = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError", "sts": "AccessDenied"}


class _Denied(ServiceException):
    """The caller's role does not allow the call."""


def denial(response: BaseResponse) -> ServiceException | None:
    """The error with which the service denies the request; None if it is allowed."""
    caller = accounts.caller(response.current_account)
    if caller.role_arn is None or role_permissions.find(caller.role_arn) is None:
        return None
    requested = requested_actions.of(response)
    if requested is None:
        unknown = RequestedAction(requested_actions.named(response), "a resource that the simulated AWS does not know")
        role_permissions.note_denial(caller, unknown.action, unknown.resource)
        return _refusal(response, caller, unknown)
    for one in requested:
        if not role_permissions.caller_may(caller, one.action, one.resource, _of_every_request(response, caller) | one.context):
            return _refusal(response, caller, one)
    return None


def _of_every_request(response: BaseResponse, caller: accounts.Caller) -> Context:
    """The condition keys of every request. `aws:SecureTransport` is true although the simulated AWS listens without TLS.

    Keys of the caller's organization are missing: a condition on them is not met.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return {
        "aws:PrincipalAccount": [caller.account_id],
        "aws:PrincipalArn": [caller.role_arn or caller.arn],
        "aws:RequestedRegion": [response.region],
        "aws:SecureTransport": ["true"],
    }


def _refusal(response: BaseResponse, caller: accounts.Caller, requested: RequestedAction) -> ServiceException:
    message = (
        f"User: {caller.arn} is not authorized to perform: {requested.action} on resource: {requested.resource} "
        f"because no identity-based policy allows the {requested.action} action"
    )
    LOG.warning("%s", message)
    code = _CODES.get(str(response.service_name), "AccessDeniedException")
    return _Denied(code, f"You are not authorized to perform this operation. {message}" if code.startswith("Un") else message)


def _judging(call_action: Any) -> Any:
    def call(response: BaseResponse) -> Any:
        denied = denial(response)
        return call_action(response) if denied is None else response.serialized(ActionResult(denied))

    return call


def install() -> None:
    """Wraps the operations of every service that dispatches them in moto's usual way."""
    BaseResponse.call_action = _judging(BaseResponse.call_action)
