"""`Tag Change on Resource`: sends an event when the tags of an image or a snapshot really change.

https://docs.aws.amazon.com/tag-editor/latest/userguide/tags-events.html
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from moto.ec2.models.tags import TagBackend

from simulated_aws.eventbridge import emission

_RESOURCE_TYPES = {"ami": "image", "snap": "snapshot"}

# How often each resource's tags have changed: the event's `version`, which rises with every change.
_versions: dict[str, int] = defaultdict(int)


def _emitting(change: Callable[..., bool]) -> Callable[..., bool]:
    """Wraps a function of moto that changes tags; all of them take the resources first. Tags set at creation pass here too."""

    def call(self: Any, resource_ids: list[str], tags: Any) -> bool:
        before = {resource_id: dict(self.tags.get(resource_id, {})) for resource_id in resource_ids}
        result = change(self, resource_ids, tags)
        for resource_id, old in before.items():
            _emit(self, resource_id, old, dict(self.tags.get(resource_id, {})))
        return result

    return call


def _emit(backend: Any, resource_id: str, old: dict[str, str], new: dict[str, str]) -> None:
    resource_type = _RESOURCE_TYPES.get(resource_id.split("-")[0])
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if resource_type is None or not changed:
        return
    _versions[resource_id] += 1
    detail = {
        "changed-tag-keys": changed,
        "service": "ec2",
        "resource-type": resource_type,
        "version": _versions[resource_id],
        "tags": new,
    }
    arn = f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:{resource_type}/{resource_id}"
    emission.emit(backend.account_id, backend.region_name, "aws.tag", "Tag Change on Resource", [arn], detail)


def install() -> None:
    """Wraps CreateTags, DeleteTags and what the tagging API calls."""
    for name in ("create_tags", "delete_tags", "delete_tag_keys"):
        setattr(TagBackend, name, _emitting(getattr(TagBackend, name)))
