"""PutEvents: accepts events entry by entry, also for a bus in another account.

An entry for another account's bus is accepted if the bus policy allows the caller's account. The answer counts and marks
each refused entry; the others are delivered.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
"""

import json
from datetime import datetime, timezone
from typing import Any

from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend, events_backends

from simulated_aws.eventbridge import emission
from simulated_aws.iam import resource_policy

_MAX_ENTRIES = 10
_MAX_ENTRY_BYTES = 1024 * 1024

Answer = dict[str, Any]


def put_events(self: EventsBackend, events: list[dict[str, Any]]) -> list[Answer]:
    """Replaces moto's, which delivers within the call and to the wrong account."""
    if len(events) > _MAX_ENTRIES:
        raise ValidationException(
            "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_MAX_ENTRIES}"
        )
    return [_put(self.account_id, self.region_name, entry) for entry in events]


def _put(caller: str, region: str, entry: dict[str, Any]) -> Answer:
    failure = _malformed(entry)
    if failure is not None:
        return failure
    account_id, bus_region, bus_name = _address(caller, region, entry.get("EventBusName") or "default")
    bus_arn = f"arn:aws:events:{bus_region}:{account_id}:event-bus/{bus_name}"
    if account_id != caller and not _allowed(caller, entry, account_id, bus_region, bus_name):
        return _failure(
            "AccessDeniedException",
            f"User: arn:aws:iam::{caller}:root is not authorized to perform: events:PutEvents on resource: {bus_arn} "
            "because no resource-based policy allows the events:PutEvents action",
        )
    event = emission.envelope(
        caller, region, entry["Source"], entry["DetailType"], entry.get("Resources") or [],
        json.loads(entry["Detail"]), _time(entry.get("Time")),
    )
    # [R] If the bus does not exist in the caller's own account, the entry succeeds and the event is lost. AWS's
    # documents do not say so, but its users do (https://github.com/aws/aws-sdk/issues/186).
    emission.post(account_id, bus_region, bus_name, event)
    return {"EventId": event["id"]}


def _malformed(entry: dict[str, Any]) -> Answer | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return _failure("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].startswith("aws."):
        return _failure("NotAuthorizedForSourceException", f"Not authorized for the source: {entry['Source']}")
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return _failure("MalformedDetail", "Detail is malformed.")
    if _size(entry) > _MAX_ENTRY_BYTES:
        return _failure("InvalidArgument", "Total size of the entries in the request is over the limit.")
    return None


def _size(entry: dict[str, Any]) -> int:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size"""
    texts = [entry["Source"], entry["DetailType"], entry["Detail"], *(entry.get("Resources") or [])]
    return sum(len(text.encode()) for text in texts) + (14 if entry.get("Time") else 0)


def _address(caller: str, region: str, name_or_arn: str) -> tuple[str, str, str]:
    if not name_or_arn.startswith("arn:"):
        return caller, region, name_or_arn
    _, _, _, bus_region, account_id, resource = name_or_arn.split(":", 5)
    return account_id, bus_region, resource.removeprefix("event-bus/")


def _allowed(caller: str, entry: dict[str, Any], account_id: str, region: str, bus_name: str) -> bool:
    """Whether the bus policy allows this event of the caller; it may have conditions on source and detail-type.

    [R] A missing bus has no policy that could allow the caller: the answer is AccessDeniedException too, the only documented
    code of PutEvents that fits. AWS does not document this case.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    """
    bus = events_backends[account_id][region].event_buses.get(bus_name)
    if bus is None:
        return False
    requester = resource_policy.account(caller, {"events:source": [entry["Source"]], "events:detail-type": [entry["DetailType"]]})
    return resource_policy.allows(bus.policy, requester, "events:PutEvents", bus.arn)


def _time(given: Any) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, (int, float)):
        return datetime.fromtimestamp(given, timezone.utc)
    return datetime.fromisoformat(str(given).replace("Z", "+00:00"))


def _failure(code: str, message: str) -> Answer:
    return {"ErrorCode": code, "ErrorMessage": message}


def install() -> None:
    """Replaces moto's PutEvents."""
    EventsBackend.put_events = put_events
