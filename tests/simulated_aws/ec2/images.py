"""RegisterImage, CreateImage and CopyImage, with real block devices, encryption, keys and tags."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.amis import AmisResponse

from simulated_aws.ec2 import ebs_encryption, image_states, snapshots, visibility
from simulated_aws.ec2.image import Device, Image, tags_for


def install() -> None:
    """Replaces moto's three ways of making an image."""
    AmisResponse.register_image = _register_image
    AmisResponse.create_image = _create_image
    AmisResponse.copy_image = _copy_image


def _register_image(response: AmisResponse) -> ActionResult:
    """An image of existing snapshots. It is available at once.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html
    """
    backend = response.ec2_backend
    specifications = response._get_param("TagSpecifications", [])
    tags = tags_for(specifications, "image")
    image = Image(
        backend,
        response._get_param("Name"),
        response._get_param("Description", ""),
        image_location=response._get_param("ImageLocation"),
        architecture=response._get_param("Architecture"),
        virtualization_type=response._get_param("VirtualizationType"),
        root_device_name=response._get_param("RootDeviceName"),
        boot_mode=response._get_param("BootMode"),
        ena_support=response._get_param("EnaSupport", False),
    )
    mappings = response._get_param("BlockDeviceMappings", [])
    image.devices = [_registered_device(backend, mapping) for mapping in mappings if "Ebs" in mapping]
    if not response._get_param("ImageLocation"):
        _check_root(image)
    response.error_on_dryrun()
    backend.amis[image.id] = image
    image.add_tags(tags)
    image_states.become_available(image)
    return ActionResult({"ImageId": image.id})


def _registered_device(backend: Any, mapping: dict[str, Any]) -> Device:
    ebs = mapping["Ebs"]
    snapshot = visibility.snapshot(backend, ebs["SnapshotId"]) if ebs.get("SnapshotId") else None
    size = ebs.get("VolumeSize") or (snapshot.volume_size if snapshot else None)
    if size is None:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter size or snapshotId")
    return _device(mapping["DeviceName"], snapshot, size, ebs)


def _device(name: str, snapshot: Any, size: int, ebs: dict[str, Any]) -> Device:
    return Device(name, snapshot, size, ebs.get("VolumeType") or "gp3", ebs.get("DeleteOnTermination", True))


def _check_root(image: Image) -> None:
    """An EBS image needs a snapshot for its root device.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidBlockDeviceMapping)
    """
    if not any(device.name == image.root_device_name and device.snapshot for device in image.devices):
        raise EC2ClientError("InvalidBlockDeviceMapping", "No root snapshot specified in device mapping.")


def _create_image(response: AmisResponse) -> ActionResult:
    """An image of an instance: a snapshot of every volume, encrypted as the volume is. It is pending for a while.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    backend = response.ec2_backend
    specifications = response._get_param("TagSpecifications", [])
    image_tags, snapshot_tags = tags_for(specifications, "image"), tags_for(specifications, "snapshot")
    instance = backend.get_instance(response._get_param("InstanceId"))
    if instance.state not in ("running", "stopped"):
        raise EC2ClientError("IncorrectInstanceState", f"The instance {instance.id} is {instance.state}")
    image = Image(
        backend,
        response._get_param("Name"),
        response._get_param("Description", ""),
        state="pending",
        architecture=instance.architecture,
        virtualization_type=instance.virtualization_type,
        root_device_name=instance.root_device_name,
    )
    image.instance_id = instance.id
    response.error_on_dryrun()
    overrides = {one["DeviceName"]: one for one in response._get_param("BlockDeviceMappings", [])}
    description = f"Created by CreateImage({instance.id}) for {image.id}"
    image.devices = _instance_devices(backend, instance, overrides, description, image.id)
    return _made(image, image_tags, snapshot_tags)


def _instance_devices(
    backend: Any, instance: Any, overrides: dict[str, Any], description: str, image_id: str
) -> list[Device]:
    devices = []
    for name, attached in instance.get_block_device_mapping:
        override = overrides.get(name, {})
        if "NoDevice" not in override:
            volume = backend.get_volume(attached.volume_id)
            snapshot = snapshots.of_volume(backend, volume, description, from_ami=image_id)
            ebs = {"VolumeType": volume.volume_type, "DeleteOnTermination": attached.delete_on_termination}
            ebs |= override.get("Ebs", {})
            devices.append(_device(name, snapshot, ebs.get("VolumeSize") or volume.size, ebs))
    return devices


def _copy_image(response: AmisResponse) -> ActionResult:
    """A copy with its own snapshots. A repeated client token returns the same copy.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html
    """
    backend = response.ec2_backend
    made = _copy_made_before(response)
    if made:
        return ActionResult({"ImageId": made})
    source = visibility.image(backend, response._get_param("SourceImageId"), response._get_param("SourceRegion"))
    _check_copy(response, source)
    image = Image(
        backend,
        response._get_param("Name"),
        response._get_param("Description") or source.description,
        state="pending",
        architecture=source.architecture,
        virtualization_type=source.virtualization_type,
        root_device_name=source.root_device_name,
        boot_mode=source.boot_mode,
        ena_support=source.ena_support,
    )
    image.platform = source.platform
    image.source_image_id, image.source_image_region = source.id, response._get_param("SourceRegion")
    specifications = response._get_param("TagSpecifications", [])
    image_tags, snapshot_tags = tags_for(specifications, "image"), tags_for(specifications, "snapshot")
    if response._get_param("CopyImageTags", False):
        image_tags = _user_tags(source) | image_tags
    image.devices = [_copied_device(response, device, source, image) for device in source.devices]
    _copies_by_token(backend)[response._get_param("ClientToken")] = (image.id, _wanted(response))
    return _made(image, image_tags, snapshot_tags)


def _copy_made_before(response: AmisResponse) -> str | None:
    """The copy that the same request with the same token made; another request with that token is an error.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    token = response._get_param("ClientToken")
    image_id, wanted = _copies_by_token(response.ec2_backend).get(token, (None, None))
    if token is None or image_id is None:
        return None
    if wanted != _wanted(response):
        raise EC2ClientError("IdempotentParameterMismatch", f"The client token {token} was used for another request")
    return image_id


def _copies_by_token(backend: Any) -> dict[str | None, tuple[str, dict[str, Any]]]:
    return backend.__dict__.setdefault("copies_by_client_token", {})


def _wanted(response: AmisResponse) -> dict[str, Any]:
    return {name: value for name, value in response.params.items() if name != "ClientToken"}


def _check_copy(response: AmisResponse, source: Image) -> None:
    """To copy an image of another account, the caller also needs permission for its snapshots and keys.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/copy-ami-permissions.html
    """
    account_id = response.ec2_backend.account_id
    if source.state != "available":
        raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{source.id}]' is not available")
    for snapshot in source.snapshots:
        if not (visibility.may_use(snapshot, account_id) and ebs_encryption.readable(snapshot, account_id)):
            raise EC2ClientError("InvalidRequest", "You do not have permission to access the storage of this ami")
        if response._get_param("Encrypted") is False and snapshot.encrypted:
            unsupported = "Creating an unencrypted copy from an encrypted snapshot is not supported."
            raise EC2ClientError("InvalidRequest", f"Snapshot {snapshot.id} is encrypted. {unsupported}")
    response.error_on_dryrun()


def _copied_device(response: AmisResponse, device: Device, source: Image, image: Image) -> Device:
    if device.snapshot is None:
        return device
    backend = response.ec2_backend
    key = ebs_encryption.key_for_copy(
        backend, device.snapshot, response._get_param("Encrypted"), response._get_param("KmsKeyId")
    )
    description = (
        f"Copied for DestinationAmi {image.id} from SourceAmi {source.id} for SourceSnapshot {device.snapshot.id}."
    )
    snapshot = snapshots.copy_of(backend, device.snapshot, description, key, from_ami=image.id)
    return Device(device.name, snapshot, device.size, device.volume_type, device.delete_on_termination)


def _user_tags(source: Image) -> dict[str, str]:
    """The tags that the caller sees on the source, without those of AWS itself."""
    return {tag["key"]: tag["value"] for tag in source.get_tags() if not tag["key"].startswith("aws:")}


def _made(image: Image, image_tags: dict[str, str], snapshot_tags: dict[str, str]) -> ActionResult:
    image.ec2_backend.amis[image.id] = image
    image.add_tags(image_tags)
    for snapshot in image.snapshots:
        snapshot.add_tags(snapshot_tags)
    image_states.become_available_later(image)
    return ActionResult({"ImageId": image.id})
