"""EventBridge's event patterns: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""

import json

import pytest
from botocore.exceptions import ClientError
from simulated_aws.eventbridge.event_pattern import matches

TAGGED = {
    "source": "aws.tag",
    "detail": {"changed-tag-keys": ["Name", "ami-share:with"], "version": 3, "error": None, "nested": [{"id": 1}, {"id": 2}]},
}


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.tag"]},
        {"source": ["aws.ec2", "aws.tag"]},
        {"source": [{"prefix": "aws."}]},
        {"source": [{"prefix": {"equals-ignore-case": "AWS."}}]},
        {"source": [{"suffix": ".tag"}]},
        {"source": [{"wildcard": "aws.*"}]},
        {"source": [{"wildcard": "a*s.t*g"}]},
        {"source": [{"equals-ignore-case": "AWS.TAG"}]},
        {"source": [{"anything-but": "aws.ec2"}]},
        {"source": [{"anything-but": ["aws.ec2", "aws.kms"]}]},
        {"source": [{"anything-but": {"prefix": "com."}}]},
        {"source": [{"anything-but": {"suffix": [".ec2", ".kms"]}}]},
        {"source": [{"anything-but": {"wildcard": "*.ec2*"}}]},
        {"source": [{"anything-but": {"wildcard": ["*/ec2", "kms*"]}}]},
        {"source": [{"anything-but": {"equals-ignore-case": ["aws.ec2", "aws.kms"]}}]},
        {"detail": {"missing": [{"anything-but": ["x"]}, {"exists": False}]}},
        {"detail": {"$or": [{"missing": [{"exists": False}]}, {"version": [4]}]}},
        {"detail": {"changed-tag-keys": [{"prefix": "ami-share:with"}]}},
        {"detail": {"version": [{"numeric": [">", 0, "<=", 3]}]}},
        {"detail": {"version": [3]}},
        {"detail": {"version": [{"exists": True}]}},
        {"detail": {"missing": [{"exists": False}]}},
        {"detail": {"missing": ["x", {"exists": False}]}},
        {"detail": {"error": [None]}},
        {"detail": {"error": [{"anything-but": "ShareRefused"}]}},
        {"detail": {"error": {"deeper": [{"exists": False}]}}},
        {"detail": {"nested": {"id": [2]}}},
        {"detail": {"$or": [{"version": [4]}, {"changed-tag-keys": ["Name"]}]}},
        {"$or": [{"source": ["aws.ec2"]}, {"detail": {"version": [3]}}]},
    ],
)
def test_a_pattern_that_every_field_satisfies_matches(pattern):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"""
    assert matches(pattern, TAGGED)


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"source": ["aws"]},
        {"source": ["aws.tag"], "detail": {"version": [4]}},
        {"source": [{"prefix": "AWS."}]},
        {"source": [{"wildcard": "aws.\\*"}]},
        {"source": [{"anything-but": ["aws.tag", "aws.kms"]}]},
        {"source": [{"anything-but": {"prefix": "aws."}}]},
        {"source": [{"anything-but": {"suffix": [".ec2", ".tag"]}}]},
        {"source": [{"anything-but": {"wildcard": ["*/ec2", "aws.t*"]}}]},
        {"source": [{"anything-but": {"equals-ignore-case": "AWS.TAG"}}]},
        {"detail": {"$or": [{"version": [{"exists": False}]}, {"version": [{"anything-but": [3, 4]}]}]}},
        {"detail": {"changed-tag-keys": [{"prefix": "with"}]}},
        {"detail": {"version": [{"numeric": [">", 3]}]}},
        {"detail": {"version": ["3"]}},
        {"detail": {"version": [True]}},
        {"detail": {"version": [{"exists": False}]}},
        {"detail": {"missing": [{"exists": True}]}},
        {"detail": {"missing": [{"anything-but": "x"}]}},
        {"detail": {"error": [{"exists": False}]}},
        {"detail": [{"exists": True}]},
        {"detail": {"nested": {"id": [3]}}},
        {"detail": {"$or": [{"version": [4]}, {"changed-tag-keys": ["Owner"]}]}},
    ],
)
def test_a_pattern_that_some_field_does_not_satisfy_does_not_match(pattern):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html"""
    assert not matches(pattern, TAGGED)


def test_a_rule_with_an_unknown_operator_is_refused(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html lists them all."""
    for wrong in ({"regex": ".*"}, {"anything-but": {"exists": True}}, {"exists": "no"}, {"anything-but": []}):
        with pytest.raises(ClientError, match="InvalidEventPatternException"):
            simulation.rule({"detail": {"$or": [{"source": [wrong]}]}})


def test_a_pattern_can_be_tried_before_it_is_a_rule(simulation):
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html"""
    events = simulation.client("events")
    event = json.dumps({"id": "1", "account": "111122223333", "source": "aws.ec2", "time": "2026-11-22T13:37:05Z",
                        "region": "us-east-1", "resources": [], "detail-type": "Test", "detail": {}})  # fmt: skip
    tried = {source: events.test_event_pattern(EventPattern=json.dumps({"source": [source]}), Event=event)["Result"]
             for source in ("aws.ec2", "aws.tag")}  # fmt: skip
    assert tried == {"aws.ec2": True, "aws.tag": False}
    with pytest.raises(ClientError, match="Unrecognized match type"):
        events.test_event_pattern(EventPattern='{"source": [{"like": "aws"}]}', Event=event)
