"""Adds the calls of AWS Organizations that moto lacks: inviting an account, accepting an invitation, leaving.

An invitation is accepted or stays open: declining, cancelling and expiring are not simulated.

https://docs.aws.amazon.com/organizations/latest/APIReference/API_InviteAccountToOrganization.html
https://docs.aws.amazon.com/organizations/latest/APIReference/API_AcceptHandshake.html
https://docs.aws.amazon.com/organizations/latest/APIReference/API_LeaveOrganization.html
"""

import json
import secrets
import time
from typing import Any

from moto.organizations import utils
from moto.organizations.exceptions import AWSOrganizationsNotInUseException, OrganizationsClientError
from moto.organizations.models import FakeAccount, OrganizationsBackend, organizations_backends
from moto.organizations.responses import OrganizationsResponse

from simulated_aws.organizations import membership

_FIFTEEN_DAYS = 15 * 24 * 3600

Handshake = dict[str, Any]


def install() -> None:
    """Adds the calls."""
    OrganizationsResponse.invite_account_to_organization = _invite
    OrganizationsResponse.accept_handshake = _accept
    OrganizationsResponse.list_handshakes_for_account = _list_for_account
    OrganizationsResponse.leave_organization = _leave


def _invite(response: OrganizationsResponse) -> str:
    backend, target = response.organizations_backend, response._get_param("Target")
    if target["Type"] != "ACCOUNT":
        raise _refusal("InvalidInputException", "Here only an account's id can be invited.")
    if membership.organization_of(target["Id"]) is not None:
        raise _refusal("HandshakeConstraintViolationException", "The account is in an organization already.")
    now, handshake_id = time.time(), f"h-{secrets.token_hex(16)}"
    handshake = {
        "Id": handshake_id,
        "Arn": f"arn:aws:organizations::{backend.account_id}:handshake/{backend.org.id}/invite/{handshake_id}",
        "Parties": [{"Id": backend.org.id, "Type": "ORGANIZATION"}, {"Id": target["Id"], "Type": "ACCOUNT"}],
        "State": "OPEN",
        "RequestedTimestamp": now,
        "ExpirationTimestamp": now + _FIFTEEN_DAYS,
        "Action": "INVITE",
        "Resources": [{"Type": "ORGANIZATION", "Value": backend.org.id}, {"Type": "ACCOUNT", "Value": target["Id"]}],
    }
    _handshakes(backend).append(handshake)
    return json.dumps({"Handshake": handshake})


def _accept(response: OrganizationsResponse) -> str:
    """Adds the account to the organization, under the root."""
    account_id, handshake_id = response.current_account, response._get_param("HandshakeId")
    found = [(backend, one) for backend, one in _received(account_id) if one["Id"] == handshake_id]
    if not found:
        raise _refusal("HandshakeNotFoundException", "You specified a handshake that doesn't exist.")
    [(backend, handshake)] = found
    if handshake["State"] != "OPEN":
        raise _refusal("HandshakeAlreadyInStateException", "The handshake has been accepted already.")
    handshake["State"] = "ACCEPTED"
    _join(backend, account_id)
    return json.dumps({"Handshake": handshake})


def _join(backend: OrganizationsBackend, account_id: str) -> None:
    account = FakeAccount(backend.org, AccountName=f"account {account_id}", Email=f"{account_id}@example.com")
    account.id, account.joined_method = account_id, "INVITED"
    backend.accounts.append(account)
    for policy_id in (utils.DEFAULT_SCP_POLICY_ID, utils.DEFAULT_RCP_POLICY_ID):
        backend.attach_policy(PolicyId=policy_id, TargetId=account_id)
    organizations_backends.master_accounts[account_id] = (backend.account_id, backend.partition)


def _list_for_account(response: OrganizationsResponse) -> str:
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListHandshakesForAccount.html"""
    return json.dumps({"Handshakes": [handshake for _, handshake in _received(response.current_account)]})


def _leave(response: OrganizationsResponse) -> str:
    """A member account leaves by itself; the management account cannot."""
    organization = membership.organization_of(response.current_account)
    if organization is None:
        raise AWSOrganizationsNotInUseException
    if organization.account_id == response.current_account:
        raise _refusal("MasterCannotLeaveOrganizationException", "The management account can't leave its organization.")
    organization.remove_account_from_organization(AccountId=response.current_account)
    return "{}"


def _received(account_id: str) -> list[tuple[OrganizationsBackend, Handshake]]:
    backends = [partitions["aws"] for partitions in list(organizations_backends.values()) if "aws" in partitions]
    return [
        (backend, one)
        for backend in backends
        for one in _handshakes(backend)
        if {"Id": account_id, "Type": "ACCOUNT"} in one["Parties"]
    ]


def _handshakes(backend: OrganizationsBackend) -> list[Handshake]:
    made: list[Handshake] = backend.__dict__.setdefault("handshakes", [])
    return made


def _refusal(code: str, message: str) -> OrganizationsClientError:
    return OrganizationsClientError(code, message)
