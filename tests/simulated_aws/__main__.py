"""`python -m simulated_aws`: starts the simulated AWS, deploys the stack, says when it is ready, and stays until told to stop.

It stops on SIGTERM, on SIGINT and at the end of its standard input, so that it never outlives whoever started it.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

HUB_ACCOUNT = "111122223333"
HUB_REGION = "us-east-1"


def main() -> int:
    arguments = _arguments()
    _set_environment(arguments.port)
    _set_up_logging(arguments.logs)
    stop = _Stop()

    # Everything below imports moto, which reads its environment when it is imported.
    from simulated_aws import server

    try:
        simulation = server.start(arguments.port, arguments.logs)
    except OSError as error:
        print(f"simulated AWS: port {arguments.port} cannot be used: {error.strerror}", flush=True)
        return 2
    print(f"simulated AWS: listening on {simulation.endpoint_url}", flush=True)
    try:
        if arguments.template is not None:
            _deploy(simulation, arguments)
        print(f"ready: AWS_ENDPOINT_URL={simulation.endpoint_url}", flush=True)
        stop.wait()
        return 0
    except _DeploymentFailed as error:
        print(f"simulated AWS: {error}", flush=True)
        return 1
    finally:
        simulation.stop()


class _DeploymentFailed(Exception):
    pass


def _deploy(simulation: "server.Simulation", arguments: argparse.Namespace) -> None:  # type: ignore[name-defined] # noqa: F821
    from simulated_aws import deploy

    parameters = dict(parameter.split("=", 1) for parameter in arguments.parameter)
    try:
        deploy.deploy(
            simulation.runtime, arguments.template, arguments.functions, parameters, simulation.endpoint_url,
            lambda line: print(f"stack: {line}", flush=True),
        )
    except deploy.DeployError as error:
        raise _DeploymentFailed(str(error)) from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulated_aws", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=5555, help="where AWS's APIs are served, on 127.0.0.1")
    parser.add_argument("--template", type=Path, help="the SAM template to deploy in the hub account")
    parser.add_argument("--functions", type=Path, help="the folder of the functions' binaries")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the stack")
    parser.add_argument("--logs", type=Path, help="the folder that receives the logs of the server and the functions")
    arguments = parser.parse_args()
    if arguments.template is not None and arguments.functions is None:
        parser.error("--template needs --functions")
    return arguments


def _set_environment(port: int) -> None:
    os.environ |= {
        "MOTO_ACCOUNT_ID": HUB_ACCOUNT,
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "MOTO_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": HUB_REGION,
    }


def _set_up_logging(logs: Path | None) -> None:
    """To a file if there is one: the terminal belongs to the progress lines."""
    if logs is None:
        logging.getLogger().addHandler(logging.NullHandler())
        return
    logs.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=logs / "simulated-aws.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.captureWarnings(True)


class _Stop:
    """Comes when it is time to end: by a signal, or because nobody holds our standard input any more.

    A pipe, because a signal's handler may write to one at any moment; `threading.Event` could lock itself up there.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._come())
        threading.Thread(target=self._watch_stdin, name="standard input", daemon=True).start()

    def wait(self) -> None:
        """Returns when it has come."""
        os.read(self._read_end, 1)

    def _come(self) -> None:
        os.write(self._write_end, b".")

    def _watch_stdin(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        self._come()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Daemon threads wait in executions and long polls; nothing of theirs is worth waiting for.
    os._exit(status)
