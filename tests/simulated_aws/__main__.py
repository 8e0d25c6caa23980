"""`python -m simulated_aws`: starts the simulated AWS, deploys the stack, and runs until it is stopped.

It stops on SIGTERM, on SIGINT and at the end of its standard input, so that it never outlives the process that started it.
"""

import argparse
import logging
import os
import re
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

HUB_ACCOUNT = "111122223333"


def main() -> int:
    """Exit status: 0 after a stop, 1 if the stack cannot be deployed, 2 if the port is taken."""
    arguments = _arguments()
    _set_environment(arguments.port, arguments.region)
    _set_up_logging(arguments.logs)
    stop = _Stop()

    # These import moto, which reads the environment when it is imported.
    from simulated_aws.cloudformation import deploy
    from simulated_aws.core import server
    from simulated_aws.scheduler import clock

    try:
        simulation = server.start(arguments.port, arguments.logs, arguments.address)
    except OSError as error:
        _say(f"simulated AWS: {_where(arguments)} cannot be used: {error.strerror}")
        return 2
    try:
        _say(f"simulated AWS: listening on {simulation.public_url}")
        if arguments.template is not None:
            parameters = dict(parameter.split("=", 1) for parameter in arguments.parameter)
            deploy.deploy(simulation, arguments.template, arguments.functions, parameters, lambda line: _say(f"stack: {line}"))
        clock.start(arguments.review_every)
        _say(f"ready: AWS_ENDPOINT_URL={simulation.public_url}")
        stop.wait()
        return 0
    except deploy.DeployError as error:
        _say(f"simulated AWS: {error}")
        return 1
    finally:
        simulation.stop()


def _where(arguments: argparse.Namespace) -> str:
    port = f"port {arguments.port}"
    return port if arguments.address == "127.0.0.1" else f"{port} of {arguments.address}"


def _say(line: str) -> None:
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulated_aws", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=5555, help="where AWS's APIs are served, on 127.0.0.1")
    parser.add_argument(
        "--address", default="127.0.0.1",
        help="another address of this machine where they are served too, for containers; 0.0.0.0 is all of them",
    )  # fmt: skip
    parser.add_argument("--region", default="us-east-1", help="the Region that the stack is deployed in")
    parser.add_argument("--template", type=Path, help="the SAM template to deploy in the hub account")
    parser.add_argument("--functions", type=Path, help="the folder of the functions' binaries")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the stack")
    parser.add_argument("--logs", type=Path, help="the folder that receives the logs of the server and the functions")
    parser.add_argument(
        "--review-every", type=pace, metavar="10s",
        help="the pace of every recurring schedule, in place of its own: 10s, 2m, 1h",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.template is not None and arguments.functions is None:
        parser.error("--template needs --functions")
    if not all("=" in parameter for parameter in arguments.parameter):
        parser.error("--parameter is written NAME=VALUE")
    return arguments


def pace(text: str) -> timedelta:
    """Reads `10s`, `2m` or `1h`: EventBridge itself has no seconds, but a demo cannot wait for a day."""
    form = re.fullmatch(r"([1-9]\d*)([smh])", text)
    if form is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not a pace: write 10s, 2m or 1h")
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[form[2]]: int(form[1])})


def _set_environment(port: int, region: str) -> None:
    """Sets what moto and our own calls to it need. They must not depend on the user's profile or proxy."""
    os.environ.pop("AWS_PROFILE", None)
    os.environ |= {
        "MOTO_ACCOUNT_ID": HUB_ACCOUNT,
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
        "MOTO_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }


def _set_up_logging(logs: Path | None) -> None:
    """Logs to a file, if there is one: the terminal shows only the progress lines."""
    if logs is None:
        logging.getLogger().addHandler(logging.NullHandler())
        return
    logs.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=logs / "simulated-aws.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.captureWarnings(True)


class _Stop:
    """The request to stop: a signal, or the end of standard input.

    The signal itself writes to a pipe, whichever thread it reaches. A handler in Python runs only when the main thread
    returns from its system call, and a signal that another thread received does not interrupt that call.
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._watch_stdin, name="standard input", daemon=True).start()

    def wait(self) -> None:
        """Returns when the process must stop."""
        os.read(self._read_end, 1)

    def _watch_stdin(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.write(self._write_end, b".")


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Daemon threads wait in executions and long polls; do not wait for them.
    os._exit(status)
