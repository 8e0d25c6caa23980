"""The Lambda Runtime API: the HTTP endpoint where a function's process gets invocations and answers them.

Each process has its own path under one port: `/PROCESS/2018-06-01/runtime/…`.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulated_aws.lambda_.process import FunctionProcess, InvocationError

_VERSION = "2018-06-01"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_args: Any) -> None:
        """Ignores broken connections: a killed process leaves one behind."""


class RuntimeApi:
    """Serves the processes that are registered with it."""

    def __init__(self) -> None:
        self.processes: dict[str, tuple[FunctionProcess, str]] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, name="runtime API", daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port, as in AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def register(self, process: FunctionProcess, function_arn: str) -> None:
        """Registers the process, so that its requests are answered."""
        self.processes[process.id] = (process, function_arn)

    def forget(self, process: FunctionProcess) -> None:
        """The process has ended."""
        self.processes.pop(process.id, None)


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Without this, a small answer waits 40 ms for the acknowledgement of its own headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            process, function_arn, action = self._route()
            if action != ["invocation", "next"]:
                return self._answer(404, {"errorType": "NotFound", "errorMessage": self.path})
            invocation = process.next()
            if invocation is None:
                return self._answer(410, {"errorType": "Gone", "errorMessage": "the process has ended"})
            headers = {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": function_arn,
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0",
            }
            return self._send(200, invocation.payload, headers)

        def do_POST(self) -> None:
            process, _, action = self._route()
            body = self._body()
            invocation = process.current
            match action:
                case ["init", "error"]:
                    process.fail_start(_error(body))
                case ["invocation", request_id, outcome] if invocation and invocation.request_id == request_id:
                    if outcome == "response":
                        invocation.succeed(body)
                    else:
                        invocation.fail(InvocationError(_error(body)))
                case _:
                    return self._answer(400, {"errorType": "InvalidRequestID", "errorMessage": self.path})
            return self._answer(202, {"status": "OK"})

        def _route(self) -> tuple[FunctionProcess, str, list[str]]:
            process_id, version, _runtime, *action = self.path.strip("/").split("/")
            assert version == _VERSION
            process, function_arn = api.processes[process_id]
            return process, function_arn, action

        def _body(self) -> bytes:
            """The answer of a runtime, sent as a whole or in chunks."""
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            self._send(status, json.dumps(body).encode(), {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Logs nothing."""

    return Handler


def _error(body: bytes) -> dict[str, Any]:
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    return error if isinstance(error, dict) else {"errorType": "Unknown", "errorMessage": body.decode(errors="replace")}
