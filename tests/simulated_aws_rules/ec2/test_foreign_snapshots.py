"""Images and volumes of the hub on a snapshot that another account owns and shares with the hub."""

import pytest
from world import HUB, error_of

ROOT = "/dev/sda1"


@pytest.fixture
def owner(aws):
    return aws.external_account()


def shared_snapshot(aws, owner):
    """A snapshot of the owner that is shared with the hub."""
    snapshot = aws.snapshot(account=owner)
    change(aws, owner, snapshot, "Add")
    return snapshot


def change(aws, owner, snapshot, operation, account=HUB):
    permission = {operation: [{"UserId": account}]}
    aws.ec2(owner).modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=permission)


def register(aws, snapshot):
    mapping = {"DeviceName": ROOT, "Ebs": {"SnapshotId": snapshot}}
    return aws.ec2().register_image(Name=f"on {snapshot}", RootDeviceName=ROOT, BlockDeviceMappings=[mapping])["ImageId"]


def test_an_image_can_be_registered_on_it_and_shared(aws, owner):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html

    Public evidence confirms that an account registers an image on another account's shared snapshot (recorded answers).
    That a third account launches from it without permission on the snapshot: no evidence was found.
    """
    third = aws.external_account("888888888888")
    snapshot = shared_snapshot(aws, owner)
    image = register(aws, snapshot)
    assert aws.snapshot_of(image)["OwnerId"] == owner
    aws.share(image, UserId=third)
    assert aws.launch(image, third)["State"]["Name"] == "running"


def test_only_its_owner_reads_and_changes_its_permissions(aws, owner):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshotAttribute.html

    Of an image, a caller that does not own it gets AuthFailure (recorded answers). Of a snapshot no evidence was found.
    """
    snapshot, ec2 = shared_snapshot(aws, owner), aws.ec2()
    describe = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}
    assert error_of(ec2.describe_snapshot_attribute, **describe) == "AuthFailure"
    assert error_of(change, aws, HUB, snapshot, "Add", "222222222222") == "AuthFailure"
    assert error_of(ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.NotFound"


@pytest.mark.parametrize("end", ["unshare", "delete"])
def test_its_owner_ends_its_use_whatever_image_needs_it(aws, owner, end):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html

    No public evidence was found: neither that the owner may delete it, nor the code of the launch.
    """
    snapshot = shared_snapshot(aws, owner)
    image = register(aws, snapshot)
    if end == "delete":
        aws.ec2(owner).delete_snapshot(SnapshotId=snapshot)
    else:
        change(aws, owner, snapshot, "Remove")
    assert aws.describe_image(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] == snapshot
    assert error_of(aws.describe_snapshot, snapshot) == "InvalidSnapshot.NotFound"
    assert error_of(aws.launch, image) == "InvalidSnapshot.NotFound"


def test_deregistering_the_image_leaves_it(aws, owner):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshotReturnCode.html: no evidence for the code."""
    snapshot = shared_snapshot(aws, owner)
    answer = aws.ec2().deregister_image(ImageId=register(aws, snapshot), DeleteAssociatedSnapshots=True)
    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot, "ReturnCode": "client-error"}]
    assert aws.describe_snapshot(snapshot, account=owner)["State"] == "completed"


def test_a_volume_made_of_it_belongs_to_the_hub(aws, owner):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html, as documented"""
    snapshot = shared_snapshot(aws, owner)
    volume = aws.ec2().create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)
    own = aws.ec2().create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    assert (volume["SnapshotId"], aws.describe_snapshot(own)["OwnerId"]) == (snapshot, HUB)
