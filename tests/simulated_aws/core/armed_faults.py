"""Keeps the faults that a test asks for, and the requests with which it does: AWS has no such API.

- `POST` with the fault as JSON arms it and answers its number: `{"id": 7}`.
- `GET` lists the faults and how often each struck: `{"faults": [{"id": 7, "struck": 2, …}]}`; with `?id=7` only that one.
- `DELETE` ends every fault; with `?id=7` only that one, which is then answered like in a list.

A fault strikes `times` times, once if the request does not say, and for ever if it says `null`.
"""

import dataclasses
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs

from simulated_aws.core import signed_calls
from simulated_aws.core.signed_calls import Environ, StartResponse


class BadFault(ValueError):
    """The request describes no fault."""


@dataclass(kw_only=True)
class Fault:
    """What every kind of fault has."""

    then: str
    times: int | None = 1
    id: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)
    armed_at: float = field(default_factory=time.monotonic, init=False)
    ended: threading.Event = field(default_factory=threading.Event, init=False)

    def described(self) -> dict[str, Any]:
        """As the test sees it."""
        hidden = ("ended", "armed_at")
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name not in hidden}


AnyFault = TypeVar("AnyFault", bound=Fault)


class ArmedFaults(Generic[AnyFault]):
    """The faults of one kind, in the order in which they were armed."""

    def __init__(self, path: str, kind: type[AnyFault], on_end: Callable[[AnyFault], None] = lambda _: None):
        self._path = path
        self._kind = kind
        self._on_end = on_end
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._faults: list[AnyFault] = []

    def all(self) -> list[AnyFault]:
        """Those that have not ended."""
        return list(self._faults)

    def strike(self, matches: Callable[[AnyFault], bool]) -> AnyFault | None:
        """The first fault that matches and has not struck often enough, which strikes now."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if (fault.times is None or fault.struck < fault.times) and matches(fault):
                    fault.struck += 1
                    return fault
        return None

    def control(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answers a request about these faults; None if the request is about something else."""
        if environ["PATH_INFO"] != self._path:
            return None
        named = [int(one) for one in parse_qs(environ.get("QUERY_STRING", "")).get("id", [])]
        try:
            match environ["REQUEST_METHOD"]:
                case "POST":
                    armed = self._arm(json.loads(signed_calls.read_body(environ)))
                    return signed_calls.answer(start_response, "201 Created", {"id": armed.id})
                case "GET":
                    return _listed(start_response, [one for one in self.all() if not named or one.id in named])
                case "DELETE":
                    return _listed(start_response, self._end(named))
        except (BadFault, TypeError, ValueError) as error:
            return signed_calls.answer(start_response, "400 Bad Request", {"message": str(error)})
        return signed_calls.answer(start_response, "405 Method Not Allowed", {})

    def _arm(self, described: dict[str, Any]) -> AnyFault:
        fault = self._kind(**described)
        with self._lock:
            fault.id = next(self._ids)
            self._faults.append(fault)
        return fault

    def _end(self, named: list[int]) -> list[AnyFault]:
        with self._lock:
            ending = [one for one in self._faults if not named or one.id in named]
            self._faults = [one for one in self._faults if one not in ending]
        for fault in ending:
            fault.ended.set()
            self._on_end(fault)
        return ending


def _listed(start_response: StartResponse, faults: Iterable[Fault]) -> Iterable[bytes]:
    return signed_calls.answer(start_response, "200 OK", {"faults": [one.described() for one in faults]})
