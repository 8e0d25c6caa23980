"""How long a call is on its way: AWS is at the other end of a network, and this simulation is not.

`SIMULATED_AWS_LATENCY` says how many seconds pass before a call arrives, by default none. Requests to the simulation
itself, under `/simulated-aws/`, arrive at once.
"""

import os
import time
from collections.abc import Iterable

from simulated_aws.core.function_calls import Application, Environ, StartResponse


def install(application: Application) -> Application:
    """The same application, further away."""
    seconds = float(os.environ.get("SIMULATED_AWS_LATENCY", "0"))
    if seconds == 0:
        return application

    def call(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/simulated-aws/"):
            time.sleep(seconds)
        return application(environ, start_response)

    return call
