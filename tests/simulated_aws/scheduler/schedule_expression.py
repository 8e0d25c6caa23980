"""Parses schedule expressions and computes when `at(…)`, `rate(…)` and `cron(…)` fire.

It refuses the cron characters `L`, `W` and `#`, which AWS supports: a test with a schedule that never fires would prove
nothing.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# A cron expression without a match in the next years has none that matters.
_DAYS_AHEAD = 5 * 366
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


class MalformedExpression(ValueError):
    """An expression that AWS refuses, or that the simulated AWS does not support."""


@dataclass(frozen=True)
class At:
    """One moment. Scheduler has a precision of a minute; here it fires at the beginning of the minute."""

    moment: datetime

    recurs = False

    def first(self, _made: datetime) -> datetime | None:
        """A past moment is accepted and fires at once.

        AWS does not document this, but users observed it: CreateSchedule accepts a time an hour ago, and a schedule of
        two minutes ago invoked its target 45 seconds later.
        """
        return self.moment.replace(second=0, microsecond=0)

    def following(self, _last: datetime) -> datetime | None:
        """None: it fires once."""
        return None


@dataclass(frozen=True)
class Rate:
    """A fixed period. `at_once` says whether it first fires at creation: a schedule of Scheduler does, a rule of
    EventBridge fires after one period.
    """

    period: timedelta
    at_once: bool = True

    recurs = True

    def first(self, made: datetime) -> datetime | None:
        """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based"""
        return made if self.at_once else made + self.period

    def following(self, last: datetime) -> datetime | None:
        """One period later."""
        return last + self.period


@dataclass(frozen=True)
class Cron:
    """Every minute that matches all fields, in a time zone."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    years: frozenset[int]
    zone: tzinfo

    recurs = True

    def first(self, made: datetime) -> datetime | None:
        """The first matching minute after the schedule was made."""
        return self.following(made)

    def following(self, last: datetime) -> datetime | None:
        """The first matching minute after `last`."""
        day = last.astimezone(self.zone).date()
        for distance in range(_DAYS_AHEAD):
            moment = self._on(day + timedelta(days=distance), last)
            if moment is not None:
                return moment
        return None

    def _on(self, day: date, last: datetime) -> datetime | None:
        if not self._names(day):
            return None
        moments = (
            datetime.combine(day, time(hour, minute), self.zone).astimezone(timezone.utc)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        )
        return next((moment for moment in moments if moment > last), None)

    def _names(self, day: date) -> bool:
        in_days = self.days is None or day.day in self.days
        in_weekdays = self.weekdays is None or day.isoweekday() % 7 + 1 in self.weekdays
        return day.year in self.years and day.month in self.months and in_days and in_weekdays


Expression = At | Rate | Cron


def parse(expression: str, zone_name: str = "UTC") -> Expression:
    """Reads one expression. Raises MalformedExpression."""
    form = re.fullmatch(r"(at|rate|cron)\((.*)\)", expression or "")
    if form is None:
        raise MalformedExpression(expression)
    kind, inner = form.groups()
    zone = _zone(zone_name)
    return {"at": _at, "rate": _rate, "cron": _cron}[kind](inner, zone, expression)


def _zone(name: str) -> tzinfo:
    try:
        return timezone.utc if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise MalformedExpression(name) from error


def _at(inner: str, zone: tzinfo, expression: str) -> Expression:
    try:
        moment = datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S")
    except ValueError as error:
        raise MalformedExpression(expression) from error
    # `strptime` accepts `1-2-3T4:5:6` too.
    if moment.isoformat() != inner:
        raise MalformedExpression(expression)
    return At(moment.replace(tzinfo=zone).astimezone(timezone.utc))


def _rate(inner: str, _zone: tzinfo, expression: str) -> Expression:
    form = re.fullmatch(r"([1-9]\d*) (minute|hour|day)s?", inner)
    if form is None:
        raise MalformedExpression(expression)
    return Rate(timedelta(**{f"{form[2]}s": int(form[1])}))


def _cron(inner: str, zone: tzinfo, expression: str) -> Expression:
    """Either the day of the month or the day of the week is `?`."""
    fields = inner.upper().split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise MalformedExpression(expression)
    try:
        minutes, hours, months, years = (
            _wanted(fields[0], 0, 59), _wanted(fields[1], 0, 23), _wanted(fields[3], 1, 12, _MONTHS),
            _wanted(fields[5], 1970, 2199),
        )  # fmt: skip
        days = None if fields[2] == "?" else _wanted(fields[2], 1, 31)
        weekdays = None if fields[4] == "?" else _wanted(fields[4], 1, 7, _WEEKDAYS)
    except ValueError as error:
        raise MalformedExpression(expression) from error
    return Cron(minutes, hours, days, months, weekdays, years, zone)


def _wanted(field: str, lowest: int, highest: int, names: list[str] | None = None) -> frozenset[int]:
    """`5`, `1-5`, `0/15`, `*`, and lists of these. Names count from one."""
    for number, name in enumerate(names or [], start=1):
        field = field.replace(name, str(number))
    return frozenset(value for part in field.split(",") for value in _range(part, lowest, highest))


def _range(part: str, lowest: int, highest: int) -> range:
    form = re.fullmatch(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?", part)
    if form is None:
        raise ValueError(part)
    begin = lowest if form[1] == "*" else int(form[1])
    is_one = form[1] != "*" and form[2] is None and form[3] is None
    end = int(form[2]) if form[2] else begin if is_one else highest
    if not lowest <= begin <= end <= highest:
        raise ValueError(part)
    return range(begin, end + 1, int(form[3] or 1))
