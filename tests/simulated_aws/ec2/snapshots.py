"""Snapshots and volumes keep their size, encryption and key.

`visibility` decides who sees a snapshot, `snapshot_permissions` and with which accounts it can be shared.
"""

from dataclasses import dataclass
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidSnapshotIdError, InvalidSnapshotInUse
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot, Volume
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.utils import random_snapshot_id

from simulated_aws.ec2 import ebs_encryption, visibility

VOLUME_OF_A_COPY = "vol-ffffffff"


@dataclass(frozen=True)
class Origin:
    """What a snapshot keeps of its volume after the volume is gone."""

    id: str
    size: int


def new_snapshot(
    backend: Any, origin: Origin, description: str, key_arn: str | None, from_ami: str | None = None
) -> Snapshot:
    """A completed snapshot in the backend's account, encrypted if there is a key."""
    snapshot = Snapshot(
        backend, random_snapshot_id(), volume=origin, description=description, kms_key_id=key_arn, from_ami=from_ami
    )
    backend.snapshots[snapshot.id] = snapshot
    return snapshot


def of_volume(backend: Any, volume: Volume, description: str, from_ami: str | None = None) -> Snapshot:
    """A snapshot of a volume, encrypted with the volume's key.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html
    """
    return new_snapshot(backend, Origin(volume.id, volume.size), description, volume.kms_key_id, from_ami)


def copy_of(
    backend: Any, source: Snapshot, description: str, key_arn: str | None, from_ami: str | None = None
) -> Snapshot:
    """A copy in the backend's account and Region. Its volume id means nothing.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
    """
    return new_snapshot(backend, Origin(VOLUME_OF_A_COPY, source.volume_size), description, key_arn, from_ami)


def install() -> None:
    """Replaces moto's encryption of volumes and snapshots."""
    EBSBackend.create_volume = _with_the_right_key(EBSBackend.create_volume)
    EBSBackend.create_snapshot = _create_snapshot
    EBSBackend.delete_snapshot = _delete_snapshot
    ElasticBlockStore.copy_snapshot = _copy_snapshot


def _with_the_right_key(create_volume: Any) -> Any:
    """To create a volume, the caller must see the snapshot, have its permission, and may use its key.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
    """

    def call(
        self: Any, size: int | None, zone_name: str, snapshot_id: str | None = None, encrypted: bool = False,
        kms_key_id: str | None = None, **rest: Any,
    ) -> Volume:  # fmt: skip
        if snapshot_id:
            source = visibility.snapshot(self, snapshot_id)
            if not ebs_encryption.readable(source, self.account_id):
                raise InvalidSnapshotIdError()
            size = size or source.volume_size
            key = ebs_encryption.key_for_copy(self, source, encrypted, kms_key_id)
        else:
            key = ebs_encryption.key_for(self, encrypted, kms_key_id)
        volume = create_volume(self, size, zone_name, encrypted=key is not None, kms_key_id=key, **rest)
        volume.snapshot_id = snapshot_id
        return volume

    return call


def _create_snapshot(
    backend: Any, volume_id: str, description: str, owner_id: str | None = None, from_ami: str | None = None
) -> Snapshot:
    return of_volume(backend, backend.get_volume(volume_id), description, from_ami)


def _delete_snapshot(backend: Any, snapshot_id: str) -> Snapshot:
    """Refuses to delete a snapshot that an image needs.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html
    """
    snapshot = backend.get_snapshot(snapshot_id)
    for image in list(backend.amis.values()):
        if any(device.snapshot is snapshot for device in image.devices):
            raise InvalidSnapshotInUse(snapshot_id, image.id)
    return backend.snapshots.pop(snapshot_id)


def _copy_snapshot(response: ElasticBlockStore) -> ActionResult:
    """CopySnapshot honours `Encrypted` and `KmsKeyId`, and reads snapshots that other accounts share with the caller."""
    backend = response.ec2_backend
    source = visibility.snapshot(
        backend, response._get_param("SourceSnapshotId"), region=response._get_param("SourceRegion")
    )
    response.error_on_dryrun()
    encrypted = response._get_param("Encrypted")
    if encrypted is False and source.encrypted:
        raise EC2ClientError(
            "InvalidParameterValue", "Value (false) for parameter Encrypted is invalid: the source is encrypted."
        )
    if not ebs_encryption.readable(source, backend.account_id):
        raise EC2ClientError("InvalidSnapshot.NotFound", f"The key of {source.id} does not allow the caller.")
    key = ebs_encryption.key_for_copy(backend, source, encrypted, response._get_param("KmsKeyId"))
    copy = copy_of(backend, source, response._get_param("Description", ""), key)
    copy.add_tags(response._parse_tag_specification().get("snapshot", {}))
    return ActionResult({"SnapshotId": copy.id, "Tags": copy.tag_set})
