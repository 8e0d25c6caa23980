"""Finds KMS keys by id, alias or ARN in any account, and makes the AWS managed key of each account for EBS.

`key_access` decides who may use a key, `key_policy` which policies KMS accepts.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.kms.models import Key, KmsBackend, kms_backends

from simulated_aws.core import accounts

EBS_ALIAS = "alias/aws/ebs"

_making_a_managed_key = threading.Lock()


def find(name: str, account_id: str, region: str) -> Key | None:
    """The key that an id, an alias or an ARN of either names for a caller in this account and Region, or None.

    https://docs.aws.amazon.com/kms/latest/developerguide/find-cmk-id-arn.html
    """
    if name.startswith("arn:"):
        _, _, service, named_region, account_id, name = name.split(":", 5)
        if service != "kms" or named_region != region:
            return None
    return _in_account(name.removeprefix("key/"), account_id, region)


def by_arn(arn: str) -> Key | None:
    """The key with this ARN, in whatever account and Region it is."""
    return find(arn, account_id="", region=arn.split(":")[3])


def is_aws_managed(arn: str) -> bool:
    """Whether AWS made and manages this key: such a key cannot be shared, nor its policy changed.

    https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk
    """
    key = by_arn(arn)
    return key is not None and key.key_manager == "AWS"


def ebs_managed_key(account_id: str, region: str) -> Key:
    """The account's `aws/ebs` key, made when it is first needed.

    https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
    """
    backend = kms_backends[account_id][region]
    with _making_a_managed_key:
        return backend.keys[backend.get_key_id_from_alias(EBS_ALIAS)]


def install() -> None:
    """Makes the keys of reserved aliases AWS managed, and accepts ARNs where moto enables and disables keys by id."""
    KmsBackend._generate_default_keys = _make_managed_key
    for operation in ("enable_key", "disable_key", "schedule_key_deletion", "cancel_key_deletion"):
        setattr(KmsBackend, operation, _with_key_id(getattr(KmsBackend, operation)))


def _in_account(name: str, account_id: str, region: str) -> Key | None:
    if not accounts.exists(account_id):
        return None
    backend = kms_backends[account_id][region]
    if name == EBS_ALIAS:
        return ebs_managed_key(account_id, region)
    if name.startswith("alias/"):
        name = backend.get_key_id_from_alias(name)
    return backend.keys.get(name)


def _make_managed_key(backend: KmsBackend, alias: str) -> str | None:
    if not alias.startswith("alias/aws/"):
        return None
    service = alias.removeprefix("alias/aws/")
    key = Key(
        policy=_managed_policy(service, backend.account_id, backend.region_name),
        key_usage="ENCRYPT_DECRYPT",
        key_spec="SYMMETRIC_DEFAULT",
        description=f"Default key that protects my {service.upper()} data when no other key is defined",
        account_id=backend.account_id,
        region=backend.region_name,
    )
    key.key_manager = "AWS"
    backend.keys[key.id] = key
    backend.create_alias(key.id, alias)
    return key.id


def _with_key_id(operate: Callable[..., Any]) -> Callable[..., Any]:
    """In these operations moto accepts the id alone; KMS accepts the ARN too.

    https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html (KeyId)
    """
    return lambda backend, key_id, *rest, **named: operate(backend, backend.get_key_id(key_id), *rest, **named)


def _managed_policy(service: str, account_id: str, region: str) -> str:
    """The policy of an AWS managed key: only its own account, through that service.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying.html says that it cannot be changed.
    """
    through = "ec2" if service == "ebs" else service
    use = {
        "Sid": f"Allow access through {service.upper()} for all principals in the account that may use it",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncrypt*",
            "kms:GenerateDataKey*",
            "kms:CreateGrant",
            "kms:DescribeKey",
        ],
        "Resource": "*",
        "Condition": {
            "StringEquals": {"kms:CallerAccount": account_id, "kms:ViaService": f"{through}.{region}.amazonaws.com"}
        },
    }
    describe = {
        "Sid": "Allow direct access to key metadata to the account",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
        "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": f"auto-{service}-2", "Statement": [use, describe]}, indent=2)
