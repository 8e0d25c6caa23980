"""Adds network latency to each call.

`SIMULATED_AWS_LATENCY` is the delay of a call in seconds, by default 0. Requests to the simulation itself, under
`/simulated-aws/`, have no delay.
"""

import os
import time
from collections.abc import Iterable

from simulated_aws.core.signed_calls import Application, Environ, StartResponse


def install(application: Application) -> Application:
    """Wraps the application with the delay."""
    seconds = float(os.environ.get("SIMULATED_AWS_LATENCY", "0"))
    if seconds == 0:
        return application

    def call(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith("/simulated-aws/"):
            time.sleep(seconds)
        return application(environ, start_response)

    return call
