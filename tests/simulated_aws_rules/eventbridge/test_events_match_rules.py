"""The examples in `events/` and the rules of template.yaml: each event matches the intended rules and no others.

The patterns are those of the expanded template. `simulated_aws.eventbridge.event_pattern` matches them as in the whole flows.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
"""

import json
import re
from pathlib import Path

import pytest
from simulated_aws.cloudformation import template
from simulated_aws.eventbridge import event_pattern

ROOT = Path(__file__).parents[3]

# The values of the template's pseudo parameters in the examples.
PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "111122223333",
    "AWS::StackName": "ami-share",
}

# The rules that match each event, by the end of their logical ids.
LET_THROUGH = {
    "ami-state-change-available.json": ["ImageStateChanged"],
    "ami-state-change-deregistered.json": ["ImageStateChanged"],
    "ami-state-change-disabled.json": ["ImageStateChanged"],
    "tag-change-image.json": ["ImageTagged"],
    "tag-change-status-only.json": [],
    "cloudtrail-create-image.json": ["ImageMade"],
    "cloudtrail-copy-image.json": ["ImageMade"],
    "cloudtrail-register-image.json": ["ImageMade"],
    "cloudtrail-modify-image-attribute.json": ["ImagePermissionsChanged"],
    "cloudtrail-modify-snapshot-attribute.json": ["SnapshotPermissionsChanged"],
    "cloudtrail-put-key-policy.json": ["KeyPolicyChanged"],
    "cloudtrail-move-account.json": ["OrganizationChanged"],
    "cloudtrail-account-joined.json": ["OrganizationChanged"],
    "step-functions-execution-failed.json": ["WorkflowFailed"],
    "step-functions-review-failed.json": ["ReviewFailed"],
}


def event(name):
    return json.loads((ROOT / "events" / name).read_text())


def substituted(value):
    """The value with its `!Sub` filled in, as CloudFormation does it."""
    if isinstance(value, dict):
        if list(value) == ["Fn::Sub"]:
            return re.sub(r"\$\{([^}]+)\}", lambda name: PSEUDO_PARAMETERS[name[1]], value["Fn::Sub"])
        return {name: substituted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [substituted(item) for item in value]
    return value


@pytest.fixture(scope="module")
def patterns():
    """The event pattern of every rule, by the rule's logical id."""
    resources = template.expand(ROOT / "template.yaml", {})["Resources"]
    return {
        logical_id: substituted(resource["Properties"]["EventPattern"])
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Events::Rule" and "EventPattern" in resource["Properties"]
    }


def matching(patterns, example):
    return sorted(logical_id for logical_id, pattern in patterns.items() if event_pattern.matches(pattern, example))


@pytest.mark.parametrize(("name", "ends"), LET_THROUGH.items())
def test_an_event_passes_the_rules_that_are_meant_for_it(patterns, name, ends):
    matched = matching(patterns, event(name))
    assert len(matched) == len(ends), matched
    assert all(logical_id.endswith(end) for logical_id, end in zip(matched, ends, strict=True)), matched


def test_every_event_of_aws_is_tried():
    from_aws = {file.name for file in (ROOT / "events").glob("*.json") if "detail-type" in event(file.name)}
    assert from_aws == set(LET_THROUGH)


def test_every_rule_has_an_example(patterns):
    matched = {logical_id for name in LET_THROUGH for logical_id in matching(patterns, event(name))}
    assert matched == set(patterns)


def test_a_refused_share_is_not_reported_as_a_failed_execution(patterns):
    refused = event("step-functions-execution-failed.json")
    refused["detail"] |= {"error": "ShareRefused", "cause": "refused: 999999999999 is not in this organization"}
    assert matching(patterns, refused) == []


@pytest.mark.parametrize("status", ["TIMED_OUT", "ABORTED"])
def test_an_execution_that_timed_out_or_was_aborted_is_reported(patterns, status):
    """Such an execution has no error and no cause.

    https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html
    """
    ended = event("step-functions-execution-failed.json")
    ended["detail"] |= {"status": status, "error": None, "cause": None}
    assert len(matching(patterns, ended)) == 1


def test_a_call_that_failed_and_another_workflow_match_nothing(patterns):
    failed_call = event("cloudtrail-create-image.json")
    failed_call["detail"] |= {"errorCode": "Client.UnauthorizedOperation", "responseElements": None}
    assert matching(patterns, failed_call) == []
    other = event("step-functions-execution-failed.json")
    other["detail"]["stateMachineArn"] = "arn:aws:states:eu-west-1:111122223333:stateMachine:another"
    assert matching(patterns, other) == []
