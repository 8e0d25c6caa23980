"""Create-volume permissions: who may use a snapshot, and which changes EC2 accepts.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html
"""

import re
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.responses.elastic_block_store import ElasticBlockStore

from simulated_aws.core import accounts
from simulated_aws.ec2 import visibility
from simulated_aws.ec2.permission_changes import Permission, changes
from simulated_aws.kms import keys

# The parameters of the flat form, and what they name.
FLAT_FORMS = {"UserIds": "UserId", "GroupNames": "Group"}

MAXIMUM_MODIFICATIONS = 500


def install() -> None:
    """Replaces moto's snapshot attributes."""
    ElasticBlockStore.modify_snapshot_attribute = _modify_snapshot_attribute
    ElasticBlockStore.reset_snapshot_attribute = _reset_snapshot_attribute
    ElasticBlockStore.describe_snapshot_attribute = _describe_snapshot_attribute


def _modify_snapshot_attribute(response: ElasticBlockStore) -> EmptyResult:
    """Makes all changes, or none if one is refused."""
    snapshot = _snapshot_of_caller(response)
    response.error_on_dryrun()
    added, removed = (changes(response, operation, "CreateVolumePermission", FLAT_FORMS) for operation in ("Add", "Remove"))
    _check_extent(added, removed)
    for permission in added + removed:
        _check_form(permission)
    if added:
        _check_additions(snapshot, added)
    for permission in added:
        _set_named_by(snapshot, permission).update(permission.values())
    for permission in removed:
        _set_named_by(snapshot, permission).difference_update(permission.values())
    return EmptyResult()


def _reset_snapshot_attribute(response: ElasticBlockStore) -> EmptyResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetSnapshotAttribute.html"""
    snapshot = _snapshot_of_caller(response)
    response.error_on_dryrun()
    snapshot.create_volume_permission_userids.clear()
    snapshot.create_volume_permission_groups.clear()
    return EmptyResult()


def _describe_snapshot_attribute(response: ElasticBlockStore) -> ActionResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshotAttribute.html"""
    snapshot = _snapshot_of_caller(response)
    groups = [{"Group": group} for group in snapshot.create_volume_permission_groups]
    users = [{"UserId": account} for account in sorted(snapshot.create_volume_permission_userids)]
    return ActionResult({"SnapshotId": snapshot.id, "CreateVolumePermissions": groups + users})


def _snapshot_of_caller(response: ElasticBlockStore) -> Snapshot:
    backend = response.ec2_backend
    snapshot = visibility.snapshot(backend, response._get_param("SnapshotId"))
    if snapshot.owner_id != backend.account_id:
        raise EC2ClientError("AuthFailure", f"You do not own the snapshot {snapshot.id}")
    return snapshot


def _check_extent(added: list[Permission], removed: list[Permission]) -> None:
    """One call either adds or removes, at most 500. AWS documents no codes for this: these are assumptions."""
    if added and removed:
        message = "Permissions cannot be added and removed in the same operation."
        raise EC2ClientError("InvalidParameterCombination", message)
    if len(added) + len(removed) > MAXIMUM_MODIFICATIONS:
        message = f"At most {MAXIMUM_MODIFICATIONS} modifications can be made in a single operation."
        raise EC2ClientError("InvalidParameterValue", message)


def _check_form(permission: Permission) -> None:
    [(kind, named)] = permission.items()
    form = r"\d{12}" if kind == "UserId" else "all"
    if re.fullmatch(form, named) is None:
        raise _invalid(kind, named)


def _check_additions(snapshot: Snapshot, added: list[Permission]) -> None:
    """Accounts have to exist, encrypted snapshots stay private, and those on an AWS managed key stay unshared.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
    """
    for account_id in (permission["UserId"] for permission in added if "UserId" in permission):
        if not accounts.exists(account_id):
            raise _invalid("UserId", account_id)
    if snapshot.encrypted and keys.is_aws_managed(snapshot.kms_key_id):
        message = "Encrypted snapshots with EBS default key cannot be shared"
        raise EC2ClientError("OperationNotPermitted", message)
    if snapshot.encrypted and {"Group": "all"} in added:
        message = "Encrypted snapshots can't be shared publicly."
        raise EC2ClientError("UnsupportedOperation", message)


def _set_named_by(snapshot: Snapshot, permission: Permission) -> set[str]:
    is_user = "UserId" in permission
    return snapshot.create_volume_permission_userids if is_user else snapshot.create_volume_permission_groups


def _invalid(kind: str, named: str) -> Any:
    return EC2ClientError("InvalidParameterValue", f"Value ({named}) for parameter {kind} is invalid.")
