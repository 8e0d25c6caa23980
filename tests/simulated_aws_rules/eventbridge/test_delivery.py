"""EventBridge's delivery from rules to targets."""

import json
import uuid

import pytest
from running import EXTERNAL_ACCOUNT, HUB, REGION, TARGET_ACCOUNT, eventually, unique

TARGET_ROLE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def executions(simulation):
    workflow = simulation.outputs["WorkflowArn"]
    return simulation.client("stepfunctions").list_executions(stateMachineArn=workflow)["executions"]


def test_a_state_machine_is_started_with_the_event_as_its_input(simulation):
    """https://docs.aws.amazon.com/step-functions/latest/dg/tutorial-cloudwatch-events-s3.html"""
    event_id = simulation.put_event("test.workflow", {"marker": "started"})["EventId"]
    execution = eventually(lambda: next((e for e in executions(simulation) if e["name"].startswith(event_id)), None))
    attributes = simulation.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    assert json.loads(attributes["input"])["detail"] == {"marker": "started"}


def test_a_function_is_invoked_with_the_event(simulation):
    """https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html"""
    marker = simulation.folder / uuid.uuid4().hex
    simulation.put_event("test.function", {"do": "fail_at_first", "times": 0, "error": "X", "marker": str(marker)})
    eventually(marker.exists)


def test_a_disabled_rule_and_a_rule_of_another_bus_deliver_nothing(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DisableRule.html"""
    source, queue = unique("test"), simulation.queue()
    simulation.rule({"source": [source]}, {"Arn": queue.arn}, state="DISABLED")
    simulation.rule({"source": [source]}, {"Arn": queue.arn}, bus=simulation.outputs["BusName"])
    simulation.put_event(source, {})
    assert queue.stays_empty()


def test_a_schedule_does_not_receive_events(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html"""
    queue, events, name = simulation.queue(), simulation.client("events"), f"schedule-{uuid.uuid4().hex}"
    events.put_rule(Name=name, ScheduleExpression="rate(1 day)")
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    simulation.put_event("test", {})
    assert queue.stays_empty()


@pytest.mark.parametrize(
    ("transformation", "body"),
    [
        ({"Input": '{"fixed": true}'}, {"fixed": True}),
        ({"InputPath": "$.detail"}, {"id": "ami-1", "size": 8}),
        ({"InputPath": "$.detail-type"}, "Test"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"id": "$.detail.id", "size": "$.detail.size", "none": "$.detail.none"},
                    "InputTemplate": '{"image": <id>, "text": "<id> has <size> GiB<none>", "size": <size>}',
                }
            },
            {"image": "ami-1", "text": "ami-1 has 8 GiB", "size": 8},
        ),
        (
            {"InputTransformer": {"InputPathsMap": {"d": "$.detail"}, "InputTemplate": '{"whole": <d>}'}},
            {"whole": {"id": "ami-1", "size": 8}},
        ),
    ],
)
def test_a_target_receives_what_its_input_makes_of_the_event(simulation, transformation, body):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html"""
    source, queue = unique("test"), simulation.queue()
    simulation.rule({"source": [source]}, {"Arn": queue.arn, **transformation})
    simulation.put_event(source, {"id": "ami-1", "size": 8})
    assert queue.next() == body


def test_a_fifo_queue_receives_the_event_in_the_targets_message_group(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_SqsParameters.html"""
    source = unique("test")
    queue = simulation.queue(FifoQueue="true", ContentBasedDeduplication="true")
    simulation.rule({"source": [source]}, {"Arn": queue.arn, "SqsParameters": {"MessageGroupId": "images"}})
    simulation.put_event(source, {})
    assert queue.message()["Attributes"]["MessageGroupId"] == "images"


def test_a_topic_receives_the_event_if_its_policy_allows_eventbridge(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions"""
    source, queue, sns = unique("test"), simulation.queue(allowed_service="sns.amazonaws.com"), simulation.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    simulation.rule({"source": [source]}, {"Arn": topic})
    simulation.put_event(source, {"attempt": 1})
    assert queue.stays_empty()

    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic,
    }
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [statement]})
    )
    simulation.put_event(source, {"attempt": 2})
    assert json.loads(queue.next()["Message"])["detail"] == {"attempt": 2}


def test_a_log_group_receives_the_event(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-cloudwatchlogs-permissions"""
    source, logs, group = unique("test"), simulation.client("logs"), f"/aws/events/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=group)
    simulation.rule({"source": [source]}, {"Arn": f"arn:aws:logs:{REGION}:{HUB}:log-group:{group}"})
    simulation.put_event(source, {"a": 1})
    message = eventually(lambda: logs.filter_log_events(logGroupName=group)["events"])[0]["message"]
    assert json.loads(message)["detail"] == {"a": 1}


def test_a_bus_in_another_account_receives_the_event_with_its_first_account_and_no_third_account_does(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html"""
    source, queue, last = unique("test"), simulation.queue(TARGET_ACCOUNT), simulation.queue(EXTERNAL_ACCOUNT)
    arns = {}
    for account_id, allowed in ((TARGET_ACCOUNT, HUB), (EXTERNAL_ACCOUNT, TARGET_ACCOUNT)):
        events, name = simulation.client("events", account_id), f"bus-{uuid.uuid4().hex}"
        arns[account_id] = events.create_event_bus(Name=name)["EventBusArn"]
        events.put_permission(EventBusName=name, Action="events:PutEvents", StatementId="from", Principal=allowed)
    name = arns[TARGET_ACCOUNT].rsplit("/", 1)[-1]
    simulation.rule({"source": [source]}, {"Arn": arns[TARGET_ACCOUNT]})
    simulation.rule({"source": [source]}, {"Arn": queue.arn}, {"Arn": arns[EXTERNAL_ACCOUNT]}, bus=name, account_id=TARGET_ACCOUNT)
    simulation.rule(
        {"source": [source]}, {"Arn": last.arn}, bus=arns[EXTERNAL_ACCOUNT].rsplit("/", 1)[-1], account_id=EXTERNAL_ACCOUNT
    )

    simulation.put_event(source, {})

    assert queue.next()["account"] == HUB
    assert last.stays_empty()


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"Arn": f"arn:aws:sqs:{REGION}:{HUB}:nowhere"}, "NO_RESOURCE"),
        ({"Arn": f"arn:aws:lambda:{REGION}:{HUB}:function:nowhere"}, "NO_RESOURCE"),
        ({"Arn": f"arn:aws:lambda:{REGION}:{HUB}:function:worker"}, "NO_PERMISSIONS"),
        ({"Arn": f"arn:aws:states:{REGION}:{HUB}:stateMachine:ami-share-workflow"}, "NO_PERMISSIONS"),
        (
            {
                "Arn": f"arn:aws:states:{REGION}:{HUB}:stateMachine:ami-share-workflow",
                "RoleArn": f"arn:aws:iam::{HUB}:role/nobody",
            },
            "FAILED_TO_ASSUME_ROLE",
        ),
        ({"Arn": f"arn:aws:events:{REGION}:{TARGET_ACCOUNT}:event-bus/default"}, "NO_PERMISSIONS"),
    ],
)
def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue_with_the_reason(simulation, target, code):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    source, letters = unique("test"), simulation.queue()
    name = simulation.rule({"source": [source]}, {**target, "DeadLetterConfig": {"Arn": letters.arn}})
    simulation.put_event(source, {"a": 1})
    message = letters.message()
    attributes = {name: attribute["StringValue"] for name, attribute in message["MessageAttributes"].items()}
    assert attributes["ERROR_CODE"] == code
    assert attributes["RULE_ARN"].endswith(f"rule/{name}")
    assert attributes["TARGET_ARN"] == target["Arn"]
    assert attributes["RETRY_ATTEMPTS"] == "0"
    assert json.loads(message["Body"])["detail"] == {"a": 1}


def test_a_state_machine_that_is_gone_sends_the_event_to_the_dead_letter_queue(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
    source, letters, iam = unique("test"), simulation.queue(), simulation.client("iam")
    role, arn = uuid.uuid4().hex, f"arn:aws:states:{REGION}:{HUB}:stateMachine:gone"
    target = {"Arn": arn, "RoleArn": iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TARGET_ROLE))["Role"]["Arn"]}
    starts = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "states:StartExecution", "Resource": arn}]}
    iam.put_role_policy(RoleName=role, PolicyName="start", PolicyDocument=json.dumps(starts))
    simulation.rule({"source": [source]}, {**target, "DeadLetterConfig": {"Arn": letters.arn}})
    simulation.put_event(source, {})
    assert letters.message()["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_a_queue_that_does_not_allow_the_rule_receives_nothing(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions"""
    source, queue = unique("test"), simulation.queue(allowed_service=None)
    simulation.rule({"source": [source]}, {"Arn": queue.arn})
    simulation.put_event(source, {})
    assert queue.stays_empty()


def test_a_rule_starts_a_state_machine_only_with_a_role_that_allows_it(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html"""
    source, letters, iam = unique("test"), simulation.queue(), simulation.client("iam")
    role = iam.create_role(RoleName=uuid.uuid4().hex, AssumeRolePolicyDocument=json.dumps(TARGET_ROLE))["Role"]["Arn"]
    target = {"Arn": simulation.outputs["WorkflowArn"], "RoleArn": role, "DeadLetterConfig": {"Arn": letters.arn}}
    simulation.rule({"source": [source]}, target)
    simulation.put_event(source, {})
    assert letters.message()["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
