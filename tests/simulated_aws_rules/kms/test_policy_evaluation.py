"""The simulated AWS decides on a key policy as the evaluator of the domain does (shared/domain/tests/key_evaluate.rs)."""

import json
from pathlib import Path

import pytest
from simulated_aws.core.accounts import Caller
from simulated_aws.iam import policy_evaluation
from simulated_aws.iam.policy_evaluation import Request

CASES = json.loads((Path(__file__).parents[2] / "policies" / "evaluation.json").read_text())
REQUESTERS = {
    "role": Caller(
        "222222222222",
        "arn:aws:sts::222222222222:assumed-role/builder/session",
        "arn:aws:iam::222222222222:role/builder",
    ),
    "service": Caller("222222222222", "ec2.amazonaws.com", service="ec2.amazonaws.com"),
}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_both_evaluators_decide_alike(case):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    policy = json.dumps({"Version": "2012-10-17", "Statement": case["statements"]})
    request = Request(REQUESTERS[case["requester"]], case["action"], case["context"])
    assert policy_evaluation.allows(policy, request) is (case["decision"] == "allowed")
    assert policy_evaluation.denies(policy, request) is (case["decision"] == "denied")
