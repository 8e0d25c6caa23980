"""Identifies the function that makes a request.

Each process of a function has its own credentials, which identify its requests.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from dataclasses import dataclass

from simulated_aws.core import signed_calls
from simulated_aws.core.signed_calls import Environ
from simulated_aws.lambda_.process import FunctionProcess
from simulated_aws.lambda_.runtime import LambdaRuntime


@dataclass(frozen=True)
class FunctionCall:
    """One request from a process of a function."""

    process: FunctionProcess
    service: str
    operation: str
    body: bytes

    @property
    def name(self) -> str:
        """Service and operation, such as `dynamodb:PutItem`."""
        return f"{self.service}:{self.operation}"


def of(environ: Environ, runtime: LambdaRuntime) -> FunctionCall | None:
    """The call that a function makes with this request; None if the caller is not a function."""
    access_key = signed_calls.access_key(environ)
    process = runtime.process_of(access_key) if access_key else None
    call = signed_calls.of(environ) if process is not None else None
    if process is None or call is None:
        return None
    return FunctionCall(process, call.service, call.operation, call.body)
