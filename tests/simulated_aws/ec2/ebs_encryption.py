"""Chooses the key of a new volume or snapshot: the named key, that of its source, or the account's default.

https://docs.aws.amazon.com/ebs/latest/userguide/encryption-examples.html
"""

from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidParameterDependency
from moto.ec2.models.elastic_block_store import EBSBackend

from simulated_aws.core import accounts
from simulated_aws.kms import key_access, keys


def key_for(backend: Any, encrypted: bool | None, named_key: str | None) -> str | None:
    """The ARN of the key for a new resource, or one made from an unencrypted source; None means unencrypted."""
    if named_key and not encrypted:
        raise InvalidParameterDependency("KmsKeyId", "Encrypted")
    if named_key:
        return usable_key(backend, named_key)
    return default_key(backend) if encrypted or backend.ebs_encryption_by_default else None


def key_for_copy(backend: Any, source: Any, encrypted: bool | None, named_key: str | None) -> str | None:
    """The ARN of the key for a resource made from a snapshot.

    The account's own snapshots keep their key within a Region; all others get the account's default.
    """
    if named_key or not source.encrypted:
        return key_for(backend, encrypted, named_key)
    is_own = source.owner_id == backend.account_id
    is_here = source.ec2_backend.region_name == backend.region_name
    return source.kms_key_id if is_own and is_here else default_key(backend)


def default_key(backend: Any) -> str:
    """The account's key for EBS in this Region: `aws/ebs`, unless ModifyEbsDefaultKmsKeyId chose another."""
    return backend.default_kms_key_id or keys.ebs_managed_key(backend.account_id, backend.region_name).arn


def usable_key(backend: Any, named_key: str) -> str:
    """The ARN of a key that the caller names, if it may encrypt with it.

    AWS detects only later that a key does not exist or may not be used, and the volume or snapshot then fails. Here the
    call fails at once, which gives a test a clearer error.
    """
    caller = accounts.caller(backend.account_id)
    key = keys.find(named_key, backend.account_id, backend.region_name)
    if key is None or not key_access.ec2_may_encrypt_with(key, caller):
        raise EC2ClientError("InvalidParameterValue", f"Value ({named_key}) for parameter KmsKeyId is invalid.")
    return key.arn


def readable(snapshot: Any, account_id: str) -> bool:
    """Whether EC2 may decrypt the snapshot for a caller in this account."""
    if not snapshot.encrypted:
        return True
    key = keys.by_arn(snapshot.kms_key_id)
    return key is not None and key_access.ec2_may_read_with(key, accounts.caller(account_id))


def install() -> None:
    """Makes moto's default key the account's `aws/ebs` key."""
    EBSBackend._create_default_encryption_key = _choose_managed_key


def _choose_managed_key(backend: Any) -> str:
    backend.default_kms_key_id = keys.ebs_managed_key(backend.account_id, backend.region_name).arn
    return backend.default_kms_key_id
