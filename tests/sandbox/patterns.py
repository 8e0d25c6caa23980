"""Checks of event patterns: which events they let through. TestEventPattern tests each on an event that we write ourselves."""

import json
from typing import Any

from sandbox.answers import ACCEPTED, answer
from sandbox.findings import Finding, NotChecked, check, holds_if
from sandbox.fixture import Fixture

# The failed executions of the share workflow that have not reported their failure, as in template.yaml:
# `tests/simulated_aws_rules/sandbox_checks/test_assumptions.py` compares.
FAILURES = [
    {"status": ["TIMED_OUT", "ABORTED"]},
    {"status": ["FAILED"], "error": [{"anything-but": "ShareRefused"}, {"exists": False}]},
]


@check("pattern-without-issuer", "A pattern that lists `anything-but` and `exists: false` for one field lets through an event without that field, and with another value, and not one with that value.")
def pattern_without_issuer(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""
    own = f"arn:aws:iam::{fixture.account.id}:role/own"
    issuer = [{"anything-but": [own]}, {"exists": False}]
    pattern = {"source": ["aws.ec2"], "detail": {"userIdentity": {"sessionContext": {"sessionIssuer": {"arn": issuer}}}}}
    identities = {
        "by a user": {"type": "IAMUser"},
        "by another role": {"sessionContext": {"sessionIssuer": {"arn": f"{own}-not"}}},
        "by our own role": {"sessionContext": {"sessionIssuer": {"arn": own}}},
    }
    event = {"source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail"}
    seen = {who: _passes(fixture, pattern, event | {"detail": {"userIdentity": identity}}) for who, identity in identities.items()}
    return _holds_if_held_back(seen, {"by our own role"})


@check("pattern-of-failures", "A pattern with `$or` lets through what one of its branches lets through, where a branch lists `anything-but` and `exists: false` for one field.")
def pattern_of_failures(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""
    machine, kind = fixture.account.arn("states", "stateMachine:share"), "Step Functions Execution Status Change"
    detail_pattern = {"stateMachineArn": [machine], "$or": FAILURES}
    pattern = {"source": ["aws.states"], "detail-type": [kind], "detail": detail_pattern}
    details: dict[str, dict[str, Any]] = {
        "failed": {"status": "FAILED", "error": "AwsFailed"},
        "failed without an error": {"status": "FAILED"},
        "failed with null": {"status": "FAILED", "error": None},
        "timed out": {"status": "TIMED_OUT"},
        "aborted": {"status": "ABORTED", "error": None},
        "refused": {"status": "FAILED", "error": "ShareRefused"},
        "running": {"status": "RUNNING", "error": None},
        "of another workflow": {"status": "ABORTED", "stateMachineArn": f"{machine}-not"},
    }
    event = {"source": "aws.states", "detail-type": kind}
    seen = {
        what: _passes(fixture, pattern, event | {"detail": {"stateMachineArn": machine} | detail}) for what, detail in details.items()
    }
    return _holds_if_held_back(seen, {"refused", "running", "of another workflow"})


def _holds_if_held_back(seen: dict[str, bool], expected: set[str]) -> Finding:
    """Whether exactly the expected events are held back."""
    shown = ", ".join(f"{what}: {'let through' if passes else 'held back'}" for what, passes in seen.items())
    return holds_if({what for what, passes in seen.items() if not passes} == expected, shown)


def _passes(fixture: Fixture, pattern: dict[str, Any], fields: dict[str, Any]) -> bool:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html"""
    event = {
        "id": "1", "version": "0", "account": fixture.account.id, "time": "2026-11-22T13:37:05Z",
        "region": fixture.account.region, "resources": [], **fields,
    }  # fmt: skip
    answered: dict[str, Any] = {}
    ask = fixture.account.client("events").test_event_pattern
    given = {"EventPattern": json.dumps(pattern), "Event": json.dumps(event)}
    code = answer(lambda **given: answered.update(ask(**given)), **given)
    if code != ACCEPTED or "Result" not in answered:
        raise NotChecked(f"the pattern cannot be tested ({code})")
    return bool(answered["Result"])
