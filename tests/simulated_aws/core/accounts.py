"""Finds the account and the principal of a request, and knows which accounts exist.

It does not decide what a caller may do: `kms.key_access` and `ec2.launch_permissions` do.

Accounts are the hub, the member accounts that AWS Organizations created, and any account in which a caller assumed a
role. A closed account no longer exists: AWS rejects it as a principal and as the target of a share
(https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_close.html).
"""

import base64
import re
import threading
from dataclasses import dataclass

import moto.core
import moto.core.models

HUB_ACCOUNT = "111122223333"

# moto's other modules copy this constant when they are imported, so set it before importing any of them.
moto.core.DEFAULT_ACCOUNT_ID = moto.core.models.DEFAULT_ACCOUNT_ID = HUB_ACCOUNT

import moto.iam.models  # noqa: E402
from moto.core.responses import BaseResponse  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.iam.utils import ACCOUNT_OFFSET, AWS_ROLE_ALPHABET  # noqa: E402
from moto.organizations.models import FakeAccount, organizations_backends  # noqa: E402
from moto.sts.models import AssumedRole, sts_backends  # noqa: E402

_request = threading.local()
_session_by_key: dict[str, AssumedRole] = {}


@dataclass(frozen=True)
class Caller:
    """The principal of a request: its account, its ARN, and the role behind the ARN if it is a session of one.

    An AWS service that acts on its own, such as EventBridge for a rule, is named by `service`.
    """

    account_id: str
    arn: str
    role_arn: str | None = None
    service: str | None = None


def root_of(account_id: str) -> Caller:
    """The account itself, for what happens without a request: its root user."""
    return Caller(account_id, f"arn:aws:iam::{account_id}:root")


def caller(account_id: str) -> Caller:
    """The principal of the request that this thread serves; the root of the account outside a request."""
    if getattr(_request, "account_id", None) != account_id:
        return root_of(account_id)
    session = _session_of(account_id, _request.access_key)
    if session is not None:
        return Caller(account_id, session.arn, session.role_arn)
    user = iam_backends[account_id]["aws"].get_user_from_access_key_id(_request.access_key)
    return Caller(account_id, user.arn) if user else root_of(account_id)


def calling_account() -> str | None:
    """The account of the request that this thread serves; None outside a request."""
    return getattr(_request, "account_id", None)


def names_of_session(access_key: str) -> list[str]:
    """The name of the role and of the session that an access key belongs to; none for a key of another kind."""
    session = _session_of(_account_of(access_key), access_key)
    return [str(session.role_arn).rsplit("/", 1)[-1], str(session.session_name)] if session else []


def exists(account_id: str) -> bool:
    """Whether AWS would know this account as a principal or as the target of a share."""
    member = _member(account_id)
    if member is not None:
        return member.status == "ACTIVE"
    return account_id == HUB_ACCOUNT or bool(_sessions(account_id))


def role_was_assumed(role_arn: str) -> bool:
    """Whether a session of this role exists: here a caller can assume a role that IAM does not know."""
    account_id = role_arn.split(":")[4]
    return any(session.role_arn == role_arn for session in _sessions(account_id))


def install() -> None:
    """Make the access key decide which account calls, and remember the caller while a request is served."""
    moto.iam.models.get_account_id_from = _account_of
    BaseResponse.get_current_account = lambda self: _account_of(self.get_access_key())
    set_up = BaseResponse.setup_class

    def set_up_and_remember(self: BaseResponse, *args: object, **kwargs: object) -> None:
        set_up(self, *args, **kwargs)
        _request.account_id, _request.access_key = self.current_account, self.access_key

    BaseResponse.setup_class = set_up_and_remember


def _account_of(access_key: str) -> str:
    """The account in which an access key was issued; the hub for keys that were not issued here, such as `testing`.

    An access key encodes its account. moto searches all accounts instead, and creates missing partitions in each: with a
    thousand accounts each request takes seconds.
    """
    if not re.fullmatch(r"(AKIA|ASIA)[A-Z2-7]{9}[A-Z0-9]{7}", access_key):
        return HUB_ACCOUNT
    half = int.from_bytes(base64.b32decode(access_key[4:12]), "big") - ACCOUNT_OFFSET
    is_odd = access_key[12] in AWS_ROLE_ALPHABET[16:]
    account_id = f"{half * 2 + is_odd:012d}"
    partitions = iam_backends.get(account_id) or {}
    issued = any(access_key in iam.access_keys for iam in list(partitions.values()))
    return account_id if issued else HUB_ACCOUNT


def _sessions(account_id: str) -> list[AssumedRole]:
    partitions = sts_backends.get(account_id)
    return list(partitions["aws"].assumed_roles) if partitions else []


def _session_of(account_id: str, access_key: str) -> AssumedRole | None:
    """Searched once for each key: every request needs it, and there is a session for each account and process."""
    if access_key.startswith("ASIA") and access_key not in _session_by_key:
        sessions = _sessions(account_id)
        _session_by_key.update((one.access_key_id, one) for one in sessions if one.access_key_id == access_key)
    return _session_by_key.get(access_key)


def _member(account_id: str) -> FakeAccount | None:
    """The account in AWS Organizations, if it belongs to an organization."""
    management_account, partition = organizations_backends.master_accounts.get(account_id, (None, None))
    partitions = organizations_backends.get(management_account)
    accounts = partitions[partition].accounts if partitions else []
    return next((account for account in accounts if account.id == account_id), None)
