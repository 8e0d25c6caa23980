"""Invokes the target of a schedule, with its input and the permission of the schedule's role.

Only state machines and Lambda functions are supported. Each target is invoked once. Scheduler itself retries for a day, up
to 185 times; here a failure goes to the dead-letter queue of the schedule at once, if it has one.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
"""

import json
import logging
import re
import uuid
from datetime import datetime
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.utils import get_backend as lambda_backend
from moto.core.exceptions import ServiceException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule
from moto.sqs.models import sqs_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from werkzeug.exceptions import HTTPException

from simulated_aws.iam import resource_policy, role_permissions

LOG = logging.getLogger(__name__)

SCHEDULER = "scheduler.amazonaws.com"

_TARGET = re.compile(r"arn:aws:(states:[a-z0-9-]+:\d{12}:stateMachine|lambda:[a-z0-9-]+:\d{12}:function):[\w-]+(:\S+)?")
_ERRORS = (HTTPException, ServiceException, UnknownFunctionException)


class InvocationFailure(Exception):
    """The target was not invoked: AWS's error code, and why."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def is_known(target_arn: str) -> bool:
    """Whether the simulated AWS supports this kind of target."""
    return _TARGET.fullmatch(target_arn) is not None


def invoke(schedule: Schedule, backend: EventBridgeSchedulerBackend, moment: datetime) -> None:
    """Invokes the target for the scheduled moment. A failure is logged and sent to the dead-letter queue."""
    execution_id = str(uuid.uuid4())
    payload = _payload(schedule, backend, moment, execution_id)
    try:
        role = _assume_role(schedule, backend)
        send = _start_execution if ":states:" in schedule.target["Arn"] else _invoke_function
        send(schedule, role, payload)
        LOG.info("schedule %s fired for %s", schedule.arn, moment)
    except InvocationFailure as failure:
        LOG.warning("schedule %s could not invoke %s: %s", schedule.arn, schedule.target["Arn"], failure)
        _send_to_dead_letter_queue(schedule, moment, execution_id, payload, failure)


def _payload(schedule: Schedule, backend: EventBridgeSchedulerBackend, moment: datetime, execution_id: str) -> str:
    """The target's input with its context attributes filled in; without input, a scheduled event.

    [R] AWS does not document what a target without input receives: users observed this event.
    """
    scheduled = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    given = schedule.target.get("Input")
    if given is None:
        event = {
            "version": "0", "id": execution_id, "detail-type": "Scheduled Event", "source": "aws.scheduler",
            "account": backend.account_id, "time": scheduled, "region": backend.region_name,
            "resources": [schedule.arn], "detail": "{}",
        }  # fmt: skip
        return json.dumps(event)
    attributes = {
        "schedule-arn": schedule.arn, "scheduled-time": scheduled, "execution-id": execution_id, "attempt-number": "1",
    }  # fmt: skip
    for name, value in attributes.items():
        given = given.replace(f"<aws.scheduler.{name}>", value)
    return given


def _assume_role(schedule: Schedule, backend: EventBridgeSchedulerBackend) -> Any:
    """The role may be deleted, or no longer trust Scheduler, since the schedule was created.

    The trust policy may name the schedule group:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    """
    role_arn = schedule.target["RoleArn"]
    group_arn = f"arn:aws:scheduler:{backend.region_name}:{backend.account_id}:schedule-group/{schedule.group_name}"
    requester = resource_policy.service(SCHEDULER, source_arn=group_arn, source_account=backend.account_id)
    if not role_permissions.trusts(role_arn, requester):
        raise InvocationFailure("AWSSecurityTokenService.AccessDenied", f"{SCHEDULER} may not assume {role_arn}")
    return role_permissions.find(role_arn)


def _check(role: Any, action: str, resource: str) -> None:
    if not role_permissions.allow(role, action, resource):
        raise InvocationFailure("AccessDeniedException", f"{role.arn} is not allowed {action} on {resource}")


def _start_execution(schedule: Schedule, role: Any, payload: str) -> None:
    arn = schedule.target["Arn"]
    _check(role, "states:StartExecution", arn)
    _, _, _, region, account_id, _ = arn.split(":", 5)
    try:
        backend = stepfunctions_parser_backends[account_id][region]
        backend.start_execution(arn, name=str(uuid.uuid4()), execution_input=payload)
    except _ERRORS as error:
        raise InvocationFailure(type(error).__name__, str(error)) from error


def _invoke_function(schedule: Schedule, role: Any, payload: str) -> None:
    """Invokes asynchronously: from here on Lambda retries."""
    arn = schedule.target["Arn"]
    _check(role, "lambda:InvokeFunction", arn)
    _, _, _, region, account_id, _ = arn.split(":", 5)
    try:
        backend = lambda_backend(account_id, region)
        backend.get_function(arn)
        backend.invoke(arn, None, payload, {"X-Amz-Invocation-Type": "Event"}, {})
    except _ERRORS as error:
        raise InvocationFailure("AWSLambda.ResourceNotFoundException", str(error)) from error


def _send_to_dead_letter_queue(
    schedule: Schedule, moment: datetime, execution_id: str, payload: str, failure: InvocationFailure
) -> None:
    """The role of the schedule, not the queue policy, has to allow it."""
    queue_arn = (schedule.target.get("DeadLetterConfig") or {}).get("Arn")
    role = role_permissions.find(schedule.target["RoleArn"])
    if queue_arn is None or role is None or not role_permissions.allow(role, "sqs:SendMessage", queue_arn):
        return
    _, _, _, region, account_id, name = queue_arn.split(":", 5)
    texts = {
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message,
        "EXECUTION_ID": execution_id,
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SCHEDULE_ARN": schedule.arn,
        "TARGET_ARN": schedule.target["Arn"],
    }
    attributes = {key: {"DataType": "String", "StringValue": text} for key, text in texts.items()}
    sqs_backends[account_id][region].send_message(name, payload, message_attributes=attributes)
