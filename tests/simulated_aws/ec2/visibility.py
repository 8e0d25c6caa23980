"""Decides who sees an image or a snapshot: its owner, and the accounts that it is shared with.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
"""

import copy
from collections.abc import Iterator
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, MalformedAMIIdError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import Snapshot

from simulated_aws.ec2.image import Image
from simulated_aws.organizations import membership

Permission = dict[str, str]


def images(backend: Any, region: str | None = None) -> list[Image]:
    """Every image that the backend's account may launch: its own, and those shared with it.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html
    """
    entitled = entitlements(backend.account_id)
    seen = []
    for owner in _backends(region or backend.region_name):
        for image in list(owner.amis.values()):
            if owner.account_id == backend.account_id:
                seen.append(image)
            elif any(permission in entitled for permission in image.launch_permissions):
                seen.append(image.seen_from(backend))
    return seen


def image(backend: Any, image_id: str, region: str | None = None) -> Image:
    """The image, if the backend's account sees it."""
    if not str(image_id).startswith("ami-"):
        raise MalformedAMIIdError([image_id])
    found = next((one for one in images(backend, region) if one.id == image_id), None)
    if found is None:
        raise InvalidAMIIdError(image_id)
    return found


def entitlements(account_id: str) -> list[Permission]:
    """The launch permissions that include this account: its id, its organization, each OU above it, and `all`."""
    organization = membership.organization_of(account_id)
    through = [{"OrganizationArn": organization.org.arn}] if organization else []
    through += [{"OrganizationalUnitArn": ou.arn} for ou in membership.ous_above(account_id)]
    return [{"UserId": account_id}, {"Group": "all"}, *through]


def snapshots(backend: Any, region: str | None = None) -> list[Snapshot]:
    """Every snapshot that the backend's account may use: its own, and those whose permission names it or everyone."""
    seen = []
    for owner in _backends(region or backend.region_name):
        for snapshot in list(owner.snapshots.values()):
            if owner.account_id == backend.account_id:
                seen.append(snapshot)
            elif may_use(snapshot, backend.account_id):
                seen.append(_seen_from(backend, snapshot))
    return seen


def snapshot(backend: Any, snapshot_id: str, region: str | None = None) -> Snapshot:
    """The snapshot, if the backend's account may use it."""
    found = next((one for one in snapshots(backend, region) if one.id == snapshot_id), None)
    if found is None:
        raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    return found


def may_use(snapshot: Snapshot, account_id: str) -> bool:
    """Whether the account owns the snapshot or is named by its create-volume permission."""
    return (
        snapshot.owner_id == account_id
        or account_id in snapshot.create_volume_permission_userids
        or "all" in snapshot.create_volume_permission_groups
    )


def _seen_from(backend: Any, snapshot: Snapshot) -> Snapshot:
    """Another account does not see the owner's tags."""
    view = copy.copy(snapshot)
    view.ec2_backend = backend
    return view


def _backends(region: str) -> Iterator[Any]:
    """The EC2 of every account that has used this Region, without making one for those that have not."""
    for regions in list(ec2_backends.values()):
        backend = regions.get(region)
        if backend is not None:
            yield backend
