"""Reads what a signed request asks for: its access key, its service, its operation, its parameters.

The operation is in a header, in a form, or only in the method and path.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=(\w+)/\d+/[\w-]+/([\w-]+)/")
_OF_PATHS = {
    "s3": {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject"},
    "scheduler": {"GET": "GetSchedule", "POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule"},
}


@dataclass(frozen=True)
class SignedCall:
    """One request. `target` is the header that names the operation of a JSON protocol, `form` the body of a query protocol."""

    access_key: str
    service: str
    operation: str
    path: str
    body: bytes
    target: str | None
    form: dict[str, str]

    @property
    def name(self) -> str:
        """Service and operation, such as `dynamodb:PutItem`."""
        return f"{self.service}:{self.operation}"

    @property
    def text(self) -> str:
        """Path and body, to search for the id of a resource."""
        return f"{self.path} {unquote(self.body.decode(errors='replace'))}"

    def parameters(self) -> dict[str, str]:
        """Each parameter by its name in the request: `ImageId`, `LaunchPermission.Add.1.UserId`. The path is `path`."""
        if self.form:
            return self.form
        try:
            document = json.loads(self.body or b"{}")
        except ValueError:
            document = {}
        return {"path": self.path} | dict(_flattened(document))


def access_key(environ: Environ) -> str | None:
    """The access key that signed a request; None if the request is not signed."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found[1] if found else None


def of(environ: Environ) -> SignedCall | None:
    """The call that a request makes; None if the request is not signed."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        return None
    service, body, target = found[2], read_body(environ), environ.get("HTTP_X_AMZ_TARGET")
    is_form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()} if is_form else {}
    operation = _operation(environ, service, target, form)
    return SignedCall(found[1], service, operation, environ["PATH_INFO"], body, target, form)


def read_body(environ: Environ) -> bytes:
    """The body of a request, and leaves it readable for the service. A chunked body is not read."""
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        return b""
    body = bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    environ["wsgi.input"] = BytesIO(body)
    return body


def answer(start_response: StartResponse, status: str, content: dict[str, Any]) -> Iterable[bytes]:
    """Answers a request to the simulation itself with JSON."""
    body = json.dumps(content).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _operation(environ: Environ, service: str, target: str | None, form: dict[str, str]) -> str:
    if target is not None:
        return target.rsplit(".", 1)[-1]
    if "Action" in form:
        return form["Action"]
    if service == "s3" and "list-type" in parse_qs(environ.get("QUERY_STRING", "")):
        return "ListObjectsV2"
    method = str(environ["REQUEST_METHOD"])
    return _OF_PATHS.get(service, {}).get(method, f"{method} {environ['PATH_INFO']}")


def _flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        items: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list):
        items = enumerate(value, 1)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
        return
    for key, inner in items:
        yield from _flattened(inner, f"{name}.{key}" if name else str(key))
