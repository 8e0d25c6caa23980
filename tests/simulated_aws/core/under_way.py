"""Counts accepted work that is not done yet: events on their way to the targets of rules, and asynchronous invocations.

AWS has no such API. `GET /simulated-aws/under-way` answers their number, so that a test that counts effects knows when all
of them have taken place:

    {"under way": 0}

An event counts until all its targets have it. A function invoked for it counts from then on until its last attempt has
ended. Executions of state machines do not count: they can be listed.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only for types: Lambda's modules import this one.
    from simulated_aws.core.signed_calls import Application, Environ, StartResponse

_PATH = "/simulated-aws/under-way"

_lock = threading.Lock()
_number = 0


def begin() -> None:
    """Adds one piece of work."""
    global _number
    with _lock:
        _number += 1


@contextmanager
def ending() -> Iterator[None]:
    """Removes one piece of work when the block ends."""
    global _number
    try:
        yield
    finally:
        with _lock:
            _number -= 1


def install(application: "Application") -> "Application":
    """Wraps the application with the request that reads the number."""

    def call(environ: "Environ", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH:
            return application(environ, start_response)
        body = json.dumps({"under way": _number}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return call
