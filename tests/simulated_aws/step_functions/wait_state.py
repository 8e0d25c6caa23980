"""The Wait state ends at its timestamp, in UTC and to the second. moto ends up to a second early, and uses local time.

A fraction of a second is ignored: with `12:00:00.9Z` the wait ends at `12:00:00`. Callers that need the exact moment use
a whole second.

https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
"""

import time
from datetime import datetime, timezone
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment


def _seconds_until(self: Timestamp, env: Environment) -> float:
    self.string.eval(env=env)
    text = env.stack.pop()
    moment = self._from_timestamp_string(timestamp=text)
    if moment is None:
        raise FailureEventException(self._create_failure_event(env, text))
    return (moment.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)).total_seconds()


def _wait(_self: WaitFunction, env: Any, wait_seconds: float) -> None:
    """Waits until then, or until the execution is stopped."""
    end = time.monotonic() + wait_seconds
    while env.is_running() and (remaining := end - time.monotonic()) > 0:
        env.program_state_event.wait(remaining)


def install() -> None:
    """Replaces moto's calculation."""
    Timestamp._get_wait_seconds = _seconds_until
    WaitFunction._wait_interval = _wait
