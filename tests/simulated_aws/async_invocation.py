"""Asynchronous invocations: Lambda accepts the event, runs the function later, and runs it again when it fails.

An event that fails at every attempt is dropped: dead-letter queues and destinations of functions are not simulated.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import logging
import threading
import time
from collections.abc import Callable

from moto.awslambda.models import LambdaFunction

from simulated_aws.function_process import InvocationError

LOG = logging.getLogger(__name__)

# AWS waits one minute before the second attempt and two before the third. Nobody who watches a demo does.
PAUSES_SECONDS = [1.0, 2.0]


def start(invoke: Callable[[LambdaFunction, bytes], bytes], function: LambdaFunction, payload: bytes) -> None:
    """Answers at once; the function runs in a thread of its own."""
    threading.Thread(
        target=_run, args=(invoke, function, payload), name=f"event for {function.function_name}", daemon=True
    ).start()


def _run(invoke: Callable[[LambdaFunction, bytes], bytes], function: LambdaFunction, payload: bytes) -> None:
    for pause in [0.0, *PAUSES_SECONDS[: _retries(function)]]:
        time.sleep(pause)
        try:
            invoke(function, payload)
            return
        except InvocationError as error:
            LOG.warning("%s failed for an event: %s", function.function_name, error)


def _retries(function: LambdaFunction) -> int:
    for configuration in function.event_invoke_config:
        given = configuration.config.get("MaximumRetryAttempts")
        if given is not None:
            return int(given)
    return len(PAUSES_SECONDS)
