"""Checks of KMS: what it takes as a key policy, what it gives back, and how fast."""

import json
from typing import Any

from sandbox.answers import REJECTED, TAKEN, answer, seconds_until, undo, until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds, holds_if
from sandbox.images import LATE_SECONDS
from sandbox.fixture import NOBODY, Fixture

SIZE_LIMIT = 32_768

# How long extend-key-policy reads back what it has put.
READ_BACK_SECONDS = 2.0


def policy_of(fixture: Fixture) -> str:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html"""
    return str(fixture.kms.get_key_policy(KeyId=fixture.key, PolicyName="default")["Policy"])


def put(fixture: Fixture, policy: str) -> str:
    """`taken`, or the code of the refusal. https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html"""
    return answer(fixture.kms.put_key_policy, KeyId=fixture.key, PolicyName="default", Policy=policy)


def _statement(fixture: Fixture, sid: str, **more: Any) -> dict[str, Any]:
    ourselves = {"AWS": f"arn:{fixture.account.partition}:iam::{fixture.account.id}:root"}
    return {"Sid": sid, "Effect": "Allow", "Principal": ourselves, "Action": ["kms:DescribeKey"], "Resource": "*", **more}


def _of_size(fixture: Fixture, size: int) -> str:
    """A policy of exactly so many bytes, without a space that KMS could drop."""

    def padded(length: int) -> str:
        condition = {"StringNotEquals": {"aws:PrincipalTag/padding": "x" * length}}
        policy = fixture.key_policy(_statement(fixture, "Padding", Condition=condition))
        return json.dumps(policy, separators=(",", ":"))

    return padded(size - len(padded(0).encode()))


def normal(value: Any) -> Any:
    """A list of one is the same as what is in it; lists have no order."""
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items()}
    if isinstance(value, list):
        items = sorted((normal(item) for item in value), key=json.dumps)
        return items[0] if len(items) == 1 else items
    return value


@check("key-policy-size", "KMS takes a key policy of 32,768 bytes as they are sent, and none that is one byte longer.")
def key_policy_size(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html (says not how bytes are counted)"""
    fits, exceeds = put(fixture, _of_size(fixture, SIZE_LIMIT)), put(fixture, _of_size(fixture, SIZE_LIMIT + 1))
    seen = f"{SIZE_LIMIT} bytes: {fits}; {SIZE_LIMIT + 1} bytes: {exceeds}"
    return holds_if(fits == TAKEN and exceeds != TAKEN, seen)


@check("key-policy-text", "KMS gives a policy back with the statements in the order and with the values with which they were put.")
def key_policy_text(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html"""
    condition = {"StringLike": {"aws:PrincipalArn": ["arn:*:iam::*:role/zebra", "arn:*:iam::*:role/ape"]}}
    statements = [_statement(fixture, "Zebra", Condition=condition), _statement(fixture, "Ape"), _statement(fixture, "Mole")]
    given = fixture.key_policy(*statements)
    text = json.dumps(given)
    code = put(fixture, text)
    if code != TAKEN:
        return contradicted(f"refused with {code}")
    seconds_until(lambda: "Zebra" in policy_of(fixture), fixture.within(30))
    kept = policy_of(fixture)
    if "Zebra" not in kept:
        raise NotChecked("KMS still shows the policy before it")
    document = json.loads(kept)
    same_order = [one.get("Sid") for one in document["Statement"]] == [one["Sid"] for one in given["Statement"]]
    same_values = [normal(one) for one in document["Statement"]] == [normal(one) for one in given["Statement"]]
    seen = "to the letter" if kept == text else "the same values, written otherwise" if same_values else "other values"
    return holds_if(same_order and same_values, seen if same_order else f"{seen}, in another order")


@check("key-policy-settles", "Within two seconds, KMS shows a key policy that was put.")
def key_policy_settles(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html"""
    slowest = 0.0
    for round_number in range(3):
        sid = f"Round{round_number}"
        code = put(fixture, json.dumps(fixture.key_policy(_statement(fixture, sid))))
        if code != TAKEN:
            return contradicted(f"refused with {code}")
        took = seconds_until(lambda sid=sid: sid in policy_of(fixture), fixture.within(60))
        if took is None:
            return contradicted("not seen within a minute")
        slowest = max(slowest, took)
    return holds_if(slowest <= READ_BACK_SECONDS, f"the slowest of three took {slowest:.1f} s")


@check("key-bad-principal", "KMS refuses a policy that names an account that does not exist with a code that we count as a rejected item, and the old policy stands.")
def bad_principal(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (MalformedPolicyDocumentException)"""
    seen = []
    for nobody in fixture.nobodies:
        principal = {"AWS": f"arn:{fixture.account.partition}:iam::{nobody}:root"}
        code = put(fixture, json.dumps(fixture.key_policy(_statement(fixture, "Nobody", Principal=principal))))
        kind = "an account that does not exist" if nobody == NOBODY else "an account drawn by lot"
        if code == TAKEN:
            undo(put, fixture, json.dumps(fixture.key_policy()))
            return contradicted(f"KMS took {kind}")
        if until(lambda: "Nobody" in policy_of(fixture), fixture.within(LATE_SECONDS), pause=1):
            return contradicted(f"{kind}: {code}, but the policy is changed")
        if code not in REJECTED:
            return contradicted(f"{kind}: {code}, which is not counted as a rejected item")
        seen.append(f"{kind}: {code}")
    return holds(", ".join(seen))
