"""CloudTrail's events of AWS Organizations, and the calls with which accounts join and leave."""

import uuid

import pytest
from botocore.exceptions import ClientError
from running import HUB, REGION
from world import error_of


def queue_of(simulation, *names, account_id=HUB):
    """A queue of the events with these names."""
    queue = simulation.queue(account_id)
    pattern = {"source": ["aws.organizations"], "detail": {"eventName": list(names)}}
    simulation.rule(pattern, {"Arn": queue.arn}, account_id=account_id)
    return queue


def by_name(queue, number):
    """The next events by their names: a queue keeps no order."""
    events = [queue.next() for _ in range(number)]
    return {event["detail"]["eventName"]: event for event in events}


def member(simulation):
    """A new account in the hub's organization: its id."""
    simulation.organization()
    made = simulation.client("organizations").create_account(AccountName="member", Email="member@example.com")
    return made["CreateAccountStatus"]["AccountId"]


def test_a_new_account_has_an_event_of_the_call_and_service_events(simulation):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html
    https://docs.aws.amazon.com/organizations/latest/APIReference/API_CreateAccount.html"""
    queue = queue_of(simulation, "CreateAccount", "CreateAccountResult", "AccountJoinedOrganization")
    account = member(simulation)
    events = by_name(queue, 3)
    call, result, joined = events["CreateAccount"], events["CreateAccountResult"], events["AccountJoinedOrganization"]
    assert (call["detail-type"], call["region"], call["account"]) == ("AWS API Call via CloudTrail", REGION, HUB)
    assert call["detail"]["requestParameters"] == {"accountName": "****", "email": "****"}
    assert result["detail-type"] == joined["detail-type"] == "AWS Service Event via CloudTrail"
    status = result["detail"]["serviceEventDetails"]["createAccountStatus"]
    assert (status["accountId"], status["state"], status["accountName"]) == (account, "SUCCEEDED", "****")
    assert (result["detail"]["eventType"], result["detail"]["requestParameters"]) == ("AwsServiceEvent", None)
    assert joined["detail"]["serviceEventDetails"]["joinedMethod"] == "Created"


def test_events_of_moving_tagging_and_closing_an_account_are_in_one_region(simulation):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html"""
    account = member(simulation)
    # Wherever the caller is, the events are in us-east-1.
    organizations = simulation.client("organizations", region="eu-west-1")
    root = organizations.list_roots()["Roots"][0]["Id"]
    ou = organizations.create_organizational_unit(ParentId=root, Name=uuid.uuid4().hex)["OrganizationalUnit"]["Id"]
    queue = queue_of(simulation, "MoveAccount", "TagResource", "UntagResource", "CloseAccount", "CloseAccountResult")

    organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ou)
    organizations.tag_resource(ResourceId=account, Tags=[{"Key": "team", "Value": "one"}])
    organizations.untag_resource(ResourceId=account, TagKeys=["team"])
    organizations.close_account(AccountId=account)

    events = by_name(queue, 5)
    moved, tagged, untagged = (events[name] for name in ("MoveAccount", "TagResource", "UntagResource"))
    closed, result = events["CloseAccount"], events["CloseAccountResult"]
    assert {moved["region"], moved["detail"]["awsRegion"]} == {REGION}
    assert moved["detail"]["eventSource"] == "organizations.amazonaws.com"
    assert moved["detail"]["responseElements"] is None
    assert moved["detail"]["requestParameters"] == {
        "accountId": account, "sourceParentId": root, "destinationParentId": ou,
    }  # fmt: skip
    assert tagged["detail"]["requestParameters"] == {"resourceId": account, "tags": [{"key": "team", "value": "one"}]}
    assert untagged["detail"]["requestParameters"] == {"resourceId": account, "tagKeys": ["team"]}
    assert closed["detail"]["requestParameters"] == {"accountId": account}
    assert result["detail"]["serviceEventDetails"]["closeAccountStatus"]["accountId"] == account


def test_the_event_of_a_failed_call_has_its_error_and_no_service_event_follows(simulation):
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"""
    simulation.organization()
    queue = queue_of(simulation, "CloseAccount", "CloseAccountResult")
    with pytest.raises(ClientError):
        simulation.client("organizations").close_account(AccountId="000000000000")
    assert queue.next()["detail"]["errorCode"] == "AccountNotFoundException"
    assert queue.stays_empty()


def test_an_account_that_is_removed_has_departed(simulation):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_RemoveAccountFromOrganization.html"""
    account = member(simulation)
    queue = queue_of(simulation, "RemoveAccountFromOrganization", "AccountDepartedOrganization")
    simulation.client("organizations").remove_account_from_organization(AccountId=account)
    events = by_name(queue, 2)
    call, departed = events["RemoveAccountFromOrganization"], events["AccountDepartedOrganization"]
    assert call["detail"]["requestParameters"] == {"accountId": account}
    assert departed["detail"]["serviceEventDetails"]["departureMethod"] == "REMOVED"
    assert departed["detail"]["serviceEventDetails"]["accountId"] == account


def test_an_account_that_accepts_an_invitation_is_a_member_until_it_leaves(simulation):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_AcceptHandshake.html
    https://docs.aws.amazon.com/organizations/latest/APIReference/API_LeaveOrganization.html"""
    account, hub = "888888888888", simulation.client("organizations")
    simulation.organization()
    calls, consequences = ("AcceptHandshake", "LeaveOrganization"), ("AccountJoinedOrganization", "AccountDepartedOrganization")
    queue, own = queue_of(simulation, *calls, *consequences), queue_of(simulation, *calls, account_id=account)
    invited = simulation.client("organizations", account)
    assert error_of(invited.leave_organization) == "AWSOrganizationsNotInUseException"

    handshake = hub.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": account})["Handshake"]["Id"]
    assert [one["State"] for one in invited.list_handshakes_for_account()["Handshakes"]] == ["OPEN"]
    assert account not in accounts_of(hub)
    assert invited.accept_handshake(HandshakeId=handshake)["Handshake"]["State"] == "ACCEPTED"
    assert hub.describe_account(AccountId=account)["Account"]["JoinedMethod"] == "INVITED"
    invited.leave_organization()
    assert account not in accounts_of(hub)

    # The management account gets the service events; the events of the calls are in the account of the caller.
    events = by_name(queue, 2)
    joined, departed = events["AccountJoinedOrganization"], events["AccountDepartedOrganization"]
    assert joined["detail"]["serviceEventDetails"]["joinedMethod"] == "INVITED"
    assert departed["detail"]["serviceEventDetails"]["departureMethod"] == "LEFT"
    assert queue.stays_empty()
    assert set(by_name(own, 2)) == set(calls)


def test_an_invitation_needs_an_account_without_an_organization_and_is_accepted_once(simulation):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_InviteAccountToOrganization.html"""
    hub, account = simulation.client("organizations"), member(simulation)
    again = error_of(hub.invite_account_to_organization, Target={"Type": "ACCOUNT", "Id": account})
    assert again == "HandshakeConstraintViolationException"
    external_account = simulation.client("organizations", "777777777777")
    assert error_of(external_account.accept_handshake, HandshakeId="h-0123456789abcdef") == "HandshakeNotFoundException"
    assert error_of(hub.leave_organization) == "MasterCannotLeaveOrganizationException"


def accounts_of(organizations):
    pages = organizations.get_paginator("list_accounts").paginate()
    return [one["Id"] for page in pages for one in page["Accounts"]]
