"""Schedule expressions: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta, timezone

import pytest
from simulated_aws.__main__ import pace
from simulated_aws.eventbridge.rule_schedules import plan_of
from simulated_aws.scheduler.clock import Plan
from simulated_aws.scheduler.schedule_expression import MalformedExpression, parse


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


MADE = moment("2027-03-01T12:00:30")


def firings(expression, number, zone="UTC"):
    """The first moments at which it fires."""
    parsed = parse(expression, zone)
    found = [parsed.first(MADE)]
    while len(found) < number:
        found.append(parsed.following(found[-1]))
    return [one and one.strftime("%d %H:%M:%S") for one in found]


def test_at_fires_once_at_the_beginning_of_its_minute():
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time"""
    assert firings("at(2027-03-02T08:15:42)", 2) == ["02 08:15:00", None]
    assert firings("at(2027-03-02T08:15:42)", 1, "Europe/Berlin") == ["02 07:15:00"]


def test_a_rate_of_scheduler_begins_at_once():
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based"""
    assert firings("rate(5 minutes)", 3) == ["01 12:00:30", "01 12:05:30", "01 12:10:30"]
    assert firings("rate(1 day)", 2) == ["01 12:00:30", "02 12:00:30"]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("cron(0 3 * * ? *)", ["02 03:00:00", "03 03:00:00"]),
        ("cron(0/30 12-13 * * ? *)", ["01 12:30:00", "01 13:00:00"]),
        ("cron(15 10 ? * MON-FRI *)", ["02 10:15:00", "03 10:15:00"]),
        ("cron(0 0 ? * 1 *)", ["07 00:00:00", "14 00:00:00"]),
        ("cron(0 12 5,6 MAR ? 2027)", ["05 12:00:00", "06 12:00:00"]),
    ],
)
def test_cron_fires_at_every_matching_minute(expression, wanted):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based. 1 March 2027 is a Monday."""
    assert firings(expression, 2) == wanted


@pytest.mark.parametrize(
    "expression",
    [
        "", "at(2027-03-02)", "at(2027-03-02T08:15:42Z)", "at(2027-03-02T08:15:42.5)", "at(2027-02-30T00:00:00)",
        "at(2027-3-2T8:15:42)", "rate(10 seconds)", "rate(0 minutes)", "rate(1.5 hours)", "cron(0 3 * * *)",
        "cron(0 3 * * * *)", "cron(0 3 ? * ? *)", "cron(61 3 * * ? *)", "cron(0 3 L * ? *)", "every day",
    ],
)  # fmt: skip
def test_what_aws_would_not_take_or_the_simulation_does_not_know_is_refused(expression):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (ScheduleExpression)"""
    with pytest.raises(MalformedExpression):
        parse(expression)


def test_an_unknown_time_zone_is_refused():
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#time-zones"""
    with pytest.raises(MalformedExpression):
        parse("rate(1 day)", "Middle-earth/Shire")


@pytest.mark.parametrize("expression", ["rate(1 minutes)", "rate(2 minute)", "rate(11 day)", "at(2027-03-02T08:15:42)"])
def test_a_rule_wants_the_right_number_and_knows_no_at(expression):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html"""
    with pytest.raises(Exception, match="ScheduleExpression is not valid"):
        plan_of(expression)


@pytest.mark.parametrize("expression", ["rate(1 minute)", "rate(2 hours)", "rate(10 days)"])
def test_the_rate_of_a_rule_begins_after_one_period(expression):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html"""
    plan = plan_of(expression)
    assert plan.next == plan.made + plan.expression.period


def test_a_plan_returns_each_moment_once_and_makes_up_for_none():
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based"""
    plan = Plan(parse("rate(1 minute)"), made=MADE)
    assert plan.due(MADE - timedelta(seconds=1), None) is None
    assert plan.due(MADE, None) == MADE
    assert plan.due(MADE, None) is None
    much_later = MADE + timedelta(minutes=10, seconds=5)
    assert plan.due(much_later, None) == MADE + timedelta(minutes=1)
    assert plan.due(much_later, None) is None
    assert plan.next == MADE + timedelta(minutes=11)


def test_start_and_end_bound_a_plan():
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (StartDate, EndDate)"""
    start, end = MADE + timedelta(hours=1), MADE + timedelta(hours=2)
    plan = Plan(parse("rate(1 hour)"), start, end, MADE)
    assert plan.due(MADE, None) is None
    assert plan.due(start, None) == start
    assert plan.due(end, None) == end
    assert plan.completed(end + timedelta(seconds=1))
    assert plan.due(end + timedelta(hours=1), None) is None


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("2m", 120), ("1h", 3600)])
def test_a_pace_is_written_in_seconds_minutes_or_hours(text, seconds):
    """A rule of this program, not of AWS: `--review-every`."""
    assert pace(text) == timedelta(seconds=seconds)
    for wrong in (f"{text}s", f"0{text}", text[:-1], f"-{text}"):
        with pytest.raises(ArgumentTypeError):
            pace(wrong)


def test_a_pace_replaces_that_of_recurring_plans_only():
    """A rule of this program, not of AWS: `--review-every`."""
    pace = timedelta(seconds=10)
    plan, one_time = Plan(parse("rate(1 day)"), made=MADE), Plan(parse("at(2027-03-01T12:05:00)"), made=MADE)
    assert [plan.due(MADE + timedelta(seconds=second), pace) is not None for second in (0, 9, 10, 11, 20)] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert one_time.due(MADE + pace, pace) is None
    assert one_time.due(MADE + timedelta(minutes=5), pace) is not None
