"""Whether a caller may get at an object: by the bucket's policy, of which moto reads little, and by the caller's own role.

The simulated AWS listens without TLS and stands for an AWS that is asked with it, so `aws:SecureTransport` is true here.

Listing a bucket is not checked.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
"""

import logging

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from simulated_aws import accounts, permission, policy_evaluation, role_permissions
from simulated_aws.policy_evaluation import Request

LOG = logging.getLogger(__name__)

# A HEAD needs the permission to read: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:PostObject": "s3:PutObject"}


def _permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """In the owner's account, the bucket's policy or the role's own is enough; from another, it takes both."""
    account_id, action = accounts.calling_account() or bucket.account_id, _ACTIONS.get(action, action)
    own = {"aws:SecureTransport": ["true"], "aws:ResourceAccount": [bucket.account_id]}
    asker = permission.account(account_id, own)
    document = bucket.policy.decode() if bucket.policy else '{"Statement": []}'
    request = Request(asker.caller, action, asker.context, resource)
    by_role = role_permissions.caller_may(asker.caller, action, resource, asker.context)
    by_bucket = policy_evaluation.allows(document, request)
    enough = (by_role or by_bucket) if account_id == bucket.account_id else (by_role and by_bucket)
    if policy_evaluation.denies(document, request) or not enough:
        LOG.warning("%s may not %s on %s", asker.caller.arn, action, resource)
        return PermissionResult.DENIED
    return PermissionResult.PERMITTED if by_bucket else PermissionResult.NEUTRAL


def install() -> None:
    """Replaces moto's look at the policy."""
    FakeBucket.get_permission = _permission
