"""Lets chosen calls of chosen callers fail, go unanswered, wait, or read what AWS held some time ago.

AWS has no such API. `/simulated-aws/faults` arms a fault (`armed_faults` says how faults are listed and ended):

    {"service": "ec2", "operation": "ModifyImageAttribute", "where": {"ImageId": "ami-…", "LaunchPermission.Add.*": "*"},
     "caller": "*-share-image", "then": "refuse", "code": "UnauthorizedOperation", "status": 403, "times": null}

It strikes a call whose service, operation and caller match, and of which, for each entry of `where`, a parameter has this
name and this value. A parameter has the name that the request gives it; an item of a list has its number, from 1. The caller
is the name of a role or of its session; that of a function is named like the function. `*` in any of them stands for any
text. What the request leaves out matches every call.

- `refuse`: the call has no effect, and is answered with `code`, `message` and the HTTP status `status`, by default 400.
- `time-out`: the call takes effect, and the connection closes without an answer.
- `hold`: the call waits until the fault ends, for a change by another caller in between: `before` it takes effect, or
  `after` it did and before it is answered, as `when` says.
- `lag`: the call reads what the service held before the last `writes` writes, or `seconds` ago; without either, when the
  fault was armed. `about` limits the writes that count to those whose text contains it, such as the id of an image. `since`
  names another fault that lags: the past then begins when that one was armed, which may be one that never strikes
  (`"times": 0`). The services that lag are EC2, KMS and AWS Organizations (`past_states`). A read that is not older than the
  last write counts as no strike.

SDKs repeat a call that was not answered, and one that was refused with a code like `RequestLimitExceeded` or a status of
500 or more: each attempt is a call here. So `times` is the number of attempts.
"""

import fnmatch
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulated_aws.core import accounts, atomicity, past_states, refusal, signed_calls
from simulated_aws.core.armed_faults import ArmedFaults, BadFault, Fault
from simulated_aws.core.past_states import PastState
from simulated_aws.core.signed_calls import Application, Environ, SignedCall, StartResponse

_PATH = "/simulated-aws/faults"
_KINDS = ("refuse", "time-out", "hold", "lag")
_HELD_SECONDS = 110
_READS = ("Describe", "List", "Get", "Decrypt", "Encrypt", "ReEncrypt", "Generate")


@dataclass(kw_only=True)
class CallFault(Fault):
    """A fault of calls."""

    service: str = "*"
    operation: str = "*"
    caller: str = "*"
    where: dict[str, str] = field(default_factory=dict)
    code: str = "InternalError"
    message: str = "A test refused the call."
    status: int = 400
    writes: int | None = None
    seconds: float | None = None
    about: str = ""
    since: int | None = None
    when: str = "before"

    def __post_init__(self) -> None:
        if self.then not in _KINDS:
            raise BadFault(f"{self.then} is none of {', '.join(_KINDS)}")
        if self.when not in ("before", "after"):
            raise BadFault("a call is held before or after it takes effect")
        if self.writes is not None and self.writes < 1:
            raise BadFault("a lag is of at least one write")

    def matches(self, call: SignedCall) -> bool:
        """Whether this fault is for such a call."""
        return (
            fnmatch.fnmatchcase(call.service, self.service)
            and fnmatch.fnmatchcase(call.operation, self.operation)
            and (self.caller == "*" or any(fnmatch.fnmatchcase(one, self.caller) for one in _names_of_caller(call)))
            and _has_all(call, self.where)
        )

    def remembers(self, service: str, write: str) -> bool:
        """Whether this fault may need what the service held before this write."""
        return self.then == "lag" and fnmatch.fnmatchcase(service, self.service) and self.about in write

    def past_state(self, call: SignedCall, begin: float) -> PastState | None:
        """What a read of a fault that lags sees; None if that is what the service holds now. The past begins at `begin`."""
        states = past_states.states(call.service, begin, self.about)
        if self.writes is not None:
            states = states[-self.writes :]
        elif self.seconds is not None:
            states = [one for one in states if one.moment > time.monotonic() - self.seconds]
        return states[0] if states else None


class _Faults:
    """Wraps the services: passes every call on, except those that a fault strikes."""

    def __init__(self, application: Application):
        self._application = application
        self._armed: ArmedFaults[CallFault] = ArmedFaults(_PATH, CallFault)
        past_states.watch(lambda service, write: any(one.remembers(service, write) for one in self._armed.all()))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        controlled = self._armed.control(environ, start_response)
        if controlled is not None:
            return controlled
        call = signed_calls.of(environ) if self._armed.all() else None
        if call is None:
            return self._application(environ, start_response)
        fault = self._armed.strike(lambda one: one.matches(call) and (one.then != "lag" or self._past(one, call) is not None))
        if fault is None:
            return self._serve(call, environ, start_response)
        if fault.then == "refuse":
            return refusal.refuse(call, start_response, fault.status, fault.code, fault.message)
        if fault.then == "lag":
            return self._serve_past(fault, call, environ, start_response)
        if fault.then == "hold":
            answer = list(self._serve(call, environ, start_response)) if fault.when == "after" else None
            fault.ended.wait(_HELD_SECONDS)
            return answer if answer is not None else self._serve(call, environ, start_response)
        list(self._serve(call, environ, start_response))
        raise _without_answer(environ)

    def _serve(self, call: SignedCall, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Passes the call on, and remembers what its service holds before it if it writes."""
        if call.operation.startswith(_READS) or not past_states.is_remembered(call.service, call.text):
            return self._application(environ, start_response)
        statuses = []

        def noting(status: str, *rest: object) -> object:
            statuses.append(status)
            return start_response(status, *rest)

        with atomicity.alone():
            past_states.before_write(call.service, call.text)
            body = list(self._application(environ, noting))
            if not statuses[-1].startswith("2"):
                past_states.forget_last(call.service)
        return body

    def _past(self, fault: CallFault, call: SignedCall) -> PastState | None:
        begin = next((one.armed_at for one in self._armed.all() if one.id == fault.since), fault.armed_at)
        return fault.past_state(call, begin)

    def _serve_past(
        self, fault: CallFault, call: SignedCall, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        state = self._past(fault, call)
        if state is None:
            return self._serve(call, environ, start_response)
        with past_states.seeing(state):
            return list(self._application(environ, start_response))


def _names_of_caller(call: SignedCall) -> list[str]:
    return accounts.names_of_session(call.access_key)


def _has_all(call: SignedCall, where: dict[str, str]) -> bool:
    parameters = call.parameters() if where else {}
    return all(
        any(fnmatch.fnmatchcase(name, wanted) and fnmatch.fnmatchcase(value, text) for name, value in parameters.items())
        for wanted, text in where.items()
    )


def _without_answer(environ: Environ) -> ConnectionError:
    """Closes the connection; the server then writes nothing."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    return ConnectionAbortedError("a test wanted no answer")


def install(application: Application) -> Application:
    """Wraps the application with faults."""
    return _Faults(application)
