"""Calls that AWS may refuse: which code it answers with, and whether that answers the question at all."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.findings import NotChecked

ACCEPTED = "accepted"

# What `shared/aws/src/error.rs` counts as an item that AWS does not accept, and as a resource that does not exist.
REJECTED = {
    "MalformedPolicyDocumentException",
    "InvalidAMIAttributeItemValue",
    "InvalidParameterValue",
    "InvalidUserID.Malformed",
    "InvalidUserId.Malformed",
    "InvalidUserID.NotFound",
}
MISSING = {"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"}

# How a service says that the caller is not authorized.
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
# How EC2 says that the caller would be authorized. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
ALLOWED_IN_DRY_RUN = "DryRunOperation"

# What an endpoint that is not AWS answers to a call that it does not support.
_UNKNOWN = {"InternalFailure", "InternalError", "404", "500", "501", "NotImplemented", "UnknownOperationException", "InvalidAction"}

# Errors of the credentials, the clock, the request rate or the service's health say nothing about the question.
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
    """AWS's error code of a refusal."""
    return str(error.response.get("Error", {}).get("Code", "no code"))


def described(error: ClientError) -> str:
    """Code and message, without the part that only the account itself can decode."""
    message = str(error.response.get("Error", {}).get("Message", "")).split("Encoded authorization")[0].strip()
    return f"{code_of(error)}: {message[:160]}"


def response_code(call: Callable[..., Any], **parameters: Any) -> str:
    """`accepted`, or the code with which AWS refuses the call, a denial included: for callers whose permissions are the question.

    NotChecked where the endpoint does not know the call, or refuses it for another reason.
    """
    try:
        call(**parameters)
    except ClientError as error:
        return related(error)
    except BotoCoreError as error:
        raise NotChecked(f"the call did not get through ({type(error).__name__}: {str(error)[:160]})") from error
    return ACCEPTED


def answer(call: Callable[..., Any], **parameters: Any) -> str:
    """The same for ourselves, with full permissions: NotChecked where a policy above the account denies it."""
    code = response_code(call, **parameters)
    if code in DENIED:
        raise NotChecked(f"these credentials may not do it ({code})")
    return code


def related(error: ClientError) -> str:
    """The code of a refusal, if it can answer the question; NotChecked otherwise."""
    code = code_of(error)
    if code in _UNKNOWN:
        raise NotChecked(f"this endpoint does not answer the call ({code})") from error
    if code in _UNRELATED:
        raise NotChecked(f"the call was refused for another reason ({described(error)})") from error
    return code


def is_denied_explicitly(call: Callable[..., Any], **parameters: Any) -> bool:
    """Whether a statement denies it, rather than no statement allowing it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    try:
        call(**parameters)
    except ClientError as error:
        return code_of(error) in DENIED and "explicit deny" in str(error)
    return False


def undo(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> None:
    """Undoes a change. If that fails, the changed resource is removed at the end anyway."""
    with suppress(NotChecked):
        call(*arguments, **parameters)


def until(read: Callable[[], Any], seconds: float, pause: float = 0.25) -> Any:
    """The first true value that `read` returns within so many seconds, or its last one."""
    end = time.monotonic() + seconds
    while not (seen := read()) and time.monotonic() < end:
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
    return seen


def seconds_until(read: Callable[[], Any], seconds: float) -> float | None:
    """How long it takes until `read` returns a true value; None if it does not in time."""
    began = time.monotonic()
    return time.monotonic() - began if until(read, seconds, pause=0.1) else None
