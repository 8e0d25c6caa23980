"""Sends a payload to each kind of EventBridge target, and checks the permission that it needs.

The own policy of a Lambda function, queue or topic must allow `events.amazonaws.com`; a state machine is started with the
role of the target.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
"""

import time
import uuid
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.utils import get_backend as lambda_backend
from moto.core.exceptions import ServiceException
from moto.events.models import Rule, events_backends
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions.exceptions import StateMachineDoesNotExist
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from werkzeug.exceptions import HTTPException

from simulated_aws.iam import permission_record, resource_policy, role_permissions

_EVENTBRIDGE = "events.amazonaws.com"
_MOTO_ERRORS = (HTTPException, ServiceException)


class DeliveryFailure(Exception):
    """A target did not get the event. `code` is one of those that AWS lists for the attribute ERROR_CODE."""

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def start_execution(rule: Rule, target: dict[str, Any], event: dict[str, Any], payload: str) -> None:
    """Starts a state machine with the payload as its input. EventBridge names executions with two UUIDs."""
    _, _, _, region, account_id, _ = target["Arn"].split(":", 5)
    _check_role(target, rule, "states:StartExecution")
    backend = stepfunctions_parser_backends[account_id][region]
    try:
        backend.start_execution(target["Arn"], name=f"{event['id']}_{uuid.uuid4()}", execution_input=payload)
    except StateMachineDoesNotExist as error:
        raise DeliveryFailure("NO_RESOURCE", str(error)) from error
    except _MOTO_ERRORS as error:
        raise DeliveryFailure("SDK_CLIENT_ERROR", str(error)) from error


def invoke_function(rule: Rule, target: dict[str, Any], _event: dict[str, Any], payload: str) -> None:
    """Invokes a function asynchronously: from here on Lambda retries."""
    _, _, _, region, account_id, _ = target["Arn"].split(":", 5)
    backend = lambda_backend(account_id, region)
    try:
        function = backend.get_function(target["Arn"])
    except UnknownFunctionException as error:
        raise DeliveryFailure("NO_RESOURCE", str(error)) from error
    _check(rule, {"Statement": function.policy.statements}, "lambda:InvokeFunction", function.function_arn)
    backend.invoke(target["Arn"], None, payload, {"X-Amz-Invocation-Type": "Event"}, {})


def send_message(rule: Rule, target: dict[str, Any], _event: dict[str, Any], payload: str) -> None:
    """Sends the payload to a queue, in the target's message group if the queue is a FIFO queue."""
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    put_on_queue(rule, target["Arn"], payload, group=group)


def put_on_queue(
    rule: Rule, queue_arn: str, body: str, *, group: str | None = None, attributes: dict[str, Any] | None = None
) -> None:
    """Sends to a queue for a rule, as target or as dead-letter queue, if the queue policy allows it."""
    _, _, _, region, account_id, name = queue_arn.split(":", 5)
    backend = sqs_backends[account_id][region]
    queue = backend.queues.get(name)
    if queue is None:
        raise DeliveryFailure("NO_RESOURCE", f"the queue {queue_arn} does not exist")
    _check(rule, queue.policy, "sqs:SendMessage", queue_arn)
    try:
        backend.send_message(name, body, message_attributes=attributes, group_id=group)
    except _MOTO_ERRORS as error:
        raise DeliveryFailure("SDK_CLIENT_ERROR", str(error)) from error


def publish(rule: Rule, target: dict[str, Any], _event: dict[str, Any], payload: str) -> None:
    """Publishes the payload to a topic."""
    _, _, _, region, account_id, _ = target["Arn"].split(":", 5)
    topic = sns_backends[account_id][region].topics.get(target["Arn"])
    if topic is None:
        raise DeliveryFailure("NO_RESOURCE", f"the topic {target['Arn']} does not exist")
    _check(rule, topic.policy, "sns:Publish", target["Arn"])
    sns_backends[account_id][region].publish(payload, target["Arn"])


def write_log(rule: Rule, target: dict[str, Any], _event: dict[str, Any], payload: str) -> None:
    """Writes the payload to a new stream of a log group."""
    _, _, _, region, account_id, resource = target["Arn"].split(":", 5)
    group, stream = resource.removeprefix("log-group:").removesuffix(":*"), str(uuid.uuid4())
    backend = logs_backends[account_id][region]
    if group not in backend.groups:
        raise DeliveryFailure("NO_RESOURCE", f"the log group {group} does not exist")
    backend.create_log_stream(group, stream)
    backend.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": payload}])


def check_bus(bus_arn: str, sending_account: str) -> None:
    """Refuses unless the bus exists and, in another account, allows the sending account."""
    _, _, _, region, account_id, resource = bus_arn.split(":", 5)
    bus = events_backends[account_id][region].event_buses.get(resource.removeprefix("event-bus/"))
    if bus is None:
        raise DeliveryFailure("NO_RESOURCE", f"the event bus {bus_arn} does not exist")
    if account_id != sending_account:
        requester = resource_policy.account(sending_account)
        if not resource_policy.allows(bus.policy, requester, "events:PutEvents", bus_arn):
            raise DeliveryFailure("NO_PERMISSIONS", f"{bus_arn} does not allow the account {sending_account}")


def _check(rule: Rule, policy: Any, action: str, resource: str) -> None:
    requester = resource_policy.service(_EVENTBRIDGE, source_arn=rule.arn, source_account=rule.account_id)
    if not resource_policy.allows(policy, requester, action, resource):
        raise DeliveryFailure("NO_PERMISSIONS", f"{resource} does not let {_EVENTBRIDGE} do {action} for {rule.arn}")
    permission_record.allowed_by_resource(rule.name, action, resource)


def _check_role(target: dict[str, Any], rule: Rule, action: str) -> None:
    """The role must exist, trust EventBridge, and allow the action.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
    """
    role_arn = target.get("RoleArn")
    if not role_arn:
        raise DeliveryFailure("NO_PERMISSIONS", f"the target {target['Arn']} names no role")
    requester = resource_policy.service(_EVENTBRIDGE, source_arn=rule.arn, source_account=rule.account_id)
    role = role_permissions.find(role_arn)
    if role is None or not role_permissions.trusts(role_arn, requester):
        raise DeliveryFailure("FAILED_TO_ASSUME_ROLE", f"{_EVENTBRIDGE} may not assume {role_arn}")
    if not role_permissions.allow(role, action, target["Arn"]):
        raise DeliveryFailure("NO_PERMISSIONS", f"{role_arn} is not allowed {action} on {target['Arn']}")
