"""Reads that lag: AWS has no API for it, so these are the rules of `faults.py` and `past_states.py`.

Public evidence confirms that reads may lag: AWS documents eventual consistency for EC2, KMS and AWS Organizations. For how
long: KMS for seconds, sometimes minutes (Terraform waits for five equal reads); EC2 showed a launch permission at once in
recorded answers, and promises nothing.
"""

import json
import time

import pytest
from running import HUB, TARGET_ACCOUNT, unique
from running_images import change, permissions, register


@pytest.fixture
def ec2(simulation):
    simulation.client("sts", TARGET_ACCOUNT).get_caller_identity()
    return simulation.client("ec2")


@pytest.fixture
def image(ec2):
    return register(ec2)


def tag(ec2, image, value):
    ec2.create_tags(Resources=[image], Tags=[{"Key": "key", "Value": value}])


def tags(ec2, image):
    return [one["Value"] for one in ec2.describe_images(ImageIds=[image])["Images"][0].get("Tags", [])]


def test_launch_permissions_lag_for_some_reads(faults, ec2, image):
    fault = faults.arm("lag", service="ec2", operation="DescribeImageAttribute", about=image, writes=1, times=2)
    assert (permissions(ec2, image), faults.struck(fault)) == ([], 0)
    change(ec2, image, "Add")
    assert [permissions(ec2, image) for _ in range(3)] == [[], [], [TARGET_ACCOUNT]]
    assert faults.struck(fault) == 2


def test_only_the_chosen_reads_lag_and_what_they_show_is_not_restored(faults, ec2, image):
    faults.arm("lag", service="ec2", operation="DescribeImageAttribute", about=image, times=None)
    change(ec2, image, "Add")
    tag(ec2, image, "new")
    assert (permissions(ec2, image), tags(ec2, image)) == ([], ["new"])
    change(ec2, image, "Add", HUB)
    assert permissions(ec2, image) == []
    faults.end()
    assert permissions(ec2, image) == [TARGET_ACCOUNT, HUB]


def test_a_read_lags_behind_a_number_of_writes(faults, ec2, image):
    faults.arm("lag", service="ec2", operation="DescribeImages", about=image, writes=2, times=None)
    seen = []
    for value in ("1", "2", "3"):
        tag(ec2, image, value)
        seen.append(tags(ec2, image))
    assert seen == [[], [], ["1"]]


def test_writes_that_failed_or_were_for_other_resources_do_not_count(faults, ec2, image):
    tag(ec2, image, "old")
    other = register(ec2, ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])
    faults.arm("lag", service="ec2", operation="DescribeImages", about=image, writes=1, times=None)
    tag(ec2, image, "new")
    tag(ec2, other, "other")
    with pytest.raises(ec2.exceptions.ClientError):
        change(ec2, image, "Add", "not an account")
    assert tags(ec2, image) == ["old"]


def test_a_read_lags_back_to_a_moment_before_its_fault(faults, ec2, image):
    moment = faults.arm("lag", service="ec2", about=image, times=0)
    change(ec2, image, "Add")
    assert permissions(ec2, image) == [TARGET_ACCOUNT]
    faults.arm("lag", service="ec2", operation="DescribeImageAttribute", about=image, since=moment)
    assert [permissions(ec2, image) for _ in range(2)] == [[], [TARGET_ACCOUNT]]


def test_a_read_lags_by_some_seconds(faults, ec2, image):
    faults.arm("lag", service="ec2", operation="DescribeImages", about=image, seconds=3, times=None)
    written = time.monotonic()
    tag(ec2, image, "new")
    seen = tags(ec2, image)
    if time.monotonic() - written < 3:
        assert seen == []
    time.sleep(3)
    assert tags(ec2, image) == ["new"]


def test_an_image_that_was_deregistered_and_one_that_is_new_lag(faults, ec2, image):
    snapshot = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    faults.arm("lag", service="ec2", operation="DescribeImages", times=None)
    new = register(ec2, snapshot)
    with pytest.raises(ec2.exceptions.ClientError, match="InvalidAMIID.NotFound"):
        ec2.describe_images(ImageIds=[new])
    ec2.deregister_image(ImageId=image)
    assert ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    faults.end()
    assert ec2.describe_images(ImageIds=[image])["Images"] == []
    assert ec2.describe_images(ImageIds=[new])["Images"] != []


def test_an_image_that_becomes_available_is_still_pending_for_who_lags(faults, simulation, ec2, image):
    copy = ec2.copy_image(SourceImageId=image, SourceRegion="us-east-1", Name=unique("copy"))["ImageId"]
    faults.arm("lag", service="ec2", operation="DescribeImages", about=copy, where={"IncludeDisabled": "true"}, times=None)
    # A copy is pending for 0.3 seconds; a test that is slower finds it available from the start.
    is_pending = ec2.describe_images(ImageIds=[copy])["Images"][0]["State"] == "pending"
    ec2.get_waiter("image_available").wait(ImageIds=[copy], WaiterConfig={"Delay": 1})
    [seen] = ec2.describe_images(ImageIds=[copy], IncludeDisabled=True)["Images"]
    assert seen["State"] == ("pending" if is_pending else "available")


def test_snapshot_permissions_lag(faults, ec2, image):
    snapshot = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    fault = faults.arm("lag", service="ec2", operation="DescribeSnapshotAttribute", about=snapshot)
    added = {"Add": [{"UserId": TARGET_ACCOUNT}]}
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=added)

    def seen():
        answer = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        return [one["UserId"] for one in answer["CreateVolumePermissions"]]

    assert [seen(), seen()] == [[], [TARGET_ACCOUNT]]
    assert faults.struck(fault) == 1


def test_key_policies_and_tags_lag(faults, simulation):
    kms = simulation.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    old = kms.get_key_policy(KeyId=key)["Policy"]
    new = json.dumps(json.loads(old) | {"Id": "new"})
    faults.arm("lag", service="kms", operation="GetKeyPolicy", where={"KeyId": f"*{key}"}, about=key, writes=1)
    faults.arm("lag", service="kms", operation="ListResourceTags", where={"KeyId": f"*{key}"}, about=key)
    kms.put_key_policy(KeyId=key, Policy=new)
    assert [kms.get_key_policy(KeyId=key)["Policy"] for _ in range(2)] == [old, new]
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "key", "TagValue": "value"}])
    assert [len(kms.list_resource_tags(KeyId=key)["Tags"]) for _ in range(2)] == [0, 1]


def test_accounts_and_ous_lag(faults, simulation):
    simulation.organization()
    organizations = simulation.client("organizations")
    root = organizations.list_roots()["Roots"][0]["Id"]
    name = unique("ou")
    faults.arm("lag", service="organizations", operation="List*", times=None)
    ou = organizations.create_organizational_unit(ParentId=root, Name=name)["OrganizationalUnit"]["Id"]
    status = organizations.create_account(AccountName="new", Email="new@example.com")["CreateAccountStatus"]
    account = status["AccountId"]
    organizations.move_account(AccountId=account, SourceParentId=root, DestinationParentId=ou)
    organizations.tag_resource(ResourceId=account, Tags=[{"Key": "key", "Value": "value"}])

    def seen():
        ous = organizations.get_paginator("list_organizational_units_for_parent").paginate(ParentId=root)
        accounts = organizations.get_paginator("list_accounts").paginate()
        return (
            ou in [one["Id"] for answer in ous for one in answer["OrganizationalUnits"]],
            account in [one["Id"] for answer in accounts for one in answer["Accounts"]],
        )

    assert seen() == (False, False)
    faults.end()
    assert seen() == (True, True)
    faults.arm("lag", service="organizations", operation="List*", times=None)
    organizations.move_account(AccountId=account, SourceParentId=ou, DestinationParentId=root)
    parents = organizations.list_parents(ChildId=account)["Parents"]
    assert [one["Id"] for one in parents] == [ou]
