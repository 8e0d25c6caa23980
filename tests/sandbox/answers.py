"""Calls that AWS may refuse: the code, and whether it answers the question at all."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.findings import NotChecked

TAKEN = "taken"

# What `shared/aws/src/error.rs` counts as an item that AWS does not accept, and as a thing that does not exist.
REJECTED = {
    "MalformedPolicyDocumentException",
    "InvalidAMIAttributeItemValue",
    "InvalidParameterValue",
    "InvalidUserID.Malformed",
    "InvalidUserId.Malformed",
    "InvalidUserID.NotFound",
}
MISSING = {"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"}

# The codes of a denied call.
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# The code of EC2 for a dry run that is allowed. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
ALLOWED_IN_DRY_RUN = "DryRunOperation"

# The codes of an endpoint other than AWS for a call that it does not have.
_UNKNOWN = {"InternalFailure", "InternalError", "404", "500", "501", "NotImplemented", "UnknownOperationException", "InvalidAction"}

# The credentials, the clock, throttling or the service's health: not related to the checked call.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html,
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_UNRELATED = {
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "MissingAuthenticationToken",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "OptInRequired",
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
    "RequestThrottledException", "TooManyRequestsException", "ProvisionedThroughputExceededException", "SlowDown",
    "EC2ThrottledException", "PriorRequestNotComplete",
    "Unavailable", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout", "KMSInternalException",
    "DependencyTimeoutException", "503",
}  # fmt: skip


def code_of(error: ClientError) -> str:
    """AWS's code of a refusal."""
    return str(error.response.get("Error", {}).get("Code", "no code"))


def described(error: ClientError) -> str:
    """Code and message, without the part that only the account itself can decode."""
    message = str(error.response.get("Error", {}).get("Message", "")).split("Encoded authorization")[0].strip()
    return f"{code_of(error)}: {message[:160]}"


def judged(call: Callable[..., Any], **parameters: Any) -> str:
    """`taken`, or the code with which AWS refuses the call, a denial included: for callers whose rights are the question.

    NotChecked where the endpoint does not know the call, or refuses it for an unrelated reason.
    """
    try:
        call(**parameters)
    except ClientError as error:
        return related(error)
    except BotoCoreError as error:
        raise NotChecked(f"the call did not get through ({type(error).__name__}: {str(error)[:160]})") from error
    return TAKEN


def answer(call: Callable[..., Any], **parameters: Any) -> str:
    """The same for ourselves, who may do everything: NotChecked where something above the account forbids it."""
    code = judged(call, **parameters)
    if code in DENIED:
        raise NotChecked(f"these credentials may not do it ({code})")
    return code


def related(error: ClientError) -> str:
    """The code of a refusal that can be related to the checked call; NotChecked otherwise."""
    code = code_of(error)
    if code in _UNKNOWN:
        raise NotChecked(f"this endpoint does not answer the call ({code})") from error
    if code in _UNRELATED:
        raise NotChecked(f"the call was refused for something else ({described(error)})") from error
    return code


def is_denied_explicitly(call: Callable[..., Any], **parameters: Any) -> bool:
    """Whether a statement denies it, and not the lack of one that allows it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    try:
        call(**parameters)
    except ClientError as error:
        return code_of(error) in DENIED and "explicit deny" in str(error)
    return False


def undo(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> None:
    """Reverts a change. If that fails, cleaning up still removes the changed resource."""
    with suppress(NotChecked):
        call(*arguments, **parameters)


def until(condition: Callable[[], Any], seconds: float, pause: float = 0.25) -> Any:
    """The first true value of `condition` within this time, or its last value."""
    end = time.monotonic() + seconds
    while not (seen := condition()) and time.monotonic() < end:
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
    return seen


def seconds_until(condition: Callable[[], Any], seconds: float) -> float | None:
    """The seconds until `condition` is true; None if it is not true in time."""
    began = time.monotonic()
    return time.monotonic() - began if until(condition, seconds, pause=0.1) else None
