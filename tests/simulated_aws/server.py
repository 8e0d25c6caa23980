"""The HTTP server that answers as AWS, with every rule of this package installed in moto."""

import logging
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from simulated_aws import (
    api_events,
    atomicity,
    child_executions,
    emission,
    event_pattern,
    interruption,
    lambda_runtime,
    notification,
    organization_events,
    put_events,
    redrive,
    rule_schedules,
    rules,
    stack_resources,
    tag_events,
    wait_state,
    workflow,
)
from simulated_aws.lambda_runtime import LambdaRuntime


@dataclass
class Simulation:
    """A running simulated AWS."""

    endpoint_url: str
    runtime: LambdaRuntime
    http: BaseWSGIServer

    def stop(self) -> None:
        """Ends the functions' processes and frees the port."""
        self.runtime.stop()
        self.http.shutdown()
        self.http.server_close()


class _RequestHandler(MotoRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """One line for each of thousands of requests helps nobody; failures are logged where they happen."""


def start(port: int, logs: Path | None = None) -> Simulation:
    """Listens on 127.0.0.1. Port 0 takes a free one. Raises OSError if the port is taken."""
    default_user_config["lambda"] = {"use_docker": False}
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    http = _listen(port, application)
    # moto's interpreter of state machines calls itself here.
    os.environ["MOTO_PORT"] = str(http.port)
    endpoint_url = f"http://127.0.0.1:{http.port}"
    runtime = LambdaRuntime(endpoint_url, logs)
    install(runtime)
    http.app = interruption.install(application, runtime)
    threading.Thread(target=http.serve_forever, name="AWS", daemon=True).start()
    return Simulation(endpoint_url, runtime, http)


def install(runtime: LambdaRuntime) -> None:
    """Installs every rule of this package in moto."""
    rules.install_all()
    event_pattern.install()
    put_events.install()
    rule_schedules.install()
    stack_resources.install()
    notification.install()
    workflow.install()
    wait_state.install()
    child_executions.install()
    redrive.install()
    lambda_runtime.install(runtime)
    tag_events.install()
    api_events.install()
    organization_events.install()
    atomicity.install()
    emission.install()


def _listen(port: int, application: DomainDispatcherApplication) -> BaseWSGIServer:
    """Binds the port here, because Werkzeug would end the program when it is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        return make_server(
            "127.0.0.1", port, application, threaded=True, request_handler=_RequestHandler, fd=listening.fileno()
        )
    finally:
        # Werkzeug works on a duplicate.
        listening.close()
