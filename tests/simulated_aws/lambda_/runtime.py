"""Lambda: runs each function as its real binary, with a process for each concurrent invocation.

Processes are reused, as Lambda reuses execution environments, until the function is updated or deleted. A process serves
one invocation at a time. So two workflows that change one key at once use two processes, as in AWS.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.awslambda_simple.models import LambdaSimpleBackend

from simulated_aws.cloudwatch import traces
from simulated_aws.iam import role_permissions
from simulated_aws.lambda_ import async_invocation, environment_variables
from simulated_aws.lambda_.process import FunctionProcess, Invocation, InvocationError
from simulated_aws.lambda_.runtime_api import RuntimeApi

# AWS runs a thousand at once, each on a machine of its own; this is one machine. More invocations wait.
MAX_PROCESSES_PER_FUNCTION = 10

# AWS allows ten seconds, on a machine of the function's own; this machine may be busy.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
START_SECONDS = 60


@dataclass
class _Pool:
    """The processes of one function."""

    idle: list[FunctionProcess] = field(default_factory=list)
    all: list[FunctionProcess] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class LambdaRuntime:
    """Knows the binary of each function, by the function's ARN, and runs it."""

    def __init__(self, endpoint_url: str, logs: Path | None = None):
        self.endpoint_url = endpoint_url
        self.logs = logs
        self._binaries: dict[str, Path] = {}
        self._pools: dict[str, _Pool] = {}
        self._lock = threading.Lock()
        self._api = RuntimeApi()
        # Called with the name of the function's binary at each invocation.
        self.on_invocation: Callable[[str], None] = lambda _binary: None

    def register(self, function_arn: str, binary: Path) -> None:
        """Registers the binary of a function."""
        self._binaries[function_arn] = binary

    def invoke(self, function: LambdaFunction, payload: bytes) -> bytes:
        """Runs one invocation and waits for it. Raises `InvocationError` if the function fails."""
        pool = self._pool(function.function_arn)
        invocation = Invocation(payload or b"{}")
        process = self._acquire(function, pool)
        self.on_invocation(process.binary.name)
        try:
            self._run(function, process, invocation)
            traces.of_invocation(function)
            return invocation.result.result()
        finally:
            self._release(pool, process)

    def process_of(self, access_key: str) -> FunctionProcess | None:
        """The process with these credentials."""
        processes = [process for process, _ in list(self._api.processes.values())]
        return next((one for one in processes if one.environment["AWS_ACCESS_KEY_ID"] == access_key), None)

    def stop(self) -> None:
        """Ends every process."""
        for pool in list(self._pools.values()):
            for process in list(pool.all):
                process.kill()

    def _pool(self, function_arn: str) -> _Pool:
        with self._lock:
            return self._pools.setdefault(function_arn, _Pool())

    def _acquire(self, function: LambdaFunction, pool: _Pool) -> FunctionProcess:
        """An idle process, or a new one, or the next that becomes idle."""
        with pool.changed:
            while True:
                configuration = _configuration(function)
                while pool.idle:
                    process = pool.idle.pop()
                    if not process.ended.is_set() and process.configuration == configuration:
                        return process
                    process.kill()
                    self._forget(pool, process)
                if len(pool.all) < MAX_PROCESSES_PER_FUNCTION:
                    process = self._new_process(function)
                    pool.all.append(process)
                    break
                pool.changed.wait()
        process.start(self._api.address)
        return process

    def _new_process(self, function: LambdaFunction) -> FunctionProcess:
        binary = self._binaries.get(function.function_arn)
        if binary is None:
            message = f"the simulated AWS has no binary for {function.function_arn}"
            raise InvocationError({"errorType": "Runtime.InvalidEntrypoint", "errorMessage": message})
        log = self.logs / f"{binary.name}.log" if self.logs and _may_log(function) else None
        environment = environment_variables.of(function, self.endpoint_url)
        process = FunctionProcess(binary, environment, log, _configuration(function))
        self._api.register(process, function.function_arn)
        return process

    def _run(self, function: LambdaFunction, process: FunctionProcess, invocation: Invocation) -> None:
        """Passes the invocation to the process and waits for its outcome, at most for the function's timeout."""
        started = time.monotonic()
        while not process.ready.wait(0.05) and not process.ended.is_set():
            if time.monotonic() - started > START_SECONDS:
                return _time_out(process, invocation, START_SECONDS)
        seconds = float(function.timeout)
        invocation.deadline_ms = int((time.time() + seconds) * 1000)
        process.hand_over(invocation)
        try:
            invocation.result.exception(timeout=seconds)
        except FutureTimeout:
            _time_out(process, invocation, seconds)

    def _release(self, pool: _Pool, process: FunctionProcess) -> None:
        with pool.changed:
            if process.ended.is_set():
                self._forget(pool, process)
            else:
                pool.idle.append(process)
            pool.changed.notify()

    def _forget(self, pool: _Pool, process: FunctionProcess) -> None:
        if process in pool.all:
            pool.all.remove(process)
        self._api.forget(process)


def _may_log(function: LambdaFunction) -> bool:
    """Whether the function's role allows its logs: Lambda writes them with that role.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-permissions
    """
    role = role_permissions.find(function.role)
    stream = f"arn:aws:logs:{function.region}:{function.account_id}:log-group:{function.logs_group_name}:log-stream:simulated"
    needed = ("logs:CreateLogStream", "logs:PutLogEvents")
    return role is None or all([role_permissions.allow(role, action, stream) for action in needed])


def _configuration(function: LambdaFunction) -> Any:
    """What a process depends on. Running invocations keep the old configuration.

    Whether the role allows logs belongs to it: in AWS the role decides at each moment, and here a process keeps the log
    that it started with.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html
    """
    variables = dict(function.environment_vars)
    return (function.role, function.code_sha_256, variables, function.timeout, _may_log(function))


def _time_out(process: FunctionProcess, invocation: Invocation, seconds: float) -> None:
    message = f"RequestId: {invocation.request_id} Error: Task timed out after {seconds:.2f} seconds"
    invocation.fail(InvocationError({"errorType": "Sandbox.Timedout", "errorMessage": message}))
    process.kill()
    process.ended.wait(5)


def install(runtime: LambdaRuntime) -> None:
    """Makes moto's Invoke run the binaries, for SDK calls as well as for EventBridge and SNS."""

    def invoke(
        self: LambdaSimpleBackend, function_name: str, qualifier: str | None, body: Any, headers: Any,
        response_headers: dict[str, str],
    ) -> bytes:
        function = self.get_function(function_name, qualifier)
        payload = body.encode() if isinstance(body, str) else bytes(body or b"")
        response_headers["x-amz-executed-version"] = "$LATEST"
        match headers.get("X-Amz-Invocation-Type") or "RequestResponse":
            case "DryRun":
                return b""
            case "Event":
                async_invocation.start(runtime.invoke, function, payload)
                return b""
        try:
            return runtime.invoke(function, payload)
        except InvocationError as error:
            response_headers["x-amz-function-error"] = "Unhandled"
            return json.dumps(error.payload).encode()

    LambdaSimpleBackend.invoke = invoke
