"""Kills or holds the process of a function at a chosen AWS call, so that tests interrupt a flow at any point.

AWS has no such API. `POST /simulated-aws/interruptions` registers one interruption, which takes place once:

    {"image": "ami-…", "function": "share-image", "action": null, "call": 3, "when": "before", "then": "stop"}

It takes place when the process that serves an invocation of `function` whose payload names `image` (and `action`, unless
that is null) makes its third call: `before` the call reaches the service, or `after` it took effect and before the
function gets the answer.

- `kill`: the process gets SIGKILL, as if Lambda had lost its host.
- `stop`: first stops the execution that waits for the function, so that no retry completes the work; then kills.
- `hold`: delays the call until `POST /simulated-aws/releases` with `{"image": "ami-…"}`. The answer says whether the
  function still `waited` or had given up its call; it is 409 if nothing is held.

`GET /simulated-aws/invocations?image=ami-…` lists each invocation that named the image since the first request
here for that image: function and action, number of calls so far, and whether it is running, held, killed, failed or ended
with an answer.
"""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from moto.core.utils import utcnow
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from simulated_aws.core import function_calls, signed_calls
from simulated_aws.core.signed_calls import Application, Environ, StartResponse
from simulated_aws.lambda_.process import WAITING, FunctionProcess, Invocation
from simulated_aws.lambda_.runtime import LambdaRuntime

_ENDED_SECONDS = 5
# A call that is not released continues after this time, before the function's timeout of 120 seconds.
_HELD_SECONDS = 110


@dataclass(frozen=True)
class _Interruption:
    image: str
    function: str
    call: int
    when: str
    then: str
    action: str | None = None
    released: threading.Event = field(default_factory=threading.Event, compare=False)


@dataclass
class _Served:
    """One invocation and its progress."""

    function: str
    invocation: Invocation
    calls: list[str] = field(default_factory=list)
    struck: str | None = None

    def __post_init__(self) -> None:
        payload = json.loads(self.invocation.payload)
        # The workflows put the ARN of the execution beside the document of the step.
        document = payload["input"] if set(payload) == {"execution", "input"} else payload
        self.action, self.detail_type = document.get("action"), document.get("detail-type")

    def described(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "request-id": self.invocation.request_id,
            "action": self.action,
            "detail-type": self.detail_type,
            "state": self.struck or self._progress(),
            "calls": list(self.calls),
        }

    def _progress(self) -> str:
        result = self.invocation.result
        if not result.done():
            return "running"
        return "failed" if result.exception() else "ended"


class _Interrupting:
    """Wraps the services: passes every call on, except the one that a test interrupts."""

    def __init__(self, application: Application, runtime: LambdaRuntime):
        self._application = application
        self._runtime = runtime
        self._lock = threading.Lock()
        self._armed: list[_Interruption] = []
        self._held: list[tuple[_Interruption, _Served]] = []
        self._served: dict[str, list[_Served]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/simulated-aws/"):
            return self._control(environ, start_response)
        call = function_calls.of(environ, self._runtime) if self._served else None
        invocation = call.process.current if call is not None else None
        if call is None or invocation is None:
            return self._application(environ, start_response)
        one, struck = self._record(call.process, invocation, call.name)
        if one is None or struck is None:
            return self._application(environ, start_response)
        answer = list(self._application(environ, start_response)) if struck.when == "after" else None
        if struck.then == "hold":
            self._hold(struck, one)
            return answer if answer is not None else self._application(environ, start_response)
        _kill(call.process, invocation, struck.then == "stop")
        one.struck = "killed"
        return answer if answer is not None else signed_calls.answer(start_response, "503 Service Unavailable", {})

    def _record(
        self, process: FunctionProcess, invocation: Invocation, call: str
    ) -> tuple[_Served | None, _Interruption | None]:
        """Counts the call of a watched invocation; returns the interruption for it, if there is one."""
        with self._lock:
            for image, served in self._served.items():
                if image.encode() in invocation.payload:
                    one = next((one for one in served if one.invocation is invocation), None)
                    if one is None:
                        one = _Served(process.binary.name, invocation)
                        served.append(one)
                    one.calls.append(call)
                    return one, self._strike(image, one)
        return None, None

    def _strike(self, image: str, one: _Served) -> _Interruption | None:
        for armed in self._armed:
            of_function = (armed.image, armed.function, armed.call) == (image, one.function, len(one.calls))
            if of_function and armed.action in (None, one.action):
                self._armed.remove(armed)
                return armed
        return None

    def _hold(self, struck: _Interruption, one: _Served) -> None:
        held = (struck, one)
        with self._lock:
            self._held.append(held)
            one.struck = "held"
        struck.released.wait(_HELD_SECONDS)
        with self._lock:
            if held in self._held:
                self._held.remove(held)
            one.struck = None

    def _release(self, image: str) -> list[_Served]:
        """The held invocations of an image, which continue now."""
        with self._lock:
            held = [(struck, one) for struck, one in self._held if struck.image == image]
            for struck, one in held:
                self._held.remove((struck, one))
                struck.released.set()
        return [one for _, one in held]

    def _control(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "POST", "/simulated-aws/interruptions":
                armed = _Interruption(**json.loads(signed_calls.read_body(environ)))
                with self._lock:
                    self._served.setdefault(armed.image, [])
                    self._armed = [*(other for other in self._armed if other.image != armed.image), armed]
                return signed_calls.answer(start_response, "201 Created", {})
            case "POST", "/simulated-aws/releases":
                released = self._release(json.loads(signed_calls.read_body(environ))["image"])
                if not released:
                    return signed_calls.answer(start_response, "409 Conflict", {})
                waited = not any(one.invocation.result.done() for one in released)
                return signed_calls.answer(start_response, "200 OK", {"waited": waited})
            case "GET", "/simulated-aws/invocations":
                image = parse_qs(environ["QUERY_STRING"])["image"][0]
                with self._lock:
                    served = list(self._served.setdefault(image, []))
                return signed_calls.answer(start_response, "200 OK", {"invocations": [one.described() for one in served]})
        return self._application(environ, start_response)


def _kill(process: FunctionProcess, invocation: Invocation, stop: bool) -> None:
    """Waits until the process has ended. Stops the execution before its task fails: otherwise it would retry."""
    if stop and invocation.execution_arn is not None:
        _, _, _, region, account_id, _ = invocation.execution_arn.split(":", 5)
        execution = stepfunctions_parser_backends[account_id][region].describe_execution(invocation.execution_arn)
        execution.stop(stop_date=utcnow(), error="Interrupted", cause="a test killed the function")
    process.kill()
    process.ended.wait(_ENDED_SECONDS)


def install(application: Application, runtime: LambdaRuntime) -> Application:
    """Wraps the application with interruptions, and records which execution waits for an invocation."""
    execute = lambda_eval_utils.execute_lambda_function_integration

    def execute_and_say_who(env: Any, *args: Any, **kwargs: Any) -> None:
        WAITING.execution_arn = env.states.context_object.context_object_data["Execution"]["Id"]
        try:
            execute(env, *args, **kwargs)
        finally:
            del WAITING.execution_arn

    lambda_eval_utils.execute_lambda_function_integration = execute_and_say_who
    return _Interrupting(application, runtime)
