"""Tags of EC2 resources: checks each tag, sets all tags of a request as one change, and removes all tags at once.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from collections.abc import Callable
from typing import Any

from moto.core.responses import EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.tags import TagBackend
from moto.ec2.responses.tags import TagResponse

LONGEST_KEY = 128
LONGEST_VALUE = 256


def install() -> None:
    """Checks tags wherever they are set, and lets a resource find its tags without reading all tags of the Region."""
    TagBackend.create_tags = _checked(TagBackend.create_tags)
    TagResponse.create_tags = _create_tags
    TagResponse.delete_tags = _delete_tags(TagResponse.delete_tags)
    TaggedEC2Resource.get_tags = _tags_of
    TaggedEC2Resource.add_tags = _add_at_once


def _create_tags(response: TagResponse) -> EmptyResult:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html"""
    backend = response.ec2_backend
    resources = response._get_param("Resources", [])
    tags = {tag["Key"]: tag.get("Value", "") for tag in response._get_param("Tags", [])}
    if any(key.lower().startswith("aws:") for key in tags):
        raise _invalid("Tag keys starting with 'aws:' are reserved for internal use")
    backend.do_resources_exist(resources)
    response.error_on_dryrun()
    backend.create_tags(resources, tags)
    return EmptyResult()


def _delete_tags(delete: Callable[[TagResponse], Any]) -> Callable[[TagResponse], Any]:
    """A request without tags removes all tags of users from its resources; those of AWS stay.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html (Tag.N)
    """

    def call(response: TagResponse) -> Any:
        if response._get_param("Tags", []):
            return delete(response)
        response.error_on_dryrun()
        backend = response.ec2_backend
        for resource in response._get_param("Resources", []):
            keys = [key for key in backend.tags.get(resource, {}) if not key.lower().startswith("aws:")]
            backend.delete_tag_keys([resource], keys)
        return EmptyResult()

    return call


def _checked(create_tags: Callable[..., bool]) -> Callable[..., bool]:
    def call(backend: Any, resource_ids: list[str], tags: dict[str, str]) -> bool:
        for key, value in tags.items():
            if not 1 <= len(key) <= LONGEST_KEY:
                raise _invalid(f"Tag key exceeds the maximum length of {LONGEST_KEY} characters")
            if len(value or "") > LONGEST_VALUE:
                raise _invalid(f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters")
        return create_tags(backend, resource_ids, tags)

    return call


def _tags_of(resource: TaggedEC2Resource) -> list[dict[str, str]]:
    tags = resource.ec2_backend.tags.get(resource.id, {})
    return [{"resource_id": resource.id, "key": key, "value": value} for key, value in list(tags.items())]


def _add_at_once(resource: TaggedEC2Resource, tags: dict[str, str]) -> None:
    """AWS sends an event for each change of tags, so the tags of one request have to be one change."""
    if tags:
        resource.ec2_backend.create_tags([resource.id], tags)


def _invalid(message: str) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", message)
