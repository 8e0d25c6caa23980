"""`Tag Change on Resource` events."""

import uuid

import pytest
from running import HUB, REGION


@pytest.fixture
def tagged(simulation):
    """An image, its snapshot, and a queue of the tag events of that image or snapshot."""
    ec2 = simulation.client("ec2")
    volume = ec2.create_volume(Size=1, AvailabilityZone=f"{REGION}a")["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    queue = simulation.queue()
    simulation.rule({"source": ["aws.tag"], "detail-type": ["Tag Change on Resource"]}, {"Arn": queue.arn})
    image = ec2.register_image(
        Name=f"image-{uuid.uuid4().hex}",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "Name", "Value": "golden"}]}],
    )["ImageId"]
    return ec2, image, snapshot, queue


def test_events_of_tags_set_at_creation_changed_and_removed_have_all_tags_of_the_moment(tagged):
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/tags-events.html"""
    ec2, image, _, queue = tagged
    first = queue.next()
    assert first["source"] == "aws.tag"
    assert first["account"] == HUB
    assert first["resources"] == [f"arn:aws:ec2:{REGION}:{HUB}:image/{image}"]
    assert first["detail"] == {
        "changed-tag-keys": ["Name"],
        "service": "ec2",
        "resource-type": "image",
        "version": 1,
        "tags": {"Name": "golden"},
    }

    ec2.create_tags(Resources=[image], Tags=[{"Key": "ami-share:with", "Value": "222222222222"}])
    second = queue.next()["detail"]
    assert second["changed-tag-keys"] == ["ami-share:with"]
    assert second["tags"] == {"Name": "golden", "ami-share:with": "222222222222"}
    assert second["version"] == 2

    ec2.delete_tags(Resources=[image], Tags=[{"Key": "Name"}])
    third = queue.next()["detail"]
    assert third["changed-tag-keys"] == ["Name"]
    assert third["tags"] == {"ami-share:with": "222222222222"}


def test_a_call_that_changes_nothing_has_no_event(tagged):
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/tags-events.html: events are of changes."""
    ec2, image, _, queue = tagged
    queue.next()
    ec2.create_tags(Resources=[image], Tags=[{"Key": "Name", "Value": "golden"}])
    ec2.delete_tags(Resources=[image], Tags=[{"Key": "Absent"}])
    assert queue.stays_empty()


def test_each_resource_of_a_call_has_an_event_of_its_own(tagged):
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/tags-events.html"""
    ec2, image, snapshot, queue = tagged
    queue.next()
    ec2.create_tags(Resources=[image, snapshot], Tags=[{"Key": "Owner", "Value": "platform"}])
    types = {queue.next()["detail"]["resource-type"], queue.next()["detail"]["resource-type"]}
    assert types == {"image", "snapshot"}
