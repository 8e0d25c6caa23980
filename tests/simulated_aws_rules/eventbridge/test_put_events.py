"""PutEvents, within and between accounts."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from running import EXTERNAL_ACCOUNT, HUB, REGION, TARGET_ACCOUNT, unique


def bus_of(simulation, account_id, **permission):
    """A new bus that allows no other account, or the one in `permission`; returns its name and ARN."""
    events, name = simulation.client("events", account_id), f"bus-{uuid.uuid4().hex}"
    arn = events.create_event_bus(Name=name)["EventBusArn"]
    if permission:
        events.put_permission(EventBusName=name, Action="events:PutEvents", StatementId="test", **permission)
    return name, arn


def test_an_event_reaches_another_account_that_allows_the_sender_and_keeps_the_senders_account(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html"""
    source, queue = unique("test"), simulation.queue(TARGET_ACCOUNT)
    name, arn = bus_of(simulation, TARGET_ACCOUNT, Principal=HUB)
    simulation.rule({"source": [source]}, {"Arn": queue.arn}, bus=name, account_id=TARGET_ACCOUNT)

    answer = simulation.put_event(source, {"a": 1}, EventBusName=arn, Resources=["arn:aws:ec2:us-east-1::image/ami-1"])

    event = queue.next()
    assert event["id"] == answer["EventId"]
    assert event["account"] == HUB
    assert event["region"] == REGION
    assert event["resources"] == ["arn:aws:ec2:us-east-1::image/ami-1"]
    assert event["detail"] == {"a": 1}
    assert event["detail-type"] == "Test"
    assert event["version"] == "0"


def test_an_account_that_is_not_allowed_is_refused_and_the_other_entries_go_ahead(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html"""
    source, queue = unique("test"), simulation.queue()
    _, arn = bus_of(simulation, TARGET_ACCOUNT)
    simulation.rule({"source": [source]}, {"Arn": queue.arn})
    entry = {"Source": source, "DetailType": "Test", "Detail": "{}"}

    answer = simulation.client("events").put_events(Entries=[{**entry, "EventBusName": arn}, entry])

    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "AccessDeniedException"
    assert "EventId" not in answer["Entries"][0]
    assert queue.next()["id"] == answer["Entries"][1]["EventId"]


def test_a_bus_that_another_account_does_not_have_is_refused_like_one_that_allows_no_account(simulation):
    """An assumption: AWS documents the code, not the case.
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html"""
    answer = simulation.put_event("test", {}, EventBusName=f"arn:aws:events:{REGION}:{TARGET_ACCOUNT}:event-bus/nowhere")
    assert answer["ErrorCode"] == "AccessDeniedException"


def test_a_bus_that_the_senders_own_account_does_not_have_swallows_the_event(simulation):
    """Users of AWS observed this: https://github.com/aws/aws-sdk/issues/186"""
    assert "EventId" in simulation.put_event("test", {}, EventBusName="nowhere")


def test_a_bus_may_allow_a_whole_organization(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html"""
    organizations = simulation.client("organizations")
    organization = simulation.organization()["Id"]
    status = organizations.create_account(AccountName="member", Email="m@example.com")["CreateAccountStatus"]
    condition = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": organization}
    _, arn = bus_of(simulation, status["AccountId"], Principal="*", Condition=condition)

    assert "EventId" in simulation.put_event("test", {}, EventBusName=arn)
    refused = simulation.put_event("test", {}, account_id=EXTERNAL_ACCOUNT, EventBusName=arn)
    assert refused["ErrorCode"] == "AccessDeniedException"


def test_a_bus_may_allow_events_of_one_source_only(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    name, arn = bus_of(simulation, TARGET_ACCOUNT)
    statement = {
        "Sid": "OneSource",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"},
        "Action": "events:PutEvents",
        "Resource": arn,
        "Condition": {"StringEquals": {"events:source": "wanted"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    simulation.client("events", TARGET_ACCOUNT).put_permission(EventBusName=name, Policy=policy)

    assert "EventId" in simulation.put_event("wanted", {}, EventBusName=arn)
    assert simulation.put_event("other", {}, EventBusName=arn)["ErrorCode"] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"Source": ""}, "InvalidArgument"),
        ({"DetailType": ""}, "InvalidArgument"),
        ({"Detail": "no json"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Source": "aws.ec2"}, "NotAuthorizedForSourceException"),
    ],
)
def test_a_malformed_entry_is_refused_alone(simulation, entry, code):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html"""
    good = {"Source": "test", "DetailType": "Test", "Detail": json.dumps({})}
    answer = simulation.client("events").put_events(Entries=[{**good, **entry}, good])
    assert (answer["FailedEntryCount"], answer["Entries"][0]["ErrorCode"]) == (1, code)
    assert "EventId" in answer["Entries"][1]


def test_more_than_ten_entries_fail_as_a_whole(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html#API_PutEvents_RequestSyntax"""
    entry = {"Source": "test", "DetailType": "Test", "Detail": "{}"}
    with pytest.raises(ClientError, match="ValidationException"):
        simulation.client("events").put_events(Entries=[entry] * 11)
