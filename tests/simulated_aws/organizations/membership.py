"""Finds the place of an account in AWS Organizations: its organization, the OUs above it, its path.

It only reads moto's Organizations. `api` has the rules of the API.
"""

import re

from moto.organizations.models import FakeOrganizationalUnit, OrganizationsBackend, organizations_backends

ORGANIZATION_ARN = re.compile(r"arn:aws:organizations::\d{12}:organization/(o-[a-z0-9]{10,32})")
OU_ARN = re.compile(r"arn:aws:organizations::\d{12}:ou/(o-[a-z0-9]{10,32})/(ou-[0-9a-z]{4,32}-[a-z0-9]{8,32})")


def organization_of(account_id: str) -> OrganizationsBackend | None:
    """The organization that the account is in, whether it manages it or is a member of it."""
    management_account, _ = organizations_backends.master_accounts.get(account_id, (account_id, "aws"))
    partitions = organizations_backends.get(management_account)
    backend = partitions.get("aws") if partitions else None
    return backend if backend is not None and backend.org else None


def ous_above(account_id: str) -> list[FakeOrganizationalUnit]:
    """The root and the OUs that the account is in, from the root down."""
    backend = organization_of(account_id)
    if backend is None:
        return []
    by_id = {ou.id: ou for ou in backend.ou}
    account = next((account for account in backend.accounts if account.id == account_id), None)
    chain = []
    parent = by_id.get(account.parent_id) if account else None
    while parent is not None:
        chain.append(parent)
        parent = by_id.get(parent.parent_id)
    return chain[::-1]


def organization_id(account_id: str) -> str | None:
    """The value of `aws:PrincipalOrgID` for a principal in this account."""
    backend = organization_of(account_id)
    return backend.org.id if backend else None


def organization_path(account_id: str) -> str | None:
    """The value of `aws:PrincipalOrgPaths` for a principal in this account: `o-…/r-…/ou-…/ou-…/`.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgpaths
    """
    organization = organization_id(account_id)
    if organization is None:
        return None
    return "/".join([organization, *(ou.id for ou in ous_above(account_id))]) + "/"


def organization_may_exist(organization_arn: str) -> bool:
    """False if the ARN is malformed or contradicts a simulated organization. Other organizations cannot be checked."""
    named = ORGANIZATION_ARN.fullmatch(organization_arn)
    backend = _organization(named.group(1)) if named else None
    return named is not None and (backend is None or backend.org.arn == organization_arn)


def ou_may_exist(ou_arn: str) -> bool:
    """False if the ARN is malformed or names an OU that its organization does not have."""
    named = OU_ARN.fullmatch(ou_arn)
    backend = _organization(named.group(1)) if named else None
    return named is not None and (backend is None or any(ou.arn == ou_arn for ou in backend.ou))


def _organization(organization_id: str) -> OrganizationsBackend | None:
    backends = [partitions.get("aws") for partitions in list(organizations_backends.values())]
    return next((one for one in backends if one is not None and one.org and one.org.id == organization_id), None)
