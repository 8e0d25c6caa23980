"""Checks of EC2: which codes it answers with, how fast it shows a change, what it shows of disabled and deregistered images."""

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sandbox.answers import ACCEPTED, ALLOWED_IN_DRY_RUN, MISSING, REJECTED, answer, code_of, response_code, seconds_until, undo, until
from sandbox.findings import Finding, Needs, NotChecked, check, contradicted, holds, holds_if
from sandbox.fixture import A_SECOND_ACCOUNT, NONEXISTENT, Fixture

# How fast EC2 must show a change, so that the next reconciliation does not count it as missing.
SETTLED_SECONDS = 2.0

# How long to check after a refusal that nothing was added, and how long to wait until a revoked permission is gone.
LATE_SECONDS = 5
EMPTY_SECONDS = 30

FILTER_VALUES = 100


def launch_permissions(fixture: Fixture, image: str) -> list[dict[str, str]]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html"""
    answered = fixture.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return list(answered.get("LaunchPermissions", []))


def volume_permissions(fixture: Fixture) -> list[dict[str, str]]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshotAttribute.html"""
    attribute = {"SnapshotId": fixture.snapshot, "Attribute": "createVolumePermission"}
    return list(fixture.ec2.describe_snapshot_attribute(**attribute).get("CreateVolumePermissions", []))


def change_image(fixture: Fixture, image: str, operation: str, *accounts: str, **more: Any) -> str:
    """`Add` or `Remove`: `accepted`, or the code of the refusal."""
    permission = {operation: [{"UserId": account} for account in accounts]}
    return answer(fixture.ec2.modify_image_attribute, ImageId=image, LaunchPermission=permission, **more)


def change_snapshot(fixture: Fixture, operation: str, *accounts: str, **more: Any) -> str:
    """The same for the snapshot."""
    permission = {operation: [{"UserId": account} for account in accounts]}
    attribute = {"SnapshotId": fixture.snapshot, "Attribute": "createVolumePermission"}
    return answer(fixture.ec2.modify_snapshot_attribute, **attribute, CreateVolumePermission=permission, **more)


def _with_one_bad(fixture: Fixture, change: Callable[..., str], permissions: Callable[[], list[dict[str, str]]]) -> Finding:
    """The result of calls with an existing account and one that does not exist."""
    seen = []
    for nonexistent in fixture.nonexistent_accounts:
        if not until(lambda: not permissions(), fixture.within(EMPTY_SECONDS), pause=1):
            raise NotChecked("a revoked permission is still shown")
        try:
            code = change("Add", fixture.grantee, nonexistent)
            added = until(permissions, fixture.within(LATE_SECONDS), pause=1)
        finally:
            undo(change, "Remove", fixture.grantee)
            undo(change, "Remove", nonexistent)
        kind = "an account that does not exist" if nonexistent == NONEXISTENT else "a random account"
        if code == ACCEPTED:
            return contradicted(f"EC2 accepted {kind}")
        if code not in REJECTED:
            return contradicted(f"{kind} is refused with {code}, which is not counted as a rejected item")
        if added:
            return contradicted(f"{kind} is refused with {code}, but the existing account was added")
        seen.append(f"{kind} is refused with {code}")
    return holds(", ".join(seen) + "; nothing was added")


@check("image-bad-account", "EC2 refuses a launch permission for an account that does not exist with a code that we count as a rejected item, and then adds nothing of the call.")
def bad_account_of_an_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIAttributeItemValue)"""
    return _with_one_bad(fixture, partial(change_image, fixture, fixture.image), lambda: launch_permissions(fixture, fixture.image))


@check("snapshot-bad-account", "EC2 refuses a create-volume permission for an account that does not exist with a code that we count as a rejected item, and then adds nothing of the call.")
def bad_account_of_a_snapshot(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html (names no codes)

    EC2 does not list a snapshot's owner among the accounts that may use it, so a check with our own account would show nothing:
    https://github.com/hashicorp/terraform-provider-aws/issues/12102.
    """
    fixture.second  # noqa: B018
    return _with_one_bad(fixture, partial(change_snapshot, fixture), lambda: volume_permissions(fixture))


@check("permissions-settle", "Within two seconds, EC2 shows a launch or create-volume permission that was added or removed.")
def permissions_settle(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    granted = {"UserId": fixture.grantee}
    change = partial(change_image, fixture, fixture.image)
    took = _settling(fixture, "image", change, lambda: granted in launch_permissions(fixture, fixture.image))
    if fixture.has_second:
        # Only then: see `bad_account_of_a_snapshot`.
        took |= _settling(fixture, "snapshot", partial(change_snapshot, fixture), lambda: granted in volume_permissions(fixture))
    seen = ", ".join(f"{what} {f'{seconds:.1f} s' if seconds is not None else 'not seen'}" for what, seconds in took.items())
    if any(seconds is None or seconds > SETTLED_SECONDS for seconds in took.values()):
        return contradicted(seen)
    if not fixture.has_second:
        raise Needs(f"{A_SECOND_ACCOUNT} for the snapshot; {seen}")
    return holds(seen)


def _settling(fixture: Fixture, place: str, change: Callable[..., str], is_granted: Callable[[], bool]) -> dict[str, float | None]:
    """How long it took until EC2 showed each change."""
    took = {}
    for operation, settled in (("Add", is_granted), ("Remove", lambda: not is_granted())):
        code = change(operation, fixture.grantee)
        if code != ACCEPTED:
            raise NotChecked(f"the {place} could not be changed for that account ({code}); try --second-profile")
        took[f"{place} {operation.lower()}"] = seconds_until(settled, fixture.within(60))
    return took


@check("disabled-image", "A disabled image is found by its id and by its tags where disabled images are asked for, and has no launch permissions any more.")
def disabled_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html"""
    image = fixture.new_image("disabled")
    code = change_image(fixture, image, "Add", fixture.grantee)
    if not until(lambda: launch_permissions(fixture, image), fixture.within(EMPTY_SECONDS), pause=1):
        raise NotChecked(f"EC2 shows no launch permission that the image could lose ({code})")
    fixture.ec2.disable_image(ImageId=image)
    tagged = [{"Name": "tag-key", "Values": ["ami-share-*"]}, {"Name": "image-id", "Values": [image]}]

    def states() -> list[str]:
        by_id = fixture.ec2.describe_images(ImageIds=[image], IncludeDisabled=True)["Images"]
        by_tag = fixture.ec2.describe_images(Owners=["self"], IncludeDisabled=True, Filters=tagged)["Images"]
        return [one["State"] for one in by_id + by_tag]

    if not until(lambda: states() == ["disabled", "disabled"], fixture.within(30)):
        return contradicted(f"found by id and by tag in the states {states()}")
    try:
        until(lambda: not launch_permissions(fixture, image), fixture.within(EMPTY_SECONDS), pause=1)
        remaining = launch_permissions(fixture, image)
    except ClientError as error:
        seen = f"found; DescribeImageAttribute answers {code_of(error)}"
        return holds_if(code_of(error) in MISSING, seen)
    return holds_if(not remaining, f"found; {len(remaining)} launch permissions")


@check("gone-image", "For an image that was deregistered a moment ago, EC2 answers with a code that we count as gone, or shows nothing.")
def gone_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.*)"""
    image = fixture.new_image("gone")
    fixture.ec2.deregister_image(ImageId=image)
    seen: dict[str, dict[str, None]] = {}

    def note(call: str, answered: str) -> bool:
        seen.setdefault(call, {})[answered] = None
        return answered in MISSING or answered == "nothing"

    def is_gone() -> bool:
        describe = {"ImageIds": [image], "IncludeDisabled": True}
        shown: list[Any] = []
        found = answer(lambda: shown.extend(fixture.ec2.describe_images(**describe)["Images"]))
        if found == ACCEPTED:
            found = "an image" if shown else "nothing"
        attribute = answer(fixture.ec2.describe_image_attribute, ImageId=image, Attribute="launchPermission")
        removed = change_image(fixture, image, "Remove", fixture.grantee)
        answered = {"DescribeImages": found, "DescribeImageAttribute": attribute, "removing": removed}
        return all([note(call, code) for call, code in answered.items()])

    is_gone_in_time = until(is_gone, fixture.within(30), pause=1)
    # Until then, EC2 may still show it.
    others = {code for codes in seen.values() for code in codes} - MISSING - {"nothing", "an image", ACCEPTED}
    shown = ", ".join(f"{call}: {', then '.join(codes)}" for call, codes in seen.items())
    return holds_if(is_gone_in_time and not others, shown)


@check("image-filter", "A filter by image ids takes a hundred values, and images that do not exist are no error in it.")
def image_filter(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html"""
    others = [f"ami-0000000000000{number:04x}" for number in range(FILTER_VALUES - 1)]
    filters = [{"Name": "image-id", "Values": [*others, fixture.image]}]
    try:
        found = fixture.ec2.describe_images(Owners=["self"], IncludeDisabled=True, Filters=filters)["Images"]
    except ClientError as error:
        return contradicted(f"refused with {code_of(error)}")
    return holds_if([one["ImageId"] for one in found] == [fixture.image], f"{len(found)} image found by {FILTER_VALUES} values")


def dry_run(call: Any, **parameters: Any) -> str:
    """Whether EC2 would authorize the call. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    code = response_code(call, DryRun=True, **parameters)
    return "allowed" if code == ALLOWED_IN_DRY_RUN else code
