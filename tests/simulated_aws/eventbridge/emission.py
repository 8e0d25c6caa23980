"""Puts the events of AWS services on event buses, in order and after the call that caused them has answered.

AWS services send events to the default bus of the account and Region of the change, and the caller does not wait for that.
One thread reads one queue, so events of one image are delivered in the order in which they were sent. (AWS guarantees no
order, so no flow may need one. `event_faults` changes the order, and more, where a test asks for it.)

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
"""

import logging
import queue
import threading
import uuid
from datetime import datetime, timezone
from typing import Any

from simulated_aws.core import under_way
from simulated_aws.eventbridge import delivery, event_faults

LOG = logging.getLogger(__name__)

_events: "queue.SimpleQueue[tuple[str, str, str, dict[str, Any]]]" = queue.SimpleQueue()
_started = threading.Lock()


def emit(
    account_id: str, region: str, source: str, detail_type: str, resources: list[str], detail: dict[str, Any]
) -> None:
    """Queues an event of an AWS service for the default bus of the account."""
    event = envelope(account_id, region, source, detail_type, resources, detail)
    post(account_id, region, "default", event)


def envelope(
    account_id: str, region: str, source: str, detail_type: str, resources: list[str], detail: dict[str, Any],
    time: datetime | None = None,
) -> dict[str, Any]:
    """The event as EventBridge delivers it. `account_id` is the account of the change."""
    moment = (time or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account_id,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": list(resources),
        "detail": detail,
    }


def post(account_id: str, region: str, bus_name: str, event: dict[str, Any]) -> None:
    """Queues a finished event for one bus: `account_id` and `region` are those of the bus."""

    def queue_it() -> None:
        under_way.begin()
        _events.put((account_id, region, bus_name, event))

    event_faults.post(event, queue_it)


def _deliver_forever() -> None:
    while True:
        account_id, region, bus_name, event = _events.get()
        with under_way.ending():
            try:
                delivery.route(account_id, region, bus_name, event)
            except Exception:
                # One event that cannot be delivered must not end the delivery of all later ones.
                LOG.exception("could not deliver %s", event)


def install() -> None:
    """Starts the delivering thread, once."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_deliver_forever, name="event delivery", daemon=True).start()
