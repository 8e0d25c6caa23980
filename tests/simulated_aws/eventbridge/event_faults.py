"""Lets chosen events of a bus come late, twice, out of order or not at all.

AWS delivers events at least once, in any order, and those of EC2 and of tags on a best effort basis:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html#eb-service-event-delivery-level
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html

AWS has no API for this. `/simulated-aws/event-faults` arms a fault (`core.armed_faults` says how faults are listed and
ended):

    {"detail_type": "Tag Change on Resource", "contains": "ami-…", "then": "lose", "times": 1}

It strikes an event with this detail-type, in which `*` stands for any text, whose JSON contains the text.

- `lose`: no rule gets the event.
- `repeat`: the event comes again, with the same id, `seconds` later, by default at once.
- `delay`: the event comes `seconds` later; later events overtake it.
- `swap`: the event comes right after the next one that matches, or when the fault ends.

An event that is still to come counts as under way.
"""

import fnmatch
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from simulated_aws.core import under_way
from simulated_aws.core.armed_faults import ArmedFaults, BadFault, Fault
from simulated_aws.core.signed_calls import Application, Environ, StartResponse

_PATH = "/simulated-aws/event-faults"
_KINDS = ("lose", "repeat", "delay", "swap")

Deliver = Callable[[], None]


@dataclass(kw_only=True)
class EventFault(Fault):
    """A fault of events."""

    detail_type: str = "*"
    contains: str = ""
    seconds: float = 0
    waiting: list[Deliver] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.then not in _KINDS:
            raise BadFault(f"{self.then} is none of {', '.join(_KINDS)}")

    def matches(self, event: dict[str, Any]) -> bool:
        """Whether this fault is for such an event."""
        return fnmatch.fnmatchcase(event["detail-type"], self.detail_type) and self.contains in json.dumps(event)

    def described(self) -> dict[str, Any]:
        """As the test sees it."""
        return super().described() | {"waiting": len(self.waiting)}


def post(event: dict[str, Any], deliver: Deliver) -> None:
    """Has the event delivered: once and at once, unless a fault strikes it."""
    with _lock:
        overtaken = [late for one in _armed.all() if one.waiting and one.matches(event) for late in _taken(one)]
        fault = None if overtaken else _armed.strike(lambda one: one.matches(event))
        if fault is not None and fault.then == "swap":
            fault.waiting.append(_counted(deliver))
            return
    if fault is None or fault.then == "repeat":
        deliver()
    if fault is not None and fault.then in ("repeat", "delay"):
        _later(fault.seconds, deliver)
    for late in overtaken:
        late()


def _counted(deliver: Deliver) -> Deliver:
    """Under way until it is delivered."""
    under_way.begin()

    def call() -> None:
        with under_way.ending():
            deliver()

    return call


def _later(seconds: float, deliver: Deliver) -> None:
    counted = _counted(deliver)
    if seconds == 0:
        return counted()
    timer = threading.Timer(seconds, counted)
    timer.daemon = True
    timer.start()


def _taken(fault: EventFault) -> list[Deliver]:
    waiting, fault.waiting = fault.waiting, []
    return waiting


def _release(fault: EventFault) -> None:
    with _lock:
        waiting = _taken(fault)
    for late in waiting:
        late()


_lock = threading.Lock()
_armed: ArmedFaults[EventFault] = ArmedFaults(_PATH, EventFault, on_end=_release)


def install(application: Application) -> Application:
    """Wraps the application with the requests that arm and end faults."""

    def call(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        controlled = _armed.control(environ, start_response)
        return application(environ, start_response) if controlled is None else controlled

    return call
