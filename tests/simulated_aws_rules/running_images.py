"""Images on the running simulated AWS, and who may launch them."""

from running import TARGET_ACCOUNT, unique


def snapshot(ec2):
    """A snapshot that no other test uses."""
    return ec2.create_snapshot(VolumeId=ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"])["SnapshotId"]


def register(ec2, snapshot_id=None):
    """An image that no other test uses."""
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id or snapshot(ec2)}}
    name = unique("image")
    return ec2.register_image(Name=name, RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])["ImageId"]


def change(ec2, image, operation, account=TARGET_ACCOUNT):
    """Adds or removes the launch permission of an account."""
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={operation: [{"UserId": account}]})


def permissions(ec2, image):
    """The accounts that may launch an image."""
    found = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    return [one["UserId"] for one in found]
