"""Asynchronous invocations: Lambda accepts the event, runs the function later, and retries when it fails.

An event that fails at every attempt goes to the function's dead-letter queue, if it has one and its role may send to it;
otherwise the event is lost. Destinations are not simulated.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable

from moto.awslambda.models import LambdaFunction
from moto.sqs.models import sqs_backends

from simulated_aws.cloudformation import functions
from simulated_aws.core import under_way
from simulated_aws.iam import role_permissions
from simulated_aws.lambda_.process import InvocationError

LOG = logging.getLogger(__name__)

# AWS waits one minute before the second attempt and two before the third, too long for a demo.
PAUSES_SECONDS = [1.0, 2.0]


def start(invoke: Callable[[LambdaFunction, bytes], bytes], function: LambdaFunction, payload: bytes) -> None:
    """Returns at once; the function runs in its own thread."""
    under_way.begin()
    threading.Thread(
        target=_run, args=(invoke, function, payload), name=f"event for {function.function_name}", daemon=True
    ).start()


@under_way.ending()
def _run(invoke: Callable[[LambdaFunction, bytes], bytes], function: LambdaFunction, payload: bytes) -> None:
    failure: InvocationError | None = None
    for pause in [0.0, *PAUSES_SECONDS[: _retries(function)]]:
        time.sleep(pause)
        try:
            invoke(function, payload)
            return
        except InvocationError as error:
            LOG.warning("%s failed for an event: %s", function.function_name, error)
            failure = error
    _send_to_dead_letter_queue(function, payload, failure)


def _send_to_dead_letter_queue(function: LambdaFunction, payload: bytes, failure: InvocationError | None) -> None:
    queue_arn = functions.dead_letter_queue(function)
    if queue_arn is None:
        return
    role = role_permissions.find(function.role)
    if role is not None and not role_permissions.allow(role, "sqs:SendMessage", queue_arn):
        LOG.warning("%s lost an event: %s may not send to %s", function.function_name, function.role, queue_arn)
        return
    _, _, _, region, account_id, name = queue_arn.split(":", 5)
    texts = {"RequestID": str(uuid.uuid4()), "ErrorCode": "200", "ErrorMessage": str(failure)[:1024]}
    attributes = {key: {"DataType": "String", "StringValue": text} for key, text in texts.items()}
    sqs_backends[account_id][region].send_message(name, payload.decode(), message_attributes=attributes)


def _retries(function: LambdaFunction) -> int:
    for configuration in function.event_invoke_config:
        given = configuration.config.get("MaximumRetryAttempts")
        if given is not None:
            return int(given)
    return len(PAUSES_SECONDS)
