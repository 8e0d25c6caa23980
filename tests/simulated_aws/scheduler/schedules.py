"""EventBridge Scheduler: checks CreateSchedule, UpdateSchedule and schedule groups, and fires schedules.

Not simulated: client tokens, flexible windows (the target is invoked at the window's beginning), keys, retries.

https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.scheduler.exceptions import ScheduleExists, ScheduleGroupNotFound, ScheduleNotFound, ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, ScheduleGroup, scheduler_backends
from moto.scheduler.responses import EventBridgeSchedulerResponse

from simulated_aws.iam import resource_policy, role_permissions
from simulated_aws.scheduler import clock, schedule_expression, targets
from simulated_aws.scheduler.clock import Plan

_NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")


def install() -> None:
    """Checks the requests, gives every schedule its plan, and registers the schedules with the clock."""
    backend = EventBridgeSchedulerBackend
    backend.create_schedule = _creating(backend.create_schedule)
    backend.update_schedule = _updating(backend.update_schedule)
    backend.create_schedule_group = _creating_group(backend.create_schedule_group)
    backend.delete_schedule_group = _deleting_group(backend.delete_schedule_group)
    response = EventBridgeSchedulerResponse
    response.update_schedule = _with_action_after_completion(response.update_schedule)
    response.list_schedules = _listing(response.list_schedules)
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html#API_CreateSchedule_Errors
    ScheduleExists.code = 409
    clock.watch(_enabled)


def _creating(create: Any) -> Any:
    def call(self: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
        group_name = given["group_name"] or "default"
        if group_name not in self.schedule_groups:
            raise ScheduleGroupNotFound(group_name)
        plan = _check(self, group_name, given)
        schedule = create(self, **given)
        schedule.action_after_completion = schedule.action_after_completion or "NONE"
        schedule.plan = plan
        return schedule

    return call


def _updating(update: Any) -> Any:
    """Replaces the whole schedule: a field that the request omits gets its default.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
    """

    def call(self: EventBridgeSchedulerBackend, **given: Any) -> Schedule:
        self.get_schedule(given["group_name"], given["name"])
        plan = _check(self, given["group_name"] or "default", given)
        schedule = update(self, **given | {"state": given["state"] or "ENABLED"})
        schedule.action_after_completion = "NONE"
        schedule.plan = plan
        return schedule

    return call


def _check(backend: EventBridgeSchedulerBackend, group_name: str, given: dict[str, Any]) -> Plan:
    """Refuses what AWS refuses; returns when the schedule will fire."""
    if _NAME.fullmatch(given["name"]) is None:
        raise ValidationException(_constraint("name", given["name"]))
    if given["state"] not in (None, "ENABLED", "DISABLED"):
        raise ValidationException(_constraint("state", given["state"]))
    _check_window(given["flexible_time_window"])
    _check_target(backend, group_name, given["target"])
    zone_name = given["schedule_expression_timezone"] or "UTC"
    try:
        expression = schedule_expression.parse(given["schedule_expression"], zone_name)
    except schedule_expression.MalformedExpression as error:
        raise ValidationException(f"Invalid Schedule Expression {error}.") from error
    return Plan(expression, _moment(given["start_date"]), _moment(given["end_date"]))


def _check_window(window: Any) -> None:
    mode = (window or {}).get("Mode")
    if mode not in ("OFF", "FLEXIBLE"):
        raise ValidationException(_constraint("flexibleTimeWindow", window))
    if (mode == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
        raise ValidationException("MaximumWindowInMinutes goes with the mode FLEXIBLE, and only with it.")


def _check_target(backend: EventBridgeSchedulerBackend, group_name: str, target: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role"""
    if not targets.is_known(target.get("Arn") or ""):
        raise ValidationException(f"Provided Arn is not in correct format, or no target here: {target.get('Arn')}")
    role_arn = target.get("RoleArn") or ""
    if re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", role_arn) is None:
        raise ValidationException(_constraint("target.roleArn", role_arn))
    group_arn = f"arn:aws:scheduler:{backend.region_name}:{backend.account_id}:schedule-group/{group_name}"
    requester = resource_policy.service(targets.SCHEDULER, source_arn=group_arn, source_account=backend.account_id)
    if not role_permissions.trusts(role_arn, requester):
        raise ValidationException(
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        )


def _with_action_after_completion(update: Any) -> Any:
    """Adds ActionAfterCompletion, which moto drops in an update."""

    def call(self: EventBridgeSchedulerResponse) -> str:
        answer = update(self)
        name = self.uri.split("?")[0].split("/")[-1]
        schedule = self.scheduler_backend.get_schedule(self._get_param("GroupName"), name)
        schedule.action_after_completion = self._get_param("ActionAfterCompletion") or "NONE"
        return answer

    return call


def _listing(list_schedules: Any) -> Any:
    """The named group has to exist.

    https://docs.aws.amazon.com/scheduler/latest/APIReference/API_ListSchedules.html
    """

    def call(self: EventBridgeSchedulerResponse) -> str:
        for group_name in self.querystring.get("ScheduleGroup") or []:
            self.scheduler_backend.get_schedule_group(group_name)
        return list_schedules(self)

    return call


def _creating_group(create: Any) -> Any:
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateScheduleGroup.html"""

    def call(self: EventBridgeSchedulerBackend, name: str, tags: Any) -> ScheduleGroup:
        if _NAME.fullmatch(name or "") is None:
            raise ValidationException(_constraint("name", name))
        if name in self.schedule_groups:
            raise _GroupExists(name)
        return create(self, name, tags or [])

    return call


class _GroupExists(JsonRESTError):
    code = 409

    def __init__(self, name: str):
        super().__init__("ConflictException", f"Schedule group {name} already exists.")


def _deleting_group(delete: Any) -> Any:
    """Deletes its schedules too. https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html"""

    def call(self: EventBridgeSchedulerBackend, name: str | None) -> None:
        if name == "default":
            raise ValidationException("The default schedule group cannot be deleted.")
        self.get_schedule_group(name)
        delete(self, name)

    return call


def _enabled() -> Iterator[clock.Firing]:
    for regions in list(scheduler_backends.values()):
        for backend in list(regions.values()):
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    if schedule.state == "ENABLED":
                        yield schedule.plan, partial(_fire, backend, schedule)


def _fire(backend: EventBridgeSchedulerBackend, schedule: Schedule, moment: datetime) -> None:
    """Invokes the target once, and deletes a completed schedule if it says so.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html#automatic-deletion
    """
    targets.invoke(schedule, backend, moment)
    now = datetime.now(timezone.utc)
    if schedule.action_after_completion == "DELETE" and schedule.plan.completed(now):
        try:
            backend.delete_schedule(schedule.group_name, schedule.name)
        except (ScheduleNotFound, ScheduleGroupNotFound):
            pass  # Another call deleted it first.


def _moment(given: Any) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, (int, float)):
        return datetime.fromtimestamp(given, timezone.utc)
    return datetime.fromisoformat(str(given).replace("Z", "+00:00"))


def _constraint(name: str, value: Any) -> str:
    return f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint"
