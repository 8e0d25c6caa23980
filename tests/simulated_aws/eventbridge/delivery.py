"""Delivers the events of a bus to the targets of the rules that match them.

Only enabled rules with a pattern receive events; `rule_schedules` runs the schedules of rules. Each delivery is tried once.
What can fail here (a target is gone, a permission is missing) EventBridge does not retry either: it sends the event to the
dead-letter queue of the target at once. So RetryPolicy has no effect.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from moto.events.models import EventBus, Rule, events_backends

from simulated_aws.eventbridge import event_pattern, target_input, target_senders
from simulated_aws.eventbridge.target_senders import DeliveryFailure

LOG = logging.getLogger(__name__)

_ENABLED = ("ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")

Sender = Callable[[Rule, dict[str, Any], dict[str, Any], str], None]


def route(account_id: str, region: str, bus_name: str, event: dict[str, Any]) -> None:
    """Delivers the event to every target of every matching rule of this bus."""
    bus: EventBus | None = events_backends[account_id][region].event_buses.get(bus_name)
    if bus is None:
        return
    for rule in list(bus.rules.values()):
        if rule.state in _ENABLED and event_pattern.matches(rule.event_pattern.get_pattern(), event):
            deliver_to_targets(rule, event)


def deliver_to_targets(rule: Rule, event: dict[str, Any]) -> None:
    """Delivers the event to every target of one rule."""
    for target in list(rule.targets):
        _deliver(rule, target, event)


def _deliver(rule: Rule, target: dict[str, Any], event: dict[str, Any]) -> None:
    try:
        send = _sender(target["Arn"])
        send(rule, target, event, target_input.payload(target, event, rule.arn))
    except DeliveryFailure as failure:
        LOG.warning("rule %s could not deliver to %s: %s", rule.name, target["Arn"], failure)
        _send_to_dead_letter_queue(rule, target, event, failure)
    except Exception as error:
        # If one target fails, the others still get the event.
        LOG.exception("rule %s failed to deliver to %s", rule.name, target["Arn"])
        _send_to_dead_letter_queue(rule, target, event, DeliveryFailure("INTERNAL_ERROR", repr(error)))


def _sender(target_arn: str) -> Sender:
    service, resource = target_arn.split(":")[2], target_arn.split(":", 5)[-1]
    senders: dict[str, Sender] = {
        "states": target_senders.start_execution,
        "lambda": target_senders.invoke_function,
        "sqs": target_senders.send_message,
        "sns": target_senders.publish,
        "logs": target_senders.write_log,
    }
    if service == "events" and resource.startswith("event-bus/"):
        return _forward
    if service not in senders:
        raise DeliveryFailure("INVALID_PARAMETER", f"targets like {target_arn} are not part of the simulated AWS")
    return senders[service]


def _forward(rule: Rule, target: dict[str, Any], event: dict[str, Any], _payload: str) -> None:
    """Delivers to another bus. The event keeps its account and Region, and crosses accounts at most once.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
    """
    _, _, _, region, account_id, resource = target["Arn"].split(":", 5)
    if account_id != rule.account_id and event["account"] != rule.account_id:
        raise DeliveryFailure("THIRD_ACCOUNT_HOP_DETECTED", "an event from another account goes no further")
    target_senders.check_bus(target["Arn"], rule.account_id)
    route(account_id, region, resource.removeprefix("event-bus/"), event)


def _send_to_dead_letter_queue(
    rule: Rule, target: dict[str, Any], event: dict[str, Any], failure: DeliveryFailure
) -> None:
    queue_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue_arn is None:
        return
    texts = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message,
        "RETRY_ATTEMPTS": "0",
    }
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    try:
        target_senders.put_on_queue(rule, queue_arn, json.dumps(event), attributes=attributes)
    except DeliveryFailure as second:
        LOG.warning("rule %s lost an event, its dead-letter queue refused it: %s", rule.name, second)
