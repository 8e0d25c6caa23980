"""The KMS API: calls reach keys of other accounts by ARN, obey the key policy, and check each new policy.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
"""

from collections.abc import Callable

import moto.kms.responses
from moto.core.exceptions import JsonRESTError
from moto.kms.models import Key, KmsBackend, kms_backends
from moto.kms.responses import KmsResponse

from simulated_aws.core import accounts
from simulated_aws.kms import key_access, key_policy, keys

# The operations that AWS allows on a key of another account:
# https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html#cross-account-console
ACROSS_ACCOUNTS = {
    "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "GetKeyRotationStatus", "GetPublicKey", "ListGrants", "ReEncrypt", "RetireGrant", "RevokeGrant",
}  # fmt: skip
WITHIN_THE_ACCOUNT = {
    "DisableKey", "EnableKey", "GetKeyPolicy", "ListKeyPolicies", "ListResourceTags", "PutKeyPolicy",
    "ScheduleKeyDeletion", "TagResource", "UntagResource", "UpdateKeyDescription",
}  # fmt: skip
REFUSED_ON_A_MANAGED_KEY = {"PutKeyPolicy", "DisableKey", "ScheduleKeyDeletion", "TagResource", "UntagResource"}


def install() -> None:
    """Checks access before every operation on a key, and checks each policy before moto stores it."""
    KmsResponse.kms_backend = property(_backend_of_key)
    KmsResponse._validate_key_policy = lambda *_: None  # moto checks Deny statements only, whatever their principals.
    moto.kms.responses._assert_default_policy = _check_policy_name
    KmsResponse.create_key = _create_key(KmsResponse.create_key)
    KmsResponse.put_key_policy = _put_key_policy(KmsResponse.put_key_policy)
    for operation in ACROSS_ACCOUNTS | WITHIN_THE_ACCOUNT:
        method = _method_name(operation)
        setattr(KmsResponse, method, _guarded(operation, getattr(KmsResponse, method)))


def _backend_of_key(response: KmsResponse) -> KmsBackend:
    """The backend of the account of the key; the caller's own if the request names no ARN."""
    named = response._get_param("KeyId") or ""
    account_id = named.split(":")[4] if named.startswith("arn:") else response.current_account
    return kms_backends[account_id][response.region]


def _guarded(operation: str, method: Callable[[KmsResponse], str]) -> Callable[[KmsResponse], str]:
    def call(response: KmsResponse) -> str:
        named = response._get_param("KeyId")
        if named:
            _check_access(response, named, operation)
        return method(response)

    return call


def _check_access(response: KmsResponse, named: str, operation: str) -> None:
    caller = accounts.caller(response.current_account)
    key = keys.find(named, caller.account_id, response.region)
    if key is None:
        raise _not_found(response, named)
    foreign = key.account_id != caller.account_id
    allowed = operation in ACROSS_ACCOUNTS or not foreign
    managed = key.key_manager == "AWS" and operation in REFUSED_ON_A_MANAGED_KEY
    if not allowed or managed or not key_access.may_call(key, caller, f"kms:{operation}"):
        raise _denied(caller.arn, operation, key)


def _create_key(create: Callable[[KmsResponse], str]) -> Callable[[KmsResponse], str]:
    def call(response: KmsResponse) -> str:
        policy = response._get_param("Policy")
        if policy:
            _check_policy(response, policy)
        return create(response)

    return call


def _put_key_policy(put: Callable[[KmsResponse], str]) -> Callable[[KmsResponse], str]:
    """The state of the key does not matter.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html (table, PutKeyPolicy)
    """

    def call(response: KmsResponse) -> str:
        _check_policy(response, response._get_param("Policy"))
        return put(response)

    return call


def _check_policy_name(name: str | None) -> None:
    """A key has one policy, `default`; the name is optional.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (PolicyName)
    """
    if name not in (None, "default"):
        raise JsonRESTError("NotFoundException", f"No such policy exists: {name}")


def _check_policy(response: KmsResponse, policy: str) -> None:
    bypass = bool(response._get_param("BypassPolicyLockoutSafetyCheck"))
    key_policy.check(policy, accounts.caller(response.current_account), bypass)


def _not_found(response: KmsResponse, named: str) -> JsonRESTError:
    shown = response._display_arn(named)
    what = f"Alias {shown} is not found." if "alias/" in named else f"Key '{shown}' does not exist"
    return JsonRESTError("NotFoundException", what)


def _denied(caller_arn: str, operation: str, key: Key) -> JsonRESTError:
    return JsonRESTError(
        "AccessDeniedException",
        f"User: {caller_arn} is not authorized to perform: kms:{operation} on resource: {key.arn} "
        f"because no resource-based policy allows the kms:{operation} action",
    )


def _method_name(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).removeprefix("_")
