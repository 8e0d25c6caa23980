"""Checks of AWS Organizations, for a sandbox that is in one: how EC2 names its parts, and how it throttles."""

import time
from collections import Counter

from botocore.exceptions import ClientError

from sandbox.answers import DENIED, TAKEN, answer, code_of, undo, until
from sandbox.findings import Finding, Needs, NotChecked, check, contradicted, holds_if
from sandbox.images import launch_permissions
from sandbox.fixture import Fixture

# Enough to be throttled, and so few that nobody else in the organization notices.
CALLS = 40


@check("organization-permission", "EC2 gives the launch permission of an organization or OU back with the very ARN that AWS Organizations gives it.")
def permission_of_an_organization(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchPermission.html"""
    wanted = [{"OrganizationArn": fixture.organization["Arn"]}, *_first_ou(fixture)]
    change = fixture.ec2.modify_image_attribute

    def shows_all() -> bool:
        shown = launch_permissions(fixture, fixture.image)
        return all(one in shown for one in wanted)

    try:
        code = answer(change, ImageId=fixture.image, LaunchPermission={"Add": wanted})
        if code != TAKEN:
            return contradicted(f"refused with {code}")
        until(shows_all, fixture.within(30), pause=1)
        found = launch_permissions(fixture, fixture.image)
    finally:
        undo(answer, change, ImageId=fixture.image, LaunchPermission={"Remove": wanted})
    kinds = " and ".join(kind.removesuffix("Arn") for one in wanted for kind in one)
    return holds_if(all(one in found for one in wanted), f"{kinds}: {found}")


def _first_ou(fixture: Fixture) -> list[dict[str, str]]:
    """Where the sandbox may list the organization."""
    organizations = fixture.account.client("organizations", "us-east-1")
    try:
        root = organizations.list_roots()["Roots"][0]["Id"]
        units = organizations.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    except ClientError:
        return []
    return [{"OrganizationalUnitArn": unit["Arn"]} for unit in units[:1]]


@check("organizations-rate", "AWS Organizations says `TooManyRequestsException` to whoever asks more than a few times a second.")
def rate_of_organizations(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html#throttling-limits"""
    fixture.organization  # noqa: B018
    client = fixture.account.untiring("organizations", "us-east-1")
    codes: Counter[str] = Counter()
    began = time.monotonic()
    for _ in range(CALLS):
        try:
            client.list_roots()
            codes[TAKEN] += 1
        except ClientError as error:
            codes[code_of(error)] += 1
    if set(codes) & DENIED:
        raise Needs("the organization's management account, or a delegated administrator")
    seen = f"{', '.join(f'{number} {code}' for code, number in codes.items())} in {time.monotonic() - began:.1f} s"
    if set(codes) == {TAKEN}:
        raise NotChecked(f"nothing was throttled: {seen}")
    return holds_if(set(codes) <= {TAKEN, "TooManyRequestsException"}, seen)
