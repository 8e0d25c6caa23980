"""CloudTrail's events of AWS Organizations: its calls, and accounts that join or leave.

The event of a call is in the account of the caller, so the management account gets none for LeaveOrganization and
AcceptHandshake of a member account. It gets service events for accounts that join or leave. All events are in us-east-1,
wherever the caller is.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html
https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-organizations.html
"""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from moto.core.exceptions import ServiceException
from moto.organizations.responses import OrganizationsResponse
from werkzeug.exceptions import HTTPException

from simulated_aws.cloudtrail import api_events
from simulated_aws.eventbridge import emission
from simulated_aws.organizations import membership

REGION = "us-east-1"

_CALLS = [
    "AcceptHandshake", "CloseAccount", "CreateAccount", "CreateOrganizationalUnit", "DeleteOrganizationalUnit",
    "DeregisterDelegatedAdministrator", "InviteAccountToOrganization", "LeaveOrganization", "MoveAccount",
    "RegisterDelegatedAdministrator", "RemoveAccountFromOrganization", "TagResource", "UntagResource",
    "UpdateOrganizationalUnit",
]  # fmt: skip

# CloudTrail hides personal data.
_HIDDEN = ("accountName", "email")


def install() -> None:
    """Wraps the calls. Install it after the rules that decide what the calls do."""
    for name in _CALLS:
        method_name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
        setattr(OrganizationsResponse, method_name, _recording(getattr(OrganizationsResponse, method_name), name))


def _recording(method: Callable[[Any], str], event_name: str) -> Callable[[Any], str]:
    def call(response: OrganizationsResponse) -> str:
        parameters = _hiding(api_events.request_parameters(response, "organizations"))
        management_account = _management_account(response.current_account)
        try:
            answer = method(response)
        except (ServiceException, HTTPException) as error:
            failure = api_events.failure("organizations", error)
            api_events.emit_call(response, "organizations", event_name, parameters, failure, REGION)
            raise
        answered = json.loads(answer) if answer else {}
        elements = {"responseElements": _hiding(_shown(answered)) or None}
        api_events.emit_call(response, "organizations", event_name, parameters, elements, REGION)
        _emit_consequence(response, event_name, answered, management_account)
        return answer

    return call


def _emit_consequence(
    response: OrganizationsResponse, event_name: str, answered: dict[str, Any], management_account: str
) -> None:
    now = _written(datetime.now(timezone.utc))
    account_id = response._get_param("AccountId")
    match event_name:
        case "CreateAccount":
            status = _shown(answered)["createAccountStatus"]
            _emit_service_event(management_account, "CreateAccountResult", {"createAccountStatus": _hiding(status)})
            _emit_joined(management_account, status["accountId"], "Created")
        case "CloseAccount":
            status = {"accountId": account_id, "state": "SUCCEEDED", "requestedTimestamp": now, "completedTimestamp": now}
            _emit_service_event(management_account, "CloseAccountResult", {"closeAccountStatus": status})
        case "RemoveAccountFromOrganization":
            _emit_departed(management_account, account_id, "REMOVED")
        case "LeaveOrganization":
            _emit_departed(management_account, response.current_account, "LEFT")
        case "AcceptHandshake":
            _emit_joined(_management_account(response.current_account), response.current_account, "INVITED")


def _emit_joined(management_account: str, account_id: str, method: str) -> None:
    """AccountJoinedOrganization, new in 2026. AWS documents its name, that the management account gets it, `joinedMethod`
    and `joinedTime`. That it is a service event, and `accountId`, are assumptions from CreateAccountResult.

    https://docs.aws.amazon.com/organizations/latest/APIReference/API_CreateAccount.html
    https://aws.amazon.com/about-aws/whats-new/2026/05/aws-organizations-cloudtrail/
    """
    details = {"accountId": account_id, "joinedMethod": method, "joinedTime": _written(datetime.now(timezone.utc))}
    _emit_service_event(management_account, "AccountJoinedOrganization", details)


def _emit_departed(management_account: str, account_id: str, method: str) -> None:
    """AccountDepartedOrganization, likewise. AWS sends it 90 days after an account was closed, with the method CLEANED.

    https://docs.aws.amazon.com/organizations/latest/APIReference/API_RemoveAccountFromOrganization.html
    """
    details = {"accountId": account_id, "departureMethod": method, "departureTime": _written(datetime.now(timezone.utc))}
    _emit_service_event(management_account, "AccountDepartedOrganization", details)


def _emit_service_event(management_account: str, event_name: str, details: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/non-api-aws-service-events.html"""
    detail = {
        "eventVersion": "1.11",
        "userIdentity": {"accountId": management_account, "invokedBy": "AWS Internal"},
        "eventTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "organizations.amazonaws.com",
        "eventName": event_name,
        "awsRegion": REGION,
        "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal",
        "requestParameters": None,
        "responseElements": None,
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": management_account,
        "serviceEventDetails": details,
        "eventCategory": "Management",
    }
    detail_type = "AWS Service Event via CloudTrail"
    emission.emit(management_account, REGION, "aws.organizations", detail_type, [], detail)


def _management_account(account_id: str) -> str:
    organization = membership.organization_of(account_id)
    return organization.account_id if organization else account_id


def _shown(answered: Any) -> Any:
    """An answer as CloudTrail writes it: small first letters, and times as `Sep 16, 2020 9:20:50 PM`."""
    if isinstance(answered, dict):
        return {name[:1].lower() + name[1:]: _moment_or(name, value) for name, value in answered.items()}
    return [_shown(item) for item in answered] if isinstance(answered, list) else answered


def _moment_or(name: str, value: Any) -> Any:
    if name.endswith("Timestamp"):
        return _written(datetime.fromtimestamp(float(value), timezone.utc))
    return _shown(value)


def _written(moment: datetime) -> str:
    return f"{moment:%b} {moment.day}, {moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def _hiding(shown: Any) -> Any:
    if isinstance(shown, dict):
        return {name: "****" if name in _HIDDEN else _hiding(value) for name, value in shown.items()}
    return [_hiding(item) for item in shown] if isinstance(shown, list) else shown
