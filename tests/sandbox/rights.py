"""Checks of IAM: whether the conditions on images, snapshots and keys in template.yaml and in the README do what they are
meant to do. The calls of EC2 are dry runs.
"""

import json
import time
from typing import Any

from sandbox.answers import DENIED, TAKEN, is_denied_explicitly, judged
from sandbox.caller import RIGHTS_WITHIN_SECONDS, caller, shown, wait_until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds, holds_if
from sandbox.images import dry_run
from sandbox.fixture import Fixture

# How long the workflow tries to put the policy of a key whose tag may not count yet.
TAG_WITHIN_SECONDS = 360


def _adds(ec2: Any, fixture: Fixture, permission: dict[str, str]) -> str:
    given = {"ImageId": fixture.image, "LaunchPermission": {"Add": [permission]}}
    return dry_run(ec2.modify_image_attribute, **given)


def _adds_to_snapshot(ec2: Any, fixture: Fixture, permission: dict[str, str]) -> str:
    given = {"SnapshotId": fixture.snapshot, "Attribute": "createVolumePermission", "CreateVolumePermission": {"Add": [permission]}}
    return dry_run(ec2.modify_snapshot_attribute, **given)


def _adds_one_account(ec2: Any, fixture: Fixture) -> dict[str, str]:
    """Whether the role may let an account into the image and the snapshot, once its rights are known."""

    def answers() -> dict[str, str]:
        account = {"UserId": fixture.grantee}
        return {"image": _adds(ec2, fixture, account), "snapshot": _adds_to_snapshot(ec2, fixture, account)}

    wait_until(lambda: set(answers().values()) == {"allowed"}, fixture.within(RIGHTS_WITHIN_SECONDS))
    return answers()


def _need_yes_or_no(codes: dict[str, str]) -> None:
    """NotChecked where EC2 says something else than whether the role may."""
    if not set(codes.values()) <= DENIED | {"allowed"}:
        raise NotChecked(f"EC2 answers neither yes nor no ({shown(codes)})")


@check("owner-condition", "`ec2:Owner` is the account's id where an image or snapshot of one's own is modified.")
def owner_condition(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (names the key, not its values)"""
    codes = _adds_one_account(caller(fixture).client("ec2"), fixture)
    _need_yes_or_no(codes)
    return holds_if(set(codes.values()) == {"allowed"}, shown(codes))


@check("add-group", "`ec2:Add/group` is `all` where a snapshot is made public, and there is no such key where an image is.")
def add_group(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (has it for snapshots only)"""
    ec2, everybody = caller(fixture).client("ec2"), {"Group": "all"}
    plain = _adds_one_account(ec2, fixture)
    if set(plain.values()) != {"allowed"}:
        raise NotChecked(f"not even one account may be added ({shown(plain)})")
    codes = {"image": _adds(ec2, fixture, everybody), "snapshot": _adds_to_snapshot(ec2, fixture, everybody)}
    _need_yes_or_no(codes)
    return holds_if(codes["image"] == "allowed" and codes["snapshot"] in DENIED, shown(codes))


@check("delete-all-tags", "DeleteTags without a list of tags has no `aws:TagKeys`, so that `Null` finds it.")
def delete_all_tags(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html"""
    ec2 = caller(fixture).client("ec2")

    def deletes(**given: Any) -> str:
        return dry_run(ec2.delete_tags, Resources=[fixture.image], **given)

    def one() -> str:
        return deletes(Tags=[{"Key": "ami-share-nothing"}])

    wait_until(lambda: one() == "allowed", fixture.within(RIGHTS_WITHIN_SECONDS))
    named, unnamed = one(), deletes()
    if named != "allowed":
        raise NotChecked(f"not even one tag may be deleted ({named})")
    _need_yes_or_no({"all tags": unnamed})
    return holds_if(unnamed in DENIED, f"one tag: {named}, all tags: {unnamed}")


@check("key-lock-out-check", "PutKeyPolicy without `BypassPolicyLockoutSafetyCheck` is allowed where only its being true is denied, and with it it is denied.")
def lock_out_check(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-bypass-policy-lockout-safety-check"""
    kms, policy = caller(fixture).client("kms"), json.dumps(fixture.key_policy())

    def puts(**given: Any) -> str:
        return judged(kms.put_key_policy, KeyId=fixture.key, PolicyName="default", Policy=policy, **given)

    wait_until(lambda: puts() == TAKEN, fixture.within(TAG_WITHIN_SECONDS), pause=5)
    plain, bypassing = puts(), puts(BypassPolicyLockoutSafetyCheck=True)
    if plain != TAKEN and not is_denied_explicitly(kms.put_key_policy, KeyId=fixture.key, PolicyName="default", Policy=policy):
        raise NotChecked(f"the role may not put the policy at all ({plain})")
    if bypassing not in DENIED | {TAKEN}:
        raise NotChecked(f"KMS answers neither yes nor no ({bypassing})")
    return holds_if(plain == TAKEN and bypassing in DENIED, f"without: {plain}, with: {bypassing}")


@check("key-tag-settles", "A tag that was put on a key counts for `aws:ResourceTag` within six minutes.")
def key_tag_settles(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/kms/latest/developerguide/abac.html (says: up to five minutes)"""
    acting, key, policy = caller(fixture), fixture.new_key(), json.dumps(fixture.key_policy())

    def puts(key: str = key) -> str:
        return judged(acting.client("kms").put_key_policy, KeyId=key, PolicyName="default", Policy=policy)

    # So that it is not the role's rights that are waited for afterwards.
    if not wait_until(lambda: puts(fixture.key) == TAKEN, fixture.within(TAG_WITHIN_SECONDS), pause=5):
        raise NotChecked(f"the role may not put the policy of a key that was made with the tag ({puts(fixture.key)})")
    before = puts()
    if before == TAKEN:
        return contradicted("the policy of a key without the tag was put")
    if before not in DENIED:
        raise NotChecked(f"KMS answers neither yes nor no ({before})")
    fixture.kms.tag_resource(KeyId=key, Tags=[{"TagKey": "ami-share:managed", "TagValue": "true"}])
    began = time.monotonic()
    is_allowed = wait_until(lambda: puts() == TAKEN, fixture.within(TAG_WITHIN_SECONDS), pause=2)
    took = time.monotonic() - began
    seen = f"before the tag {before}, then {'allowed' if is_allowed else 'still not allowed'} after {took:.0f} s"
    if took >= TAG_WITHIN_SECONDS:
        return contradicted(seen)
    if not is_allowed:
        raise NotChecked(seen)
    return holds(seen)
