"""`AWS API Call via CloudTrail`: events of the calls that create, share, disable or deregister images, and of PutKeyPolicy.

Failed calls have events too, with `errorCode`. The event arrives at once; CloudTrail takes minutes, which matters only to
a flow that relies on the order of events.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.kms.responses import KmsResponse
from werkzeug.exceptions import HTTPException

from simulated_aws.cloudtrail import permission_events
from simulated_aws.core import accounts
from simulated_aws.eventbridge import emission
from simulated_aws.kms import keys

_CALLS: list[tuple[type[BaseResponse], str, str]] = [
    (AmisResponse, "ec2", "CreateImage"),
    (AmisResponse, "ec2", "CopyImage"),
    (AmisResponse, "ec2", "RegisterImage"),
    (AmisResponse, "ec2", "DeregisterImage"),
    (AmisResponse, "ec2", "DisableImage"),
    (AmisResponse, "ec2", "EnableImage"),
    (AmisResponse, "ec2", "ModifyImageAttribute"),
    (AmisResponse, "ec2", "ResetImageAttribute"),
    (ElasticBlockStore, "ec2", "ModifySnapshotAttribute"),
    (ElasticBlockStore, "ec2", "ResetSnapshotAttribute"),
    (KmsResponse, "kms", "PutKeyPolicy"),
]

# Parameters of the protocol, and those that do not change what the call does.
_NOT_RECORDED = ("Action", "Version", "DryRun")


def _recording(method: Callable[[Any], Any], service: str, event_name: str) -> Callable[[Any], Any]:
    def call(response: BaseResponse) -> Any:
        given = permission_events.parameters(response, event_name) or request_parameters(response, service)
        try:
            result = method(response)
        except (ServiceException, HTTPException) as error:
            emit_call(response, service, event_name, given, failure(service, error))
            raise
        outcome = {"responseElements": _response_elements(service, result)} | _resources(response, service)
        emit_call(response, service, event_name, given, outcome)
        return result

    return call


def emit_call(
    response: BaseResponse, service: str, event_name: str, parameters: dict[str, Any], outcome: dict[str, Any],
    region: str | None = None,
) -> None:
    """Sends the event of one call in the caller's account, in the Region of the call unless the service is global."""
    account_id, region = response.current_account, region or response.region
    detail = {
        "eventVersion": "1.11",
        "userIdentity": user_identity(accounts.caller(account_id)),
        "eventTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": event_name,
        "awsRegion": region,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": str(response.headers.get("User-Agent", "")),
        "requestParameters": parameters,
        "requestID": str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account_id,
        "eventCategory": "Management",
    } | outcome
    emission.emit(account_id, region, f"aws.{service}", "AWS API Call via CloudTrail", [], detail)


def user_identity(caller: accounts.Caller) -> dict[str, Any]:
    """The caller: a session of a role, an IAM user, or the root of the account."""
    identity = {"accountId": caller.account_id, "arn": caller.arn}
    if caller.role_arn is not None:
        issuer = {
            "type": "Role",
            "arn": caller.role_arn,
            "accountId": caller.account_id,
            "userName": caller.role_arn.rsplit("/", 1)[-1],
        }
        return {"type": "AssumedRole", **identity, "sessionContext": {"sessionIssuer": issuer}}
    if ":user/" in caller.arn:
        return {"type": "IAMUser", **identity, "userName": caller.arn.rsplit("/", 1)[-1]}
    return {"type": "Root", "principalId": caller.account_id, **identity}


def request_parameters(response: BaseResponse, service: str) -> dict[str, Any]:
    """The call's parameters as CloudTrail writes them."""
    given = response.params if service == "ec2" else json.loads(response.body)
    return {_lower(name): _recorded(value, service) for name, value in given.items() if name not in _NOT_RECORDED}


def _response_elements(service: str, result: Any) -> dict[str, Any] | None:
    """EC2 answers with the id of what it made, or with `_return`; KMS records nothing of the answer of PutKeyPolicy."""
    if service != "ec2":
        return None
    made = result.result if isinstance(result, ActionResult) and isinstance(result.result, dict) else {}
    image = {"imageId": made["ImageId"]} if "ImageId" in made else {"_return": True}
    return {"requestId": str(uuid.uuid4()), **image}


def _resources(response: BaseResponse, service: str) -> dict[str, Any]:
    """KMS records the ARN of the key, however the caller named it in the parameters.

    https://docs.aws.amazon.com/kms/latest/developerguide/ct-put-key-policy.html
    """
    key = keys.find(response._get_param("KeyId"), response.current_account, response.region) if service == "kms" else None
    if key is None:
        return {}
    return {"resources": [{"accountId": key.account_id, "type": "AWS::KMS::Key", "ARN": key.arn}]}


def failure(service: str, error: Exception) -> dict[str, Any]:
    """The error fields in the event of a refused call."""
    code = str(getattr(error, "code", None) or getattr(error, "error_type", None) or type(error).__name__)
    prefix = "Client." if service == "ec2" else ""
    message = str(getattr(error, "message", error))
    return {"responseElements": None, "errorCode": f"{prefix}{code}", "errorMessage": message}


def _recorded(value: Any, service: str) -> Any:
    """CloudTrail writes EC2's lists as `{"items": […]}`, and every name with a small first letter."""
    if isinstance(value, dict):
        return {_lower(name): _recorded(item, service) for name, item in value.items()}
    if isinstance(value, list):
        items = [_recorded(item, service) for item in value]
        return {"items": items} if service == "ec2" else items
    return value


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def install() -> None:
    """Wraps the calls. Install it after the rules that decide what the calls do."""
    for response_class, service, event_name in _CALLS:
        method_name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in event_name)[1:]
        setattr(response_class, method_name, _recording(getattr(response_class, method_name), service, event_name))
