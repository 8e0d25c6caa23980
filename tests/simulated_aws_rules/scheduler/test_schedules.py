"""EventBridge Scheduler: what its API accepts, and what happens when a schedule fires."""

import json
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from running import HUB, REGION, eventually
from world import error_of

TRUST = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
WORKFLOW = f"arn:aws:states:{REGION}:{HUB}:stateMachine:workflow"
OFF = {"Mode": "OFF"}


def at(moment):
    return moment.strftime("at(%Y-%m-%dT%H:%M:%S)")


def now():
    return datetime.now(timezone.utc)


def role(aws, name="scheduler", trust=TRUST, **policies):
    """A role of the hub with these inline policies: its ARN."""
    iam = aws.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    for policy_name, statement in policies.items():
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=document)
    return made


def definition(role_arn, **changes):
    wanted = {
        "Name": "ami-0123456789abcdef0-end",
        "ScheduleExpression": at(now() + timedelta(days=1)),
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": WORKFLOW, "RoleArn": role_arn, "Input": "{}"},
    }
    return wanted | changes


def test_a_schedule_is_made_moved_and_deleted(aws):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html"""
    scheduler, role_arn = aws.client("scheduler"), role(aws)
    scheduler.create_schedule_group(Name="schedules")
    wanted = definition(role_arn, GroupName="schedules", ActionAfterCompletion="DELETE")
    made = scheduler.create_schedule(**wanted)["ScheduleArn"]
    assert made == f"arn:aws:scheduler:{REGION}:{HUB}:schedule/schedules/ami-0123456789abcdef0-end"
    later = at(now() + timedelta(days=2))
    scheduler.update_schedule(**wanted | {"ScheduleExpression": later})
    found = scheduler.get_schedule(GroupName="schedules", Name=wanted["Name"])
    assert (found["ScheduleExpression"], found["ActionAfterCompletion"], found["State"]) == (later, "DELETE", "ENABLED")
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert [one["Name"] for one in scheduler.list_schedules(GroupName="schedules")["Schedules"]] == [wanted["Name"]]
    scheduler.delete_schedule(GroupName="schedules", Name=wanted["Name"])
    gone = error_of(scheduler.get_schedule, GroupName="schedules", Name=wanted["Name"])
    assert gone == "ResourceNotFoundException"


def test_what_an_update_leaves_out_gets_its_default(aws):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html"""
    scheduler, role_arn = aws.client("scheduler"), role(aws)
    scheduler.create_schedule(**definition(role_arn, ActionAfterCompletion="DELETE", State="DISABLED", Description="x"))
    scheduler.update_schedule(**definition(role_arn))
    found = scheduler.get_schedule(Name=definition(role_arn)["Name"])
    assert (found["ActionAfterCompletion"], found["State"], found.get("Description")) == ("NONE", "ENABLED", None)


def test_a_name_is_used_once_and_a_group_has_to_exist(aws):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html#API_CreateSchedule_Errors"""
    scheduler, wanted = aws.client("scheduler"), definition(role(aws))
    scheduler.create_schedule(**wanted)
    assert error_of(scheduler.create_schedule, **wanted) == "ConflictException"
    absent = wanted | {"GroupName": "nowhere"}
    assert error_of(scheduler.create_schedule, **absent) == "ResourceNotFoundException"
    assert error_of(scheduler.update_schedule, **absent) == "ResourceNotFoundException"
    assert error_of(scheduler.list_schedules, GroupName="nowhere") == "ResourceNotFoundException"
    assert error_of(scheduler.delete_schedule, Name="nothing") == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Name": "with space"}, {"Name": "n" * 65}, {"ScheduleExpression": "at(tomorrow)"}, {"State": "ASLEEP"},
        {"ScheduleExpression": "rate(10 seconds)"}, {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"ScheduleExpressionTimezone": "Middle-earth/Shire"},
    ],
)  # fmt: skip
def test_a_malformed_schedule_is_refused(aws, wrong):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (Request Parameters)"""
    assert error_of(aws.client("scheduler").create_schedule, **definition(role(aws), **wrong)) == "ValidationException"


def test_the_role_has_to_exist_and_to_trust_scheduler(aws):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html#setting-up-execution-role"""
    scheduler = aws.client("scheduler")
    absent = definition(f"arn:aws:iam::{HUB}:role/nobody")
    assert error_of(scheduler.create_schedule, **absent) == "ValidationException"
    elsewhere = TRUST | {"Condition": {"StringEquals": {"aws:SourceAccount": "222222222222"}}}
    foreign = definition(role(aws, trust=elsewhere))
    assert error_of(scheduler.create_schedule, **foreign) == "ValidationException"
    of_group = {"ArnLike": {"aws:SourceArn": f"arn:aws:scheduler:{REGION}:{HUB}:schedule-group/default"}}
    scheduler.create_schedule(**definition(role(aws, "confined", TRUST | {"Condition": of_group})))


def test_making_a_schedule_needs_permission_for_it_and_for_passing_its_role(aws):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridgescheduler.html"""
    passed = role(aws)
    into = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": passed, "Condition": into}
    schedules = f"arn:aws:scheduler:{REGION}:{HUB}:schedule/default/*"
    making = {"Effect": "Allow", "Action": "scheduler:CreateSchedule", "Resource": schedules}
    role(aws, "restricted", passing=passing, making=making)
    role(aws, "passer", passing=passing)
    role(aws, "maker", making=making)
    for incomplete in ("passer", "maker"):
        refused = error_of(aws.client("scheduler", role=incomplete).create_schedule, **definition(passed))
        assert refused == "AccessDeniedException"
    restricted = aws.client("scheduler", role="restricted")
    restricted.create_schedule(**definition(passed))
    assert error_of(restricted.delete_schedule, Name=definition(passed)["Name"]) == "AccessDeniedException"


def test_groups_are_made_once_and_take_their_schedules_with_them(aws):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_DeleteScheduleGroup.html"""
    scheduler = aws.client("scheduler")
    scheduler.create_schedule_group(Name="group")
    assert error_of(scheduler.create_schedule_group, Name="group") == "ConflictException"
    scheduler.create_schedule(**definition(role(aws), GroupName="group"))
    scheduler.delete_schedule_group(Name="group")
    assert error_of(scheduler.delete_schedule_group, Name="group") == "ResourceNotFoundException"
    assert error_of(scheduler.delete_schedule_group, Name="default") == "ValidationException"


class OneTimeSchedule:
    """A one-time schedule of the deployed stack, for its workflow."""

    def __init__(self, simulation, moment, target=None, role_arn=None, **changes):
        self.scheduler, self.name = simulation.client("scheduler"), f"schedule-{uuid.uuid4().hex}"
        self.group = simulation.outputs["ScheduleGroup"]
        target = target or {"Arn": simulation.outputs["WorkflowArn"]}
        target = {"RoleArn": role_arn or simulation.outputs["ScheduleRoleArn"], "Input": "{}"} | target
        wanted = {"ActionAfterCompletion": "DELETE", "FlexibleTimeWindow": OFF, "Target": target} | changes
        expression = wanted.pop("ScheduleExpression", None) or at(moment)
        self.scheduler.create_schedule(Name=self.name, GroupName=self.group, ScheduleExpression=expression, **wanted)

    def is_there(self):
        listed = self.scheduler.list_schedules(GroupName=self.group, NamePrefix=self.name)["Schedules"]
        return self.name in [one["Name"] for one in listed]


def started_with(simulation, marker):
    """The input of the workflow's execution that mentions the marker."""
    client = simulation.client("stepfunctions")
    for one in client.list_executions(stateMachineArn=simulation.outputs["WorkflowArn"])["executions"]:
        given = client.describe_execution(executionArn=one["executionArn"])["input"]
        if marker in given:
            return json.loads(given)
    return None


def test_a_one_time_schedule_starts_the_workflow_within_its_minute_and_is_gone(simulation):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-delete.html#automatic-deletion"""
    marker = uuid.uuid4().hex
    wanted = json.dumps({"image_id": marker, "of": "<aws.scheduler.schedule-arn>"})
    schedule = OneTimeSchedule(simulation, now(), {"Arn": simulation.outputs["WorkflowArn"], "Input": wanted})
    given = eventually(lambda: started_with(simulation, marker))
    assert given["of"].endswith(f":schedule/{schedule.group}/{schedule.name}")
    eventually(lambda: not schedule.is_there())


def test_a_one_time_schedule_that_is_not_due_or_not_enabled_starts_nothing(simulation):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-state.html"""
    markers = [uuid.uuid4().hex, uuid.uuid4().hex]
    targets = [{"Arn": simulation.outputs["WorkflowArn"], "Input": json.dumps(marker)} for marker in markers]
    later = OneTimeSchedule(simulation, now() + timedelta(minutes=2), targets[0])
    asleep = OneTimeSchedule(simulation, now(), targets[1], State="DISABLED")
    past = OneTimeSchedule(simulation, now() - timedelta(hours=1))
    eventually(lambda: not past.is_there())
    assert later.is_there() and asleep.is_there()
    assert not any(started_with(simulation, marker) for marker in markers)


def test_without_deletion_the_schedule_stays_and_fires_no_second_time(simulation):
    """https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (ActionAfterCompletion)"""
    marker = uuid.uuid4().hex
    target = {"Arn": simulation.outputs["WorkflowArn"], "Input": json.dumps({"marker": marker})}
    kept = OneTimeSchedule(simulation, now(), target, ActionAfterCompletion="NONE")
    eventually(lambda: started_with(simulation, marker))
    assert kept.is_there()


def test_a_target_that_the_role_may_not_start_goes_to_the_dead_letter_queue(simulation):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html"""
    queue = simulation.queue(allowed_service=None)
    sending = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}
    role_arn = role(simulation, f"role-{uuid.uuid4().hex}", sending=sending)
    target = {"Arn": simulation.outputs["WorkflowArn"], "Input": '"lost"', "DeadLetterConfig": {"Arn": queue.arn}}
    OneTimeSchedule(simulation, now(), target, role_arn)
    message = queue.message()
    assert message["Body"] == '"lost"'
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "AccessDeniedException"
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == simulation.outputs["WorkflowArn"]


def test_a_function_is_invoked_too(simulation):
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html"""
    marker = simulation.folder / uuid.uuid4().hex
    function = simulation.client("lambda").get_function(FunctionName="worker")["Configuration"]["FunctionArn"]
    invoking = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}
    role_arn = role(simulation, f"role-{uuid.uuid4().hex}", invoking=invoking)
    wanted = {"detail": {"do": "fail_at_first", "times": 0, "marker": str(marker)}}
    OneTimeSchedule(simulation, now(), {"Arn": function, "Input": json.dumps(wanted)}, role_arn)
    eventually(marker.exists)


def test_recurring_schedules_of_the_stack_and_of_rules_fire_at_the_given_pace(simulation):
    """A rule of this program, not of AWS: the simulation is started with `--review-every 1s`.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html"""
    client, review = simulation.client("stepfunctions"), simulation.outputs["ReviewArn"]

    def inputs():
        listed = client.list_executions(stateMachineArn=review)["executions"]
        given = [client.describe_execution(executionArn=one["executionArn"])["input"] for one in listed]
        return [json.loads(one).get("by") for one in given]

    eventually(lambda: {"scheduler", "rule"} <= set(inputs()))


def test_a_scheduled_rule_sends_a_scheduled_event(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html"""
    queue, events, name = simulation.queue(), simulation.client("events"), f"rule-{uuid.uuid4().hex}"
    arn = events.put_rule(Name=name, ScheduleExpression="rate(1 day)")["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    event = queue.next()
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    assert (event["resources"], event["detail"]) == ([arn], {})
    events.disable_rule(Name=name)
