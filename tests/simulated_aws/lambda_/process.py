"""One process of a function's real binary, and the invocation that it works on.

The process has only the environment that Lambda gives it. The thread `LAUNCHER`, which never ends, starts it: the kernel
kills a child when the *thread* that started it ends (PR_SET_PDEATHSIG), so that a killed simulated AWS leaves no function
behind.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import ctypes
import queue
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="function launcher")

# prctl exists on Linux only; elsewhere a function ends by itself when its Runtime API is gone.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1

# `execution_arn`: the execution for which this thread invokes a function, if any.
WAITING = threading.local()


@dataclass
class Invocation:
    """One event for a function, and its outcome: `result` becomes the payload, or an `InvocationError`."""

    payload: bytes
    deadline_ms: int = 0
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: "Future[bytes]" = field(default_factory=Future)
    execution_arn: str | None = field(default_factory=lambda: getattr(WAITING, "execution_arn", None))

    def succeed(self, payload: bytes) -> None:
        if not self.result.done():
            self.result.set_result(payload)

    def fail(self, error: "InvocationError") -> None:
        if not self.result.done():
            self.result.set_exception(error)


class InvocationError(Exception):
    """The function failed. `payload` is what Lambda answers: errorType, errorMessage and perhaps more."""

    def __init__(self, payload: dict[str, Any]):
        super().__init__(f"{payload.get('errorType')}: {payload.get('errorMessage')}")
        self.payload = payload


class FunctionProcess:
    """A process that asks the Runtime API for its next invocation, one at a time."""

    def __init__(self, binary: Path, environment: dict[str, str], log: Path | None, configuration: Any = None):
        self.id = uuid.uuid4().hex
        self.binary = binary
        self.environment = environment
        # The configuration of the function at the start of the process. It serves no later configuration.
        self.configuration = configuration
        self.log = log
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.current: Invocation | None = None
        self.start_failure: dict[str, Any] | None = None
        self._invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, runtime_api: str) -> None:
        """Starts the binary. The path of its Runtime API identifies the process."""
        environment = self.environment | {"AWS_LAMBDA_RUNTIME_API": f"http://{runtime_api}/{self.id}"}
        self._process = LAUNCHER.submit(self._launch, environment).result()
        threading.Thread(target=self._wait, name=f"wait for {self.binary.name}", daemon=True).start()

    def _launch(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        with open(self.log or "/dev/null", "ab") as log:
            return subprocess.Popen(
                [str(self.binary)], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=_die_with_parent if _LIBC else None, start_new_session=True,
            )

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait()
        self.ended.set()
        self._invocations.put(None)
        self._fail_current()

    def fail_start(self, error: dict[str, Any]) -> None:
        """Handles the report of the process that it cannot start; it then ends by itself."""
        self.start_failure = error
        self._fail_current()

    def _fail_current(self) -> None:
        if self.current is not None:
            self.current.fail(InvocationError(self.failure(self.current.request_id)))

    def failure(self, request_id: str) -> dict[str, Any]:
        """Why the process cannot answer: what it reported at its start, or that it has ended."""
        if self.start_failure is not None:
            return self.start_failure
        status = self._process.returncode if self._process is not None else None
        reason = f"signal: {signal.Signals(-status).name}" if status is not None and status < 0 else f"exit status {status}"
        message = f"RequestId: {request_id} Error: Runtime exited with error: {reason}"
        return {"errorType": "Runtime.ExitError", "errorMessage": message}

    def hand_over(self, invocation: Invocation) -> None:
        """Gives the process its next invocation."""
        self.current = invocation
        self._invocations.put(invocation)
        if self.ended.is_set():
            self._fail_current()

    def next(self) -> Invocation | None:
        """The next invocation for the process. None when the process has ended."""
        self.ready.set()
        return self._invocations.get()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None and not self.ended.is_set():
            self._process.kill()


def _die_with_parent() -> None:
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
