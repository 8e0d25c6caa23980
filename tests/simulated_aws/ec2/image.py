"""An image with real block devices: what RegisterImage, CreateImage and CopyImage make."""

import copy
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import random_ami_id

SHARED_TAG_PREFIX = "ec2:SharedTag/"


@dataclass(frozen=True)
class Device:
    """One block device of an image: from a snapshot, or an empty volume where there is none."""

    name: str
    snapshot: Snapshot | None
    size: int
    volume_type: str = "gp3"
    delete_on_termination: bool = True

    def as_mapping(self) -> dict[str, Any]:
        """As DescribeImages shows it. Only the snapshot shows the key.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html
        """
        ebs = {
            "SnapshotId": self.snapshot.id if self.snapshot else None,
            "VolumeSize": self.size,
            "VolumeType": self.volume_type,
            "DeleteOnTermination": self.delete_on_termination,
            "Encrypted": bool(self.snapshot and self.snapshot.encrypted),
        }
        return {"DeviceName": self.name, "Ebs": ebs}


class Image(Ami):
    """moto's image with real block devices. It skips moto's initializer, which invents a volume and a snapshot."""

    def __init__(self, backend: Any, name: str, description: str = "", state: str = "available", **shape: Any):
        check_name(backend, name)
        self.ec2_backend = backend
        self.id = random_ami_id()
        self.name = name
        self.description = description
        self.state = state
        self.owner_id = backend.account_id
        self.owner_alias = None
        self.creation_date = utcnow()
        self.devices: list[Device] = []
        self.launch_permissions: list[dict[str, str]] = []
        self.product_codes: set[str] = set()
        self.image_type = "machine"
        self.hypervisor = "xen"
        self.sriov = "simple"
        self.kernel_id = self.platform = self.instance_id = self.source_image_id = self.source_image_region = None
        self.image_location = shape.get("image_location") or f"{backend.account_id}/{name}"
        self.architecture = shape.get("architecture") or "x86_64"
        self.virtualization_type = shape.get("virtualization_type") or "hvm"
        self.root_device_name = shape.get("root_device_name") or "/dev/sda1"
        self.boot_mode = shape.get("boot_mode")
        self.ena_support = shape.get("ena_support", True)

    @property
    def backend_of_owner(self) -> Any:
        """The EC2 of the account that owns the image."""
        return self.ec2_backend

    @property
    def root_device_type(self) -> str:
        """An image without block devices lives in the instance store."""
        return "ebs" if self.devices else "instance-store"

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """What DescribeImages shows."""
        return [device.as_mapping() for device in self.devices]

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots behind the block devices."""
        return [device.snapshot for device in self.devices if device.snapshot]

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        """The filters of DescribeImages on block devices, and moto's own."""
        if filter_name == "block-device-mapping.snapshot-id":
            return [snapshot.id for snapshot in self.snapshots]
        if filter_name == "block-device-mapping.encrypted":
            return [str(mapping["Ebs"]["Encrypted"]).lower() for mapping in self.block_device_mappings]
        return super().get_filter_value(filter_name, method_name)

    def seen_from(self, viewer: Any) -> "Image":
        """The image as another account sees it: with that account's own tags on it, and the owner's shared tags.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharing-amis.html
        """
        view = copy.copy(self)
        view.owner_backend, view.ec2_backend = self.ec2_backend, viewer
        view.__class__ = SharedImage
        return view


class SharedImage(Image):
    """An image as an account sees it that does not own it."""

    @property
    def backend_of_owner(self) -> Any:
        return self.owner_backend

    def get_tags(self) -> list[dict[str, str]]:
        own = super().get_tags()
        of_owner = self.owner_backend.tags.get(self.id, {})
        return own + [{"key": key, "value": of_owner[key]} for key in of_owner if key.startswith(SHARED_TAG_PREFIX)]


def check_name(backend: Any, name: str | None) -> None:
    """A name is required, has 3 to 128 characters, and is unique in an account and Region.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """
    if not name:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter name")
    if not 3 <= len(name) <= 128:
        raise EC2ClientError("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long")
    used_by = next((image.id for image in list(backend.amis.values()) if image.name == name), None)
    if used_by:
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {used_by}")


def tags_for(specifications: list[dict[str, Any]], resource_type: str) -> dict[str, str]:
    """The tags that a request's TagSpecifications have for images, or for snapshots. Other types are refused.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagSpecification.html
    """
    for specification in specifications:
        if specification.get("ResourceType") not in ("image", "snapshot"):
            named = specification.get("ResourceType")
            message = f"'{named}' is not a valid taggable resource type for this operation."
            raise EC2ClientError("InvalidParameterValue", message)
    matching = [one for one in specifications if one["ResourceType"] == resource_type]
    return {tag["Key"]: tag.get("Value", "") for one in matching for tag in one.get("Tags", [])}
