"""Checks of EC2: its error codes, how fast it shows a change, and what it shows of disabled and deregistered images."""

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sandbox.answers import ALLOWED_IN_DRY_RUN, MISSING, REJECTED, TAKEN, answer, code_of, judged, seconds_until, undo, until
from sandbox.findings import Finding, Needs, NotChecked, check, contradicted, holds, holds_if
from sandbox.fixture import A_SECOND_ACCOUNT, NOBODY, Fixture

# How fast a change has to be seen, so that the next reconciliation does not take it for reverted.
SETTLED_SECONDS = 2.0

# How long after a refusal to check that nothing was added, and how long for what was reverted.
LATE_SECONDS = 5
EMPTY_SECONDS = 30

FILTER_VALUES = 100


def launch_permissions(fixture: Fixture, image: str) -> list[dict[str, str]]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html"""
    answered = fixture.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return list(answered.get("LaunchPermissions", []))


def volume_permissions(fixture: Fixture) -> list[dict[str, str]]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshotAttribute.html"""
    wanted = {"SnapshotId": fixture.snapshot, "Attribute": "createVolumePermission"}
    return list(fixture.ec2.describe_snapshot_attribute(**wanted).get("CreateVolumePermissions", []))


def change_image(fixture: Fixture, image: str, operation: str, *accounts: str, **more: Any) -> str:
    """`Add` or `Remove`: `taken`, or the code of the refusal."""
    permission = {operation: [{"UserId": account} for account in accounts]}
    return answer(fixture.ec2.modify_image_attribute, ImageId=image, LaunchPermission=permission, **more)


def change_snapshot(fixture: Fixture, operation: str, *accounts: str, **more: Any) -> str:
    """The same for the snapshot."""
    permission = {operation: [{"UserId": account} for account in accounts]}
    wanted = {"SnapshotId": fixture.snapshot, "Attribute": "createVolumePermission"}
    return answer(fixture.ec2.modify_snapshot_attribute, **wanted, CreateVolumePermission=permission, **more)


def _with_one_bad(fixture: Fixture, change: Callable[..., str], opened: Callable[[], list[dict[str, str]]]) -> Finding:
    """What calls with a good account and one that does not exist come to."""
    seen = []
    for nobody in fixture.nobodies:
        if not until(lambda: not opened(), fixture.within(EMPTY_SECONDS), pause=1):
            raise NotChecked("what was taken back is still shown")
        try:
            code = change("Add", fixture.grantee, nobody)
            added = until(opened, fixture.within(LATE_SECONDS), pause=1)
        finally:
            undo(change, "Remove", fixture.grantee)
            undo(change, "Remove", nobody)
        kind = "an account that does not exist" if nobody == NOBODY else "an account drawn by lot"
        if code == TAKEN:
            return contradicted(f"EC2 took {kind}")
        if code not in REJECTED:
            return contradicted(f"{kind} is refused with {code}, which is not counted as a rejected item")
        if added:
            return contradicted(f"{kind} is refused with {code}, but the good account was added")
        seen.append(f"{kind} is refused with {code}")
    return holds(", ".join(seen) + "; nothing was added")


@check("image-bad-account", "EC2 refuses a launch permission for an account that does not exist with a code that we count as a rejected item, and then adds nothing of the call.")
def bad_account_of_an_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIAttributeItemValue)"""
    return _with_one_bad(fixture, partial(change_image, fixture, fixture.image), lambda: launch_permissions(fixture, fixture.image))


@check("snapshot-bad-account", "EC2 refuses a create-volume permission for an account that does not exist with a code that we count as a rejected item, and then adds nothing of the call.")
def bad_account_of_a_snapshot(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html (names no codes)

    EC2 does not show a snapshot's owner among those who may use it, so with our own account nothing could be seen:
    https://github.com/hashicorp/terraform-provider-aws/issues/12102.
    """
    fixture.second  # noqa: B018
    return _with_one_bad(fixture, partial(change_snapshot, fixture), lambda: volume_permissions(fixture))


@check("permissions-settle", "Within two seconds, EC2 shows a launch or create-volume permission that was added or removed.")
def permissions_settle(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    wanted = {"UserId": fixture.grantee}
    change = partial(change_image, fixture, fixture.image)
    took = _settling(fixture, "image", change, lambda: wanted in launch_permissions(fixture, fixture.image))
    if fixture.has_second:
        # Only then: see `bad_account_of_a_snapshot`.
        took |= _settling(fixture, "snapshot", partial(change_snapshot, fixture), lambda: wanted in volume_permissions(fixture))
    seen = ", ".join(f"{what} {f'{seconds:.1f} s' if seconds is not None else 'not seen'}" for what, seconds in took.items())
    if any(seconds is None or seconds > SETTLED_SECONDS for seconds in took.values()):
        return contradicted(seen)
    if not fixture.has_second:
        raise Needs(f"{A_SECOND_ACCOUNT} for the snapshot; {seen}")
    return holds(seen)


def _settling(fixture: Fixture, place: str, change: Callable[..., str], is_open: Callable[[], bool]) -> dict[str, float | None]:
    """How long it took to see each change."""
    took = {}
    for operation, settled in (("Add", is_open), ("Remove", lambda: not is_open())):
        code = change(operation, fixture.grantee)
        if code != TAKEN:
            raise NotChecked(f"the {place} could not be changed for that account ({code}); try --second-profile")
        took[f"{place} {operation.lower()}"] = seconds_until(settled, fixture.within(60))
    return took


@check("disabled-image", "A disabled image is found by its id and by its tags where disabled images are asked for, and has no launch permissions any more.")
def disabled_image(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html"""
    image = fixture.new_image("disabled")
    code = change_image(fixture, image, "Add", fixture.grantee)
    if not until(lambda: launch_permissions(fixture, image), fixture.within(EMPTY_SECONDS), pause=1):
        raise NotChecked(f"no launch permission is shown that it could lose ({code})")
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
        opened = launch_permissions(fixture, image)
    except ClientError as error:
        seen = f"found; for its permissions EC2 answers {code_of(error)}"
        return holds_if(code_of(error) in MISSING, seen)
    return holds_if(not opened, f"found; {len(opened)} launch permissions")


@check("gone-image", "Of an image that was deregistered a moment ago, EC2 says with a code of ours that it is gone, or shows nothing.")
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
        if found == TAKEN:
            found = "an image" if shown else "nothing"
        attribute = answer(fixture.ec2.describe_image_attribute, ImageId=image, Attribute="launchPermission")
        removed = change_image(fixture, image, "Remove", fixture.grantee)
        answered = {"DescribeImages": found, "DescribeImageAttribute": attribute, "removing": removed}
        return all([note(call, code) for call, code in answered.items()])

    is_gone_in_time = until(is_gone, fixture.within(30), pause=1)
    # Until then, it may still be there.
    others = {code for codes in seen.values() for code in codes} - MISSING - {"nothing", "an image", TAKEN}
    shown = ", ".join(f"{call}: {', then '.join(codes)}" for call, codes in seen.items())
    return holds_if(is_gone_in_time and not others, shown)


@check("image-filter", "A filter by image ids takes a hundred values, and images that do not exist are no error in it.")
def image_filter(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html"""
    others = [f"ami-0000000000000{number:04x}" for number in range(FILTER_VALUES - 1)]
    wanted = [{"Name": "image-id", "Values": [*others, fixture.image]}]
    try:
        found = fixture.ec2.describe_images(Owners=["self"], IncludeDisabled=True, Filters=wanted)["Images"]
    except ClientError as error:
        return contradicted(f"refused with {code_of(error)}")
    return holds_if([one["ImageId"] for one in found] == [fixture.image], f"{len(found)} image found by {FILTER_VALUES} values")


def dry_run(call: Any, **parameters: Any) -> str:
    """Whether EC2 would let the caller do it. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    code = judged(call, DryRun=True, **parameters)
    return "allowed" if code == ALLOWED_IN_DRY_RUN else code
