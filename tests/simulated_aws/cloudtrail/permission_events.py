"""Writes a change of launch or create-volume permissions as CloudTrail does: in one form, whichever form the request had.

[R] AWS documents no example. Published records have `attributeType` with `launchPermission` for images
and `CREATE_VOLUME_PERMISSION` for snapshots, and `add` and `remove` with `{"items": […]}`.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html
"""

from typing import Any

from simulated_aws.ec2 import launch_permissions, permission_changes, snapshot_permissions

# By event name: the id's parameter, the permission's parameter, the request's flat form, and the attribute's name.
_FORMS = {
    "ModifyImageAttribute": ("ImageId", "LaunchPermission", launch_permissions.FLAT_FORMS, "launchPermission"),
    "ModifySnapshotAttribute": (
        "SnapshotId", "CreateVolumePermission", snapshot_permissions.FLAT_FORMS, "CREATE_VOLUME_PERMISSION",
    ),
}  # fmt: skip


def parameters(response: Any, event_name: str) -> dict[str, Any] | None:
    """The request's parameters, if it changes permissions."""
    if event_name not in _FORMS:
        return None
    id_name, permission_name, flat_forms, attribute = _FORMS[event_name]
    changed = {
        operation.lower(): {"items": [{_lower(kind): named for kind, named in one.items()} for one in found]}
        for operation in ("Add", "Remove")
        if (found := permission_changes.changes(response, operation, permission_name, flat_forms))
    }
    if not changed:
        return None
    return {
        _lower(id_name): response._get_param(id_name),
        "attributeType": attribute,
        _lower(permission_name): changed,
    }


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
