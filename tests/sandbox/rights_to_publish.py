"""Checks of IAM: whether the conditions on the events that a role puts, and on the log groups that it writes, hold."""

import time
from typing import Any

from sandbox.answers import ACCEPTED, DENIED, is_denied_explicitly, response_code
from sandbox.caller import OWN_LOGS, RIGHTS_WITHIN_SECONDS, caller, shown, wait_until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds_if
from sandbox.fixture import Fixture

# What CloudWatch Logs answers to an authorized caller about a group that exists already or does not exist at all.
_MAY = {ACCEPTED, "ResourceAlreadyExistsException", "ResourceNotFoundException"}


@check("put-events-conditions", "A right to PutEvents with conditions on `events:source` and `events:detail-type` allows several entries that all have them, and none where one of them has others.")
def conditions_of_put_events(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html (shows no call with several entries)"""
    events, bus = caller(fixture).client("events"), fixture.bus
    own = {"EventBusName": bus, "Source": "ami-share", "DetailType": "AMI Check", "Detail": "{}"}

    def puts(**other: str) -> str:
        """The call may be denied, or the entry."""
        answered: dict[str, Any] = {}
        code = response_code(lambda **given: answered.update(events.put_events(**given)), Entries=[own, own | other])
        refused = [entry["ErrorCode"] for entry in answered.get("Entries", []) if "ErrorCode" in entry]
        return refused[0] if refused else code

    wait_until(lambda: puts() == ACCEPTED, fixture.within(RIGHTS_WITHIN_SECONDS))
    alike = puts(DetailType="AMI Other")
    others = {"another source": puts(Source="ami-share-check"), "another detail-type": puts(DetailType="Check")}
    seen = shown({"all alike": alike} | others)
    if not {alike, *others.values()} <= DENIED | {ACCEPTED}:
        raise NotChecked(f"EventBridge answers neither yes nor no: {seen}")
    return holds_if(alike == ACCEPTED and ACCEPTED not in others.values(), seen)


@check("log-denial", "A denial of CreateLogGroup, CreateLogStream and PutLogEvents whose `NotResource` is `log-group:NAME:*` spares the log group of that name, and no other.")
def denial_of_other_logs(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html"""
    logs, own, other = caller(fixture).client("logs"), fixture.log_group(OWN_LOGS), fixture.log_group("other")

    def codes(group: str) -> dict[str, str]:
        """The groups exist already: CloudWatch Logs says so to callers that may make one."""
        line = {"timestamp": int(time.time() * 1000), "message": "a check of ami-share"}
        return {
            "CreateLogGroup": response_code(logs.create_log_group, logGroupName=group),
            "CreateLogStream": response_code(logs.create_log_stream, logGroupName=group, logStreamName="check"),
            "PutLogEvents": response_code(logs.put_log_events, logGroupName=group, logStreamName="check", logEvents=[line]),
        }

    wait_until(lambda: set(codes(own).values()) <= _MAY, fixture.within(RIGHTS_WITHIN_SECONDS))
    in_own, in_other = codes(own), codes(other)
    seen = f"in its own: {shown(in_own)}; in another: {shown(in_other)}"
    if not {*in_own.values(), *in_other.values()} <= DENIED | _MAY:
        raise NotChecked(f"CloudWatch Logs answers neither yes nor no: {seen}")
    if set(in_other.values()) & _MAY:
        return contradicted(seen)
    is_spared = set(in_own.values()) <= _MAY
    if not is_spared and not is_denied_explicitly(logs.create_log_stream, logGroupName=own, logStreamName="other"):
        raise NotChecked(f"the role may not write the log at all: {seen}")
    return holds_if(is_spared, seen)
