"""RunInstances: launches only images that the caller may launch, with their block devices, decrypted with their keys.

How a launch fails:
- The image is unknown or not shared with the caller: `InvalidAMIID.NotFound`. It is pending, disabled or failed:
  `InvalidAMIID.Unavailable`. In both cases there is no instance.
- [R] The image's owner cannot use a snapshot of it any more, because another account owns the snapshot and deleted it or
  shares it no longer: `InvalidSnapshot.NotFound`, and no instance. No public evidence was found for the code.
- A key does not allow the caller: RunInstances succeeds, and the next DescribeInstances shows the instance as `terminated`
  with the StateReason `Client.InternalError`. So does AWS, where EC2 uses the key only when it makes the volumes.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-internal
"""

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend, Reservation, StateReason
from moto.ec2.responses.instances import InstanceResponse

from simulated_aws.core import accounts
from simulated_aws.ec2 import ebs_encryption, visibility
from simulated_aws.ec2.image import Device, Image
from simulated_aws.kms import key_access, keys

CLIENT_ERROR = "Client.InternalError"


def install() -> None:
    """Adds the checks to moto's launch, and gives the instance the block devices of its image."""
    InstanceBackend.run_instances = _run_instances(InstanceBackend.run_instances)
    InstanceResponse._parse_block_device_mapping = _mappings_as_requested


def _run_instances(run: Callable[..., Reservation]) -> Callable[..., Reservation]:
    def call(
        backend: Any, image_id: str | None, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
    ) -> Reservation:
        image = visibility.image(backend, image_id or _image_of_template(backend, kwargs.get("launch_template")))
        if image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image.id}]' is not available")
        for snapshot in image.snapshots:
            visibility.snapshot(image.backend_of_owner, snapshot.id)
        volumes = _volumes(backend, image, _overrides(backend, kwargs))
        failed = not all(_can_be_made(backend, volume) for volume in volumes)
        kwargs["block_device_mappings"] = [] if failed else [_mapping(backend, volume) for volume in volumes]
        reservation = run(backend, image_id, count, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            _fail(instance) if failed else _note_snapshots(instance, volumes)
        return reservation

    return call


def _image_of_template(backend: Any, template: dict[str, Any] | None) -> str | None:
    return backend._get_template_from_args(template).image_id if template else None


def _overrides(backend: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the request, or else its launch template, says of block devices, by device name."""
    requested = kwargs.get("block_device_mappings")
    template = kwargs.get("launch_template")
    if not requested and template:
        requested = backend._get_template_from_args(template).data.get("BlockDeviceMappings")
    return {one["DeviceName"]: one for one in requested or []}


def _volumes(backend: Any, image: Image, overrides: dict[str, Any]) -> list[tuple[Device, dict[str, Any]]]:
    """The image's devices with what the request says of each, and the devices that only the request names.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-device-mapping-concepts.html
    """
    of_image = [(device, overrides.get(device.name, {})) for device in image.devices]
    names = {device.name for device in image.devices}
    extra = [
        (_device_of_request(backend, name, override["Ebs"]), override)
        for name, override in overrides.items()
        if name not in names and override.get("Ebs")
    ]
    return [(device, requested.get("Ebs") or {}) for device, requested in of_image + extra if requested.get("NoDevice") is None]


def _device_of_request(backend: Any, name: str, ebs: dict[str, Any]) -> Device:
    snapshot = visibility.snapshot(backend, ebs["SnapshotId"]) if ebs.get("SnapshotId") else None
    size = ebs.get("VolumeSize") or (snapshot.volume_size if snapshot else None)
    if size is None:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter size or snapshotId")
    return Device(name, snapshot, size)


def _can_be_made(backend: Any, volume: tuple[Device, dict[str, Any]]) -> bool:
    """EC2 has to read the image's snapshot, and to encrypt with the key that the request names."""
    device, requested = volume
    readable = device.snapshot is None or ebs_encryption.readable(device.snapshot, backend.account_id)
    named = requested.get("KmsKeyId")
    if not named:
        return readable
    key = keys.find(named, backend.account_id, backend.region_name)
    caller = accounts.caller(backend.account_id)
    return readable and key is not None and key_access.ec2_may_encrypt_with(key, caller)


def _mapping(backend: Any, volume: tuple[Device, dict[str, Any]]) -> dict[str, Any]:
    """What moto needs to make the volume. The snapshot is noted afterwards: launching needs no permission on it."""
    device, requested = volume
    encrypted, named = requested.get("Encrypted"), requested.get("KmsKeyId")
    if device.snapshot:
        key = ebs_encryption.key_for_copy(backend, device.snapshot, encrypted, named)
    else:
        key = ebs_encryption.key_for(backend, encrypted, named)
    ebs = {
        "VolumeSize": requested.get("VolumeSize") or device.size,
        "VolumeType": requested.get("VolumeType") or device.volume_type,
        "DeleteOnTermination": requested.get("DeleteOnTermination", device.delete_on_termination),
        "Encrypted": key is not None,
        "KmsKeyId": key,
    }
    return {"DeviceName": device.name, "Ebs": ebs}


def _note_snapshots(instance: Instance, volumes: list[tuple[Device, dict[str, Any]]]) -> None:
    for device, _ in volumes:
        if device.snapshot:
            volume_id = instance.block_device_mapping[device.name].volume_id
            instance.ec2_backend.get_volume(volume_id).snapshot_id = device.snapshot.id


def _fail(instance: Instance) -> None:
    instance.disable_api_termination = False
    instance.terminate()
    instance._reason = CLIENT_ERROR
    instance.state_reason = StateReason(f"{CLIENT_ERROR}: Client error on launch", CLIENT_ERROR)


def _mappings_as_requested(response: InstanceResponse) -> list[dict[str, Any]]:
    """What the request says and no more: moto fills in defaults, which would then override the image's own settings."""
    return response._get_param("BlockDeviceMappings", [])
