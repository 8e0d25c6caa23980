"""What has been accepted and not been done yet: events on their way to the targets of rules, and asynchronous invocations.

AWS has no such API. `GET /simulated-aws/under-way` answers how many there are, so that a test that counts what was started
need not guess when all of it has been:

    {"under way": 0}

An event counts until all its targets have it, and a function that is invoked for it counts from then on until it has
ended, its later attempts included. Executions of state machines do not count: they can be listed.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Lambda, of which these tell, counts here what it does.
    from simulated_aws.core.function_calls import Application, Environ, StartResponse

_PATH = "/simulated-aws/under-way"

_lock = threading.Lock()
_number = 0


def begin() -> None:
    """One more is under way."""
    global _number
    with _lock:
        _number += 1


@contextmanager
def ending() -> Iterator[None]:
    """One less is, after this."""
    global _number
    try:
        yield
    finally:
        with _lock:
            _number -= 1


def install(application: "Application") -> "Application":
    """The same application, which can be asked."""

    def call(environ: "Environ", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != _PATH:
            return application(environ, start_response)
        body = json.dumps({"under way": _number}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return call
