"""Identifies the function that makes a request, and the operation that it calls.

Each process of a function has its own credentials, which identify its requests. The operation is in a header, in a form,
or only in the method and path.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from simulated_aws.lambda_.process import FunctionProcess
from simulated_aws.lambda_.runtime import LambdaRuntime

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=(\w+)/\d+/[\w-]+/([\w-]+)/")
_OF_PATHS = {
    "s3": {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"},
    "scheduler": {"GET": "GetSchedule", "POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule"},
}


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
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    process = runtime.process_of(found[1]) if found else None
    if found is None or process is None:
        return None
    body = read_body(environ)
    return FunctionCall(process, found[2], _operation(environ, found[2], body), body)


def read_body(environ: Environ) -> bytes:
    """The body of a request, and leaves it readable for the service. A chunked body is not read."""
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        return b""
    body = bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    environ["wsgi.input"] = BytesIO(body)
    return body


def _operation(environ: Environ, service: str, body: bytes) -> str:
    if "HTTP_X_AMZ_TARGET" in environ:
        return str(environ["HTTP_X_AMZ_TARGET"]).rsplit(".", 1)[-1]
    if service not in _OF_PATHS:
        return parse_qs(body.decode())["Action"][0]
    if service == "s3" and "list-type" in parse_qs(environ["QUERY_STRING"]):
        return "ListObjectsV2"
    return _OF_PATHS[service][environ["REQUEST_METHOD"]]
