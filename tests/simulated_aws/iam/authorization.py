"""Every call of a session of a role that IAM knows is judged by that role's own policies, and denied unless they allow it.

Who is no such session is not judged here: the hub's own access key, and the sessions of roles in other accounts that
nobody has made, stand for people whom their IAM allows everything.

Each service says in its own way that a call is denied. S3 is judged in `bucket_access`, together with the bucket's policy.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import logging
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from simulated_aws.core import accounts
from simulated_aws.iam import requested_actions, role_permissions
from simulated_aws.iam.policy_evaluation import Context
from simulated_aws.iam.requested_actions import Asked

LOG = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html,
# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
_CODES = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError", "sts": "AccessDenied"}


class _Denied(ServiceException):
    """The caller's role does not allow the call."""


def denial(response: BaseResponse) -> ServiceException | None:
    """How the service refuses the request, if it does."""
    caller = accounts.caller(response.current_account)
    if caller.role_arn is None or role_permissions.find(caller.role_arn) is None:
        return None
    asked = requested_actions.of(response)
    if asked is None:
        unknown = Asked(requested_actions.named(response), "a resource that the simulated AWS does not know")
        role_permissions.note_denial(caller, unknown.action, unknown.resource)
        return _refusal(response, caller, unknown)
    for one in asked:
        if not role_permissions.caller_may(caller, one.action, one.resource, _of_every_request(response, caller) | one.context):
            return _refusal(response, caller, one)
    return None


def _of_every_request(response: BaseResponse, caller: accounts.Caller) -> Context:
    """The simulated AWS listens without TLS and stands for an AWS that is asked with it.

    Keys of the caller's organization are not among these: a statement that asks for them does not hold.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return {
        "aws:PrincipalAccount": [caller.account_id],
        "aws:PrincipalArn": [caller.role_arn or caller.arn],
        "aws:RequestedRegion": [response.region],
        "aws:SecureTransport": ["true"],
    }


def _refusal(response: BaseResponse, caller: accounts.Caller, asked: Asked) -> ServiceException:
    message = (
        f"User: {caller.arn} is not authorized to perform: {asked.action} on resource: {asked.resource} "
        f"because no identity-based policy allows the {asked.action} action"
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
    """Stands before the operations of every service that dispatches them in moto's usual way."""
    BaseResponse.call_action = _judging(BaseResponse.call_action)
