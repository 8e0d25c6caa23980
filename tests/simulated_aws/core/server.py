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

from simulated_aws.cloudformation import stack_changes, stack_resources
from simulated_aws.cloudtrail import api_events, organization_events
from simulated_aws.cloudwatch import alarm_states, embedded_metrics
from simulated_aws.core import accounts, atomicity, faults, interruption, latency, metering, rules, under_way
from simulated_aws.ec2 import image_failures, tag_events
from simulated_aws.eventbridge import emission, event_faults, event_pattern, put_events, rule_schedules
from simulated_aws.lambda_ import runtime as lambda_runtime
from simulated_aws.lambda_.runtime import LambdaRuntime
from simulated_aws.sns import cross_account
from simulated_aws.step_functions import child_executions, deleted_state_machines, executions, redrive, wait_state

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = "0.0.0.0"


@dataclass
class Simulation:
    """A running simulated AWS."""

    endpoint_url: str
    # The address for callers outside this machine's loopback, such as containers.
    public_url: str
    runtime: LambdaRuntime
    listening: list[BaseWSGIServer]

    def stop(self) -> None:
        """Ends the functions' processes and frees the port."""
        self.runtime.stop()
        for http in self.listening:
            http.shutdown()
            http.server_close()


class _RequestHandler(MotoRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Logs nothing: there are thousands of requests, and failures are logged where they happen."""


def start(port: int, logs: Path | None = None, address: str = LOOPBACK) -> Simulation:
    """Listens on 127.0.0.1 and on the address. Port 0 means any free port.

    Raises OSError if the port is taken, or if the machine does not have the address.
    """
    default_user_config["lambda"] = {"use_docker": False}
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    listening: list[BaseWSGIServer] = []
    for one in _addresses(address):
        listening.append(_listen(one, listening[0].port if listening else port, application))
    port = listening[0].port
    # moto's interpreter of state machines calls itself here.
    os.environ["MOTO_PORT"] = str(port)
    endpoint_url = f"http://{LOOPBACK}:{port}"
    runtime = LambdaRuntime(endpoint_url, logs)
    install(runtime)
    services = image_failures.install(event_faults.install(faults.install(application)))
    watched = metering.install(interruption.install(services, runtime), runtime)
    app = under_way.install(latency.install(watched))
    for http in listening:
        http.app = app
        threading.Thread(target=http.serve_forever, name="AWS", daemon=True).start()
    public_url = endpoint_url if address == EVERY_ADDRESS else f"http://{address}:{port}"
    return Simulation(endpoint_url, public_url, runtime, listening)


def install(runtime: LambdaRuntime) -> None:
    """Installs every rule of this package in moto."""
    rules.install_all()
    event_pattern.install()
    put_events.install()
    rule_schedules.install()
    stack_resources.install()
    stack_changes.install()
    cross_account.install()
    executions.install()
    wait_state.install()
    child_executions.install()
    deleted_state_machines.install()
    redrive.install()
    lambda_runtime.install(runtime)
    embedded_metrics.install(runtime.logs, accounts.HUB_ACCOUNT, os.environ["AWS_DEFAULT_REGION"])
    alarm_states.install()
    tag_events.install()
    api_events.install()
    organization_events.install()
    atomicity.install()
    emission.install()


def _addresses(address: str) -> list[str]:
    """The functions that run here, and moto itself, always call 127.0.0.1."""
    return [address] if address in (LOOPBACK, EVERY_ADDRESS) else [LOOPBACK, address]


def _listen(address: str, port: int, application: DomainDispatcherApplication) -> BaseWSGIServer:
    """Binds the port here, because Werkzeug would end the program if the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(128)
        return make_server(
            address, port, application, threaded=True, request_handler=_RequestHandler, fd=listening.fileno()
        )
    finally:
        # Werkzeug works on a duplicate.
        listening.close()
