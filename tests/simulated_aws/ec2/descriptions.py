"""DescribeImages and DescribeSnapshots: what the caller sees, filtered by ids, owners, users and filters, in pages."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, MalformedAMIIdError
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.utils import generic_filter

from simulated_aws.core.paging import InvalidToken, page
from simulated_aws.ec2 import visibility
from simulated_aws.ec2.image import Image

MAXIMUM_PAGE = 1_000


def install() -> None:
    """Replaces moto's descriptions, which its own code uses too."""
    AmiBackend.describe_images = _find_images
    EBSBackend.describe_snapshots = _find_snapshots
    AmisResponse.describe_images = _describe_images
    ElasticBlockStore.describe_snapshots = _describe_snapshots


def _describe_images(response: AmisResponse) -> ActionResult:
    """The id of an image that was deregistered a while ago gives no image and no error.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html
    """
    response.error_on_dryrun()
    backend, ids = response.ec2_backend, response._get_param("ImageIds", [])
    remaining = [one for one in ids if one not in backend.deleted_amis]
    if ids and not remaining:
        return ActionResult({"Images": []})
    found = _find_images(
        backend,
        remaining,
        response._filters_from_querystring(),
        response._get_param("ExecutableUsers", []),
        response._get_param("Owners", []),
    )
    if not ids and not response._get_param("IncludeDisabled", False):
        found = [image for image in found if image.state != "disabled"]
    return _in_pages(response, "Images", found, ids)


def _find_images(
    backend: Any,
    ami_ids: list[str] | None = None,
    filters: dict[str, Any] | None = None,
    exec_users: list[str] | None = None,
    owners: list[str] | None = None,
) -> list[Image]:
    found = visibility.images(backend)
    if ami_ids:
        found = _with_ids(found, ami_ids)
    if owners:
        found = [image for image in found if image.owner_id in _ids(owners, backend.account_id)]
    if exec_users:
        found = [image for image in found if _is_executable_by(image, exec_users, backend.account_id)]
    return generic_filter(filters or {}, found)


def _with_ids(found: list[Image], ids: list[str]) -> list[Image]:
    """An id that no image has, or whose image the caller does not see, is an error."""
    malformed = [one for one in ids if not one.startswith("ami-")]
    if malformed:
        raise MalformedAMIIdError(malformed)
    visible = {image.id for image in found}
    unknown = [one for one in ids if one not in visible]
    if unknown:
        raise InvalidAMIIdError(unknown)
    return [image for image in found if image.id in ids]


def _is_executable_by(image: Image, users: list[str], account_id: str) -> bool:
    """`all` means public images. The caller's own account includes its organization and OUs; another account only itself."""
    accepted: list[dict[str, str]] = [{"Group": "all"}] if "all" in users else []
    for user in _ids([user for user in users if user != "all"], account_id):
        if user == account_id:
            accepted += [one for one in visibility.entitlements(account_id) if one != {"Group": "all"}]
        else:
            accepted.append({"UserId": user})
    return any(permission in accepted for permission in image.launch_permissions)


def _describe_snapshots(response: ElasticBlockStore) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html"""
    response.error_on_dryrun()
    ids = response._get_param("SnapshotIds", [])
    account_id = response.ec2_backend.account_id
    found = _find_snapshots(response.ec2_backend, ids, response._filters_from_querystring())
    owners = response._get_param("OwnerIds", [])
    if owners:
        found = [snapshot for snapshot in found if snapshot.owner_id in _ids(owners, account_id)]
    restorers = response._get_param("RestorableByUserIds", [])
    if restorers:
        found = [snapshot for snapshot in found if _is_restorable_by(snapshot, restorers, account_id)]
    return _in_pages(response, "Snapshots", found, ids)


def _find_snapshots(
    backend: Any, snapshot_ids: list[str] | None = None, filters: dict[str, Any] | None = None
) -> list[Snapshot]:
    if snapshot_ids:
        return generic_filter(filters or {}, [visibility.snapshot(backend, one) for one in snapshot_ids])
    return generic_filter(filters or {}, visibility.snapshots(backend))


def _is_restorable_by(snapshot: Snapshot, users: list[str], account_id: str) -> bool:
    public = "all" in users and "all" in snapshot.create_volume_permission_groups
    named = _ids([user for user in users if user != "all"], account_id)
    return public or any(visibility.may_use(snapshot, user) for user in named)


def _ids(named: list[str], account_id: str) -> list[str]:
    """Account ids, with `self` for the caller's."""
    return [account_id if one == "self" else one for one in named]


def _in_pages(response: Any, key: str, found: list[Any], ids: list[str]) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/DeveloperGuide/ec2-api-pagination.html"""
    size = response._get_param("MaxResults")
    if size and ids:
        raise EC2ClientError("InvalidParameterCombination", f"MaxResults cannot be used together with ids of {key}")
    try:
        shown, token = page(found, min(int(size), MAXIMUM_PAGE) if size else None, response._get_param("NextToken"))
    except InvalidToken as token:
        raise EC2ClientError("InvalidNextToken", f"The token '{token}' is invalid") from None
    return ActionResult({key: shown, "NextToken": token})
