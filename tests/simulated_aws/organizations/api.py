"""The Organizations API: who may call what, AWS's page sizes, and the status of a closed account.

https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
"""

import json
from collections.abc import Callable
from typing import Any

from moto.organizations.exceptions import (
    AWSOrganizationsNotInUseException,
    InvalidInputException,
    OrganizationsClientError,
)
from moto.organizations.models import FakeAccount, OrganizationsBackend, organizations_backends
from moto.organizations.responses import OrganizationsResponse

from simulated_aws.core.paging import InvalidToken, page
from simulated_aws.organizations import membership

MAXIMUM_PAGE = 20

FOR_EVERYONE = {"DescribeOrganization", "CreateOrganization"}
FOR_DELEGATED_ADMINISTRATORS = ("Describe", "List")


def install() -> None:
    """Checks the caller of every operation, pages the long lists, and makes CloseAccount close the account."""
    OrganizationsResponse.organizations_backend = property(_backend)
    OrganizationsResponse.list_accounts = _paged("Accounts", _accounts)
    OrganizationsResponse.list_accounts_for_parent = _paged("Accounts", _accounts_of_parent)
    OrganizationsResponse.list_organizational_units_for_parent = _paged("OrganizationalUnits", _ous_of_parent)
    OrganizationsResponse.list_children = _paged("Children", _children)
    FakeAccount.close = _close(FakeAccount.close)


def _backend(response: OrganizationsResponse) -> OrganizationsBackend:
    """The backend that answers: the caller's own, or that of the management account for a delegated administrator.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_delegate_policies.html
    """
    account_id, operation = response.current_account, response._get_action()
    own = organizations_backends[account_id][response.partition]
    if operation in FOR_EVERYONE or own.org:
        return own
    organization = membership.organization_of(account_id)
    if organization is None:
        raise AWSOrganizationsNotInUseException
    delegated = any(admin.account.id == account_id for admin in organization.admins)
    if delegated and operation.startswith(FOR_DELEGATED_ADMINISTRATORS):
        return organization
    raise OrganizationsClientError("AccessDeniedException", "You don't have permissions to access this resource.")


def _paged(key: str, items_of: Callable[[OrganizationsResponse], list[Any]]) -> Callable[[OrganizationsResponse], str]:
    def call(response: OrganizationsResponse) -> str:
        size = response._get_param("MaxResults") or MAXIMUM_PAGE
        if not 1 <= size <= MAXIMUM_PAGE:
            raise InvalidInputException(f"MaxResults has to be between 1 and {MAXIMUM_PAGE}.")
        try:
            shown, token = page(items_of(response), size, response._get_param("NextToken"))
        except InvalidToken:
            raise InvalidInputException("The NextToken is invalid.") from None
        return json.dumps({key: [_described(item) for item in shown]} | ({"NextToken": token} if token else {}))

    return call


def _described(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    described = item.describe()
    return described.get("OrganizationalUnit", described)


def _accounts(response: OrganizationsResponse) -> list[FakeAccount]:
    return list(response.organizations_backend.accounts)


def _accounts_of_parent(response: OrganizationsResponse) -> list[FakeAccount]:
    backend = response.organizations_backend
    parent = backend.validate_parent_id(response._get_param("ParentId"))
    return [account for account in list(backend.accounts) if account.parent_id == parent]


def _ous_of_parent(response: OrganizationsResponse) -> list[Any]:
    backend = response.organizations_backend
    parent = backend.validate_parent_id(response._get_param("ParentId"))
    return [ou for ou in list(backend.ou) if ou.parent_id == parent]


def _children(response: OrganizationsResponse) -> list[dict[str, str]]:
    return response.organizations_backend.list_children(**response.request_params)["Children"]


def _close(close: Callable[[FakeAccount], None]) -> Callable[[FakeAccount], None]:
    """A closed account has the status `SUSPENDED` and the state `CLOSED`.

    https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_account_state.html
    """

    def call(account: FakeAccount) -> None:
        close(account)
        account.state = "CLOSED"

    return call
