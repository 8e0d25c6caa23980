"""Replaces a deleted role or user in key policies by its unique id (`AROA…`, `AIDA…`).

KMS shows the id instead of the ARN, even if a new role has the same name. No later policy may contain the id.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles
"""

import json
from collections.abc import Callable
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import Key, KmsBackend

from simulated_aws.iam.policy_evaluation import as_list


def install() -> None:
    """Stores the ids behind the ARNs of a new policy, and shows the ids of deleted principals when the policy is read."""
    KmsBackend.put_key_policy = _remembering(KmsBackend.put_key_policy)
    KmsBackend.create_key = _remembering_new(KmsBackend.create_key)
    KmsBackend.get_key_policy = _showing(KmsBackend.get_key_policy)


def _remembering(put: Callable[..., None]) -> Callable[..., None]:
    def call(backend: KmsBackend, key_id: str, policy: str) -> None:
        put(backend, key_id, policy)
        _remember(backend.keys[backend.get_key_id(key_id)])

    return call


def _remembering_new(create: Callable[..., Key]) -> Callable[..., Key]:
    def call(backend: KmsBackend, *args: Any, **kwargs: Any) -> Key:
        key = create(backend, *args, **kwargs)
        if not isinstance(key.policy, str):  # CloudFormation hands over the document itself.
            key.policy = json.dumps(key.policy)
        _remember(key)
        return key

    return call


def _showing(read: Callable[..., str]) -> Callable[..., str]:
    def call(backend: KmsBackend, key_id: str) -> str:
        policy = read(backend, key_id)
        key = backend.keys[backend.get_key_id(key_id)]
        for arn, unique_id in getattr(key, "ids_of_principals", {}).items():
            if _id_of(arn) != unique_id:
                policy = policy.replace(f'"{arn}"', f'"{unique_id}"')
        return policy

    return call


def _remember(key: Key) -> None:
    arns = [arn for arn in _arns_in(key.policy) if _id_of(arn)]
    key.ids_of_principals = {arn: _id_of(arn) for arn in arns}


def _arns_in(policy: str) -> list[str]:
    principals = [statement.get("Principal") for statement in as_list(json.loads(policy).get("Statement"))]
    return [arn for one in principals if isinstance(one, dict) for arn in as_list(one.get("AWS"))]


def _id_of(arn: str) -> str | None:
    account_id = arn.split(":")[4] if arn.startswith("arn:aws:iam::") else None
    partitions = iam_backends.get(account_id)
    if partitions is None:
        return None
    iam = partitions["aws"]
    return next((one.id for one in [*iam.roles.values(), *iam.users.values()] if one.arn == arn), None)
