"""Images are pending, available, disabled, deregistered; each state has an event."""

import time

import pytest
from moto.ec2.models import ec2_backends
from running import eventually
from simulated_aws.ec2 import image_failures
from world import HUB, error_of


def states_of(image, events):
    return [event["detail"]["State"] for event in events if event["detail"]["ImageId"] == image]


def test_the_event_of_an_image_that_becomes_available_has_its_arn(aws, events, slow):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html"""
    instance = aws.launch(aws.image())
    events.clear()
    image = aws.ec2().create_image(InstanceId=instance["InstanceId"], Name="new")["ImageId"]
    assert events == []
    # The event comes a moment after the state is visible.
    [event] = eventually(lambda: list(events))
    assert (event["account"], event["region"], event["source"]) == (HUB, "us-east-1", "aws.ec2")
    assert event["detail-type"] == "EC2 AMI State Change"
    assert event["resources"] == [f"arn:aws:ec2:us-east-1::image/{image}"]
    assert event["detail"].pop("RequestId")
    assert event["detail"] == {"ImageId": image, "State": "available", "ErrorMessage": ""}


def test_registered_and_copied_images_have_events_too(aws, events):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html"""
    image = aws.image()
    assert states_of(image, events) == ["available"]
    copy = aws.ec2().copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="copy")["ImageId"]
    assert eventually(lambda: states_of(copy, events)) == ["available"]


def test_a_deregistered_image_has_an_event_and_is_gone(aws, events):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html: no image, no error."""
    image = aws.image()
    aws.ec2().deregister_image(ImageId=image)
    assert states_of(image, events) == ["available", "deregistered"]
    assert aws.ec2().describe_images(ImageIds=[image])["Images"] == []
    assert error_of(aws.ec2().deregister_image, ImageId=image) == "InvalidAMIID.Unavailable"


def test_an_image_deregistered_while_pending_never_becomes_available(aws, events, slow):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html"""
    copy = aws.ec2().copy_image(SourceImageId=aws.image(), SourceRegion="us-east-1", Name="copy")["ImageId"]
    aws.ec2().deregister_image(ImageId=copy)
    time.sleep(3.5)
    assert states_of(copy, events) == ["deregistered"]


def test_deregistering_can_take_the_snapshots_too(aws, events):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html (DeleteAssociatedSnapshots)"""
    image = aws.image()
    snapshot = aws.snapshot_of(image)["SnapshotId"]
    answer = aws.ec2().deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "success"}]
    assert error_of(aws.describe_snapshot, snapshot) == "InvalidSnapshot.NotFound"
    assert states_of(image, events) == ["available", "deregistered"]


def test_a_snapshot_behind_two_images_stays_when_one_is_deregistered(aws, events):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html

    The model confirms it: "If a snapshot is associated with multiple AMIs, it is not deleted", and the code `skipped`.
    """
    image, other = aws.image(), aws.image()
    snapshot = aws.snapshot_of(image)["SnapshotId"]
    own = aws.snapshot_of(other)["SnapshotId"]
    both = [
        {"DeviceName": name, "Ebs": {"SnapshotId": one}} for name, one in (("/dev/sda1", own), ("/dev/sdf", snapshot))
    ]
    third = aws.ec2().register_image(Name="of both", RootDeviceName="/dev/sda1", BlockDeviceMappings=both)["ImageId"]
    answer = aws.ec2().deregister_image(ImageId=third, DeleteAssociatedSnapshots=True)
    assert {one["ReturnCode"] for one in answer["DeleteSnapshotResults"]} == {"skipped"}
    assert states_of(third, events) == ["available", "deregistered"]
    assert aws.describe_snapshot(snapshot)["State"] == "completed"


@pytest.mark.parametrize(("state", "events_after"), [("failed", ["failed"]), ("invalid", []), ("error", [])])
def test_an_image_that_failed_shows_why_and_cannot_be_used(aws, events, state, events_after):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html (imageState, stateReason)

    Public evidence confirms the states (the model) and that only `failed` has an event (the page on AMI events). No evidence
    was found for the codes of reasons.
    """
    image, account = aws.image(), aws.external_account()
    events.clear()
    image_failures.fail(ec2_backends[HUB]["us-east-1"].amis[image], state, "the key is not usable")
    found = aws.describe_image(image)
    assert (found["State"], found["StateReason"]["Message"]) == (state, "the key is not usable")
    assert states_of(image, events) == events_after
    assert [event["detail"]["ErrorMessage"] for event in events] == ["the key is not usable"] * len(events_after)
    assert error_of(aws.launch, image) == "InvalidAMIID.Unavailable"
    assert error_of(aws.share, image, UserId=account) == "InvalidAMIID.Unavailable"
    aws.ec2().deregister_image(ImageId=image)


def test_disabling_removes_the_launch_permissions_and_enabling_does_not_restore_them(aws, events):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html"""
    image, account = aws.image(), aws.external_account()
    aws.share(image, UserId=account)
    aws.ec2().disable_image(ImageId=image)
    assert aws.describe_image(image)["State"] == "disabled"
    assert not aws.sees(HUB, image), "disabled images are excluded unless requested"
    assert image in [one["ImageId"] for one in aws.ec2().describe_images(IncludeDisabled=True)["Images"]]
    aws.ec2().enable_image(ImageId=image)
    assert aws.ec2().describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"] == []
    assert not aws.sees(account, image)
    assert states_of(image, events) == ["available", "disabled", "available"]
