"""Decides whether a caller may access a bucket or an object, by the bucket policy and the caller's role.

moto evaluates little of a bucket policy. `aws:SecureTransport` is true although the simulated AWS listens without TLS.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

import logging

from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import BucketAccessDeniedError
from moto.s3.models import FakeBucket, s3_backends
from moto.s3.responses import S3Response

from simulated_aws.core import accounts
from simulated_aws.iam import policy_evaluation, resource_policy, role_permissions
from simulated_aws.iam.policy_evaluation import Context, Request

LOG = logging.getLogger(__name__)

# A HEAD needs the permission to read: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:PostObject": "s3:PutObject", "s3:HeadBucket": "s3:ListBucket"}


def _permission(bucket: FakeBucket, action: str, resource: str, more: Context | None = None) -> PermissionResult:
    """In the owner's account, the bucket policy or the role's policy is enough; another account needs both.

    Raises the error of S3; DeleteObjects instead answers for each object whether it was denied.
    """
    account_id, action = accounts.calling_account() or bucket.account_id, _ACTIONS.get(action, action)
    own = {"aws:SecureTransport": ["true"], "aws:ResourceAccount": [bucket.account_id], **(more or {})}
    requester = resource_policy.account(account_id, own | {"s3:ResourceAccount": [bucket.account_id]})
    document = bucket.policy.decode() if bucket.policy else '{"Statement": []}'
    request = Request(requester.caller, action, requester.context, resource)
    by_role = role_permissions.caller_may(requester.caller, action, resource, requester.context)
    by_bucket = policy_evaluation.allows(document, request)
    enough = (by_role or by_bucket) if account_id == bucket.account_id else (by_role and by_bucket)
    if policy_evaluation.denies(document, request) or not enough:
        LOG.warning("%s may not %s on %s", requester.caller.arn, action, resource)
        if action != "s3:DeleteObject":
            raise BucketAccessDeniedError(bucket.name)
        return PermissionResult.DENIED
    return PermissionResult.PERMITTED if by_bucket else PermissionResult.NEUTRAL


def _authorize(response: S3Response, bucket_name: str | None = None, key_name: str | None = None) -> None:
    """Wraps every operation: moto itself calls `_permission` for objects only, and not for all their actions."""
    if bucket_name not in s3_backends.bucket_accounts:
        return
    bucket = s3_backends[response.current_account]["aws"].get_bucket(bucket_name)
    prefix = response.querystring.get("prefix")
    more = {"s3:prefix": [str(prefix[0])]} if prefix else None
    resource = f"{bucket.arn}/{key_name}" if key_name else bucket.arn
    if _permission(bucket, f"s3:{response._get_action()}", resource, more) == PermissionResult.DENIED:
        raise BucketAccessDeniedError(bucket_name)


def install() -> None:
    """Replaces moto's evaluation of the policy, and its own check, which is off by default."""
    FakeBucket.get_permission = _permission
    S3Response._authenticate_and_authorize_s3_action = _authorize
