"""Fires schedules when they are due: those of EventBridge Scheduler, and rules with a schedule.

`schedules` and `eventbridge.rule_schedules` say what firing does. Recurring schedules can fire at another pace than their
own, so that a demo does not have to wait for a day.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from simulated_aws.scheduler.schedule_expression import Expression

LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.2


class Plan:
    """When one schedule fires next. `not_before` and `not_after` are its StartDate and EndDate."""

    def __init__(
        self, expression: Expression, not_before: datetime | None = None, not_after: datetime | None = None,
        made: datetime | None = None,
    ):
        self.expression = expression
        self.made = made or datetime.now(timezone.utc)
        self.not_after = not_after
        self.next = expression.first(max(self.made, not_before) if not_before else self.made)
        self.next_at_pace: datetime | None = None

    def due(self, now: datetime, pace: timedelta | None) -> datetime | None:
        """The moment for which it is due, if any. Each moment is returned once."""
        if pace is not None and self.expression.recurs:
            return self._due_at_pace(now, pace)
        moment = self.next
        if moment is None or moment > now:
            return None
        self.next = self.expression.following(moment)
        # Moments missed while the machine slept are skipped.
        while self.next is not None and self.next <= now:
            self.next = self.expression.following(self.next)
        return moment if self.not_after is None or moment <= self.not_after else None

    def completed(self, now: datetime) -> bool:
        """Whether it will never fire again."""
        return self.next is None or (self.not_after is not None and now > self.not_after)

    def _due_at_pace(self, now: datetime, pace: timedelta) -> datetime | None:
        if self.next_at_pace is None:
            self.next_at_pace = max(self.made, _clock.started or self.made) + pace
        if self.next_at_pace > now:
            return None
        moment = self.next_at_pace
        self.next_at_pace = now + pace
        return moment


# The plan of a schedule, and the function that fires it.
Firing = tuple[Plan, Callable[[datetime], None]]


class _Clock:
    def __init__(self) -> None:
        self.sources: list[Callable[[], Iterable[Firing]]] = []
        self.pace: timedelta | None = None
        self.started: datetime | None = None

    def run(self) -> None:
        while True:
            tick(datetime.now(timezone.utc))
            time.sleep(_TICK_SECONDS)


_clock = _Clock()


def watch(source: Callable[[], Iterable[Firing]]) -> None:
    """Registers `source`, which returns the enabled schedules at every tick."""
    if source not in _clock.sources:
        _clock.sources.append(source)


def tick(now: datetime) -> None:
    """Fires every schedule that is due."""
    for source in _clock.sources:
        for plan, fire in list(source()):
            moment = plan.due(now, _clock.pace)
            if moment is not None:
                _fire(fire, moment)


def _fire(fire: Callable[[datetime], None], moment: datetime) -> None:
    try:
        fire(moment)
    except Exception:
        # A schedule that fails must not stop the others.
        LOG.exception("a schedule could not be fired")


def start(pace: timedelta | None = None) -> None:
    """Starts the clock. Call it after the deployment, so that no schedule fires too early.

    With a pace, every recurring schedule fires at that pace instead of its own, first after one such period.
    """
    _clock.pace, _clock.started = pace, datetime.now(timezone.utc)
    threading.Thread(target=_clock.run, name="clock", daemon=True).start()
