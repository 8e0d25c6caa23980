"""Counts what AWS would bill the stack's functions for: their invocations, their calls, and the units that calls consume.

AWS has no such API; it has the bill. `GET /simulated-aws/meter` answers what was counted since the start:

    {"invocations": {"share-image": 2}, "calls": {"share-image": {"ec2:ModifyImageAttribute": 1, …}},
     "units": {"share-image": {"dynamodb write": 7.0, …}}, "ledger bytes": 1234}

Only calls of functions count: calls of people and tests are not on the stack's bill. To get the cost of one step, read
the meter before and after it.

A unit of EventBridge or SNS is each started 64 KB of an event, a message or a batch. `dynamodb.request_units` has those of
DynamoDB.

https://aws.amazon.com/eventbridge/pricing/
https://aws.amazon.com/sns/pricing/
"""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from urllib.parse import parse_qs

from simulated_aws.core import function_calls
from simulated_aws.core.function_calls import FunctionCall
from simulated_aws.core.signed_calls import Application, Environ, StartResponse
from simulated_aws.dynamodb import request_units
from simulated_aws.lambda_.runtime import LambdaRuntime

_PATH = "/simulated-aws/meter"
_CHUNK_BYTES = 64 * 1024


class _Metering:
    """Wraps the application: counts every call and passes it on."""

    def __init__(self, application: Application, runtime: LambdaRuntime):
        self._application = application
        self._runtime = runtime
        self._lock = threading.Lock()
        self._invocations: Counter[str] = Counter()
        self._calls: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._units: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _PATH:
            return self._answer(start_response)
        call = function_calls.of(environ, self._runtime)
        if call is None:
            return self._application(environ, start_response)
        if call.service != "dynamodb":
            self._count(call, _chunks(call))
            return self._application(environ, start_response)
        bill = request_units.Bill(call.operation, json.loads(call.body))
        answer = list(self._application(environ, start_response))
        self._count(call, bill.units(b"".join(answer)))
        return answer

    def _count(self, call: FunctionCall, units: dict[str, float]) -> None:
        function = call.process.binary.name
        with self._lock:
            self._calls[function][call.name] += 1
            for unit, amount in units.items():
                self._units[function][unit] += amount

    def count_invocation(self, name: str) -> None:
        """Counts an invocation of the function of this name."""
        with self._lock:
            self._invocations[name] += 1

    def _answer(self, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            counted = {"invocations": self._invocations, "calls": self._calls, "units": self._units}
            body = json.dumps(counted | {"ledger bytes": request_units.stored_bytes()}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _chunks(call: FunctionCall) -> dict[str, float]:
    """The units of EventBridge and SNS that the call consumes."""
    match call.name:
        case "events:PutEvents":
            return {"events": float(sum(_of_64_kb(entry["Detail"]) for entry in json.loads(call.body)["Entries"]))}
        case "sns:Publish":
            return {"messages": float(_of_64_kb(parse_qs(call.body.decode())["Message"][0]))}
        case "sns:PublishBatch":
            form = parse_qs(call.body.decode())
            return {"messages": float(_of_64_kb("".join(form[name][0] for name in form if name.endswith(".Message"))))}
    return {}


def _of_64_kb(text: str) -> int:
    return max(1, -(-len(text.encode()) // _CHUNK_BYTES))


def install(application: Application, runtime: LambdaRuntime) -> Application:
    """Wraps the application with the meter, which counts each invocation too, whatever its result."""
    metering = _Metering(application, runtime)
    runtime.on_invocation = metering.count_invocation
    return metering
