"""Checks of events: which events EventBridge delivers for an image, its tags and its permissions, and in which form.

CloudTrail's events need a trail in the account, and take minutes.
"""

import json
from collections.abc import Callable
from typing import Any

from sandbox.answers import TAKEN, judged
from sandbox.findings import Finding, Needs, NotChecked, check, holds_if
from sandbox.event_listener import Event
from sandbox.images import change_image, change_snapshot
from sandbox.fixture import OUR_TAG, Fixture

# How long the checks wait for all events together.
EVENTS_WITHIN_SECONDS = 900

STATE, TAGS, CALL = "EC2 AMI State Change", "Tag Change on Resource", "AWS API Call via CloudTrail"


def provoke(fixture: Fixture) -> None:
    """Makes all changes once; their events arrive while other checks run."""
    image = fixture.image
    fixture.ec2.create_tags(Resources=[image], Tags=[{"Key": OUR_TAG["Key"], "Value": "2001-01-02"}])
    for operation in ("Add", "Remove"):
        change_image(fixture, image, operation, fixture.grantee)
        change_snapshot(fixture, operation, fixture.grantee)
    fixture.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    fixture.ec2.reset_snapshot_attribute(SnapshotId=fixture.snapshot, Attribute="createVolumePermission")


def _wait(fixture: Fixture, is_wanted: Callable[[Event], bool]) -> Event:
    image = fixture.image
    event = fixture.event_listener.wait_for(is_wanted, fixture.within(EVENTS_WITHIN_SECONDS))
    if event is not None:
        return event
    others = sum(image in json.dumps(event) for event in fixture.event_listener.received)
    raise NotChecked(f"no such event came in time ({others} others of the image did)")


def _call(fixture: Fixture, name: str, id: str) -> Event:
    """CloudTrail's event of a successful call for our image or snapshot, wherever it has the id.

    Other checks call with accounts that do not exist, and with organizations: those are passed over.
    """
    if not fixture.has_trail:
        raise Needs("a CloudTrail trail in the account")

    def is_wanted(event: Event) -> bool:
        detail, text = event["detail"], json.dumps(event["detail"])
        is_plain = not detail.get("errorCode") and not any(one in text for one in (*fixture.nobodies, "rganizationArn"))
        return is_plain and detail.get("eventName") == name and id in text

    return _wait(fixture, is_wanted)


def _shape(fixture: Fixture, name: str, id_name: str, id: str, permission: str | None) -> Finding:
    """What the rules of template.yaml and `look.rs` read: the id, and that a call that worked has no error code."""
    detail = _call(fixture, name, id)["detail"]
    given: dict[str, Any] = detail.get("requestParameters") or {}
    seen = f"requestParameters has {', '.join(sorted(given)) or 'nothing'}"
    as_read = given.get(id_name) == id and "errorCode" not in detail
    if permission is not None:
        changed = given.get(permission) or {}
        items = [one.get("items") for one in (changed.get("add"), changed.get("remove")) if one]
        seen += f"; {permission} has {json.dumps(changed)}"
        as_read = as_read and items == [[{"userId": fixture.grantee}]]
    return holds_if(as_read, seen)


@check("event-tags", "A change of an image's tags is told with `service` `ec2`, `resource-type` `image`, the image's ARN and the keys that changed.")
def event_of_tags(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/monitor-tag-changes.html (its example is an instance)"""
    image = fixture.image
    event = _wait(fixture, lambda event: event["detail-type"] == TAGS and image in json.dumps(event))
    detail, resources = event["detail"], event.get("resources") or [""]
    seen = f"service {detail.get('service')}, resource-type {detail.get('resource-type')}, keys {detail.get('changed-tag-keys')}, {resources[0]}"
    as_read = (detail.get("service"), detail.get("resource-type")) == ("ec2", "image")
    is_named = resources[0].rsplit("image/", 1)[-1] == image
    return holds_if(as_read and is_named and OUR_TAG["Key"] in detail.get("changed-tag-keys", []), seen)


@check("event-register-image", "CloudTrail's event of RegisterImage has the new image's id, and its tags somewhere in `requestParameters`.")
def event_of_register_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html (shows no call that makes an image)"""
    detail = _call(fixture, "RegisterImage", fixture.image)["detail"]
    is_named = (detail.get("responseElements") or {}).get("imageId") == fixture.image
    has_tags = OUR_TAG["Key"] in json.dumps(detail.get("requestParameters"))
    seen = f"the id is {'there' if is_named else 'not there'}, the tags are {'there' if has_tags else 'not there'}"
    return holds_if(is_named and has_tags, seen)


@check("event-modify-image", "CloudTrail's event of ModifyImageAttribute has `imageId`, and the accounts in `launchPermission.add.items` or `.remove.items`.")
def event_of_modify_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html (shows no such call)"""
    return _shape(fixture, "ModifyImageAttribute", "imageId", fixture.image, "launchPermission")


@check("event-reset-image", "CloudTrail's event of ResetImageAttribute has `imageId`.")
def event_of_reset_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html (shows no such call)"""
    return _shape(fixture, "ResetImageAttribute", "imageId", fixture.image, None)


@check("event-modify-snapshot", "CloudTrail's event of ModifySnapshotAttribute has `snapshotId`, and the accounts in `createVolumePermission.add.items` or `.remove.items`.")
def event_of_modify_snapshot(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html (shows no such call)"""
    return _shape(fixture, "ModifySnapshotAttribute", "snapshotId", fixture.snapshot, "createVolumePermission")


@check("event-reset-snapshot", "CloudTrail's event of ResetSnapshotAttribute has `snapshotId`.")
def event_of_reset_snapshot(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-cloudtrail.html (shows no such call)"""
    return _shape(fixture, "ResetSnapshotAttribute", "snapshotId", fixture.snapshot, None)


@check("missing-bus", "PutEvents to a bus of another account that does not exist refuses that entry or the call, with a code that no later try can mend.")
def missing_bus(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html (names codes, not this case)"""
    bus = fixture.second.arn("events", f"event-bus/{fixture.name('nobody')}")
    entry = {"EventBusName": bus, "Source": "ami-share-check", "DetailType": "Check", "Detail": "{}"}
    answered: dict[str, Any] = {}
    code = judged(lambda **given: answered.update(fixture.account.client("events").put_events(**given)), Entries=[entry])
    if code != TAKEN:
        known = {"ResourceNotFoundException", "AccessDeniedException", "AccessDenied", "InvalidParameterValue"}
        return holds_if(code in known, f"the call is refused with {code}")
    code = answered["Entries"][0].get("ErrorCode", TAKEN)
    passing = {"ThrottlingException", "InternalFailure", "InternalException"}
    return holds_if(code not in passing and code != TAKEN, f"the entry: {code}")
