"""Installs the rules of IAM, EC2, EBS, KMS, Organizations, S3 and Scheduler that this simulated AWS adds to moto."""

from functools import cache

from simulated_aws.core import accounts, caching, chosen_ids, request_limits
from simulated_aws.ec2 import (
    descriptions,
    ebs_encryption,
    image_states,
    image_usage_reports,
    images,
    launch_permissions,
    launches,
    snapshot_permissions,
    snapshots,
    tags,
)
from simulated_aws.iam import authorization
from simulated_aws.kms import api as kms_api
from simulated_aws.kms import deleted_principals, keys
from simulated_aws.organizations import api as organizations_api
from simulated_aws.organizations import handshakes
from simulated_aws.s3 import bucket_access
from simulated_aws.scheduler import schedules

IN_ORDER = (
    accounts,
    authorization,
    keys,
    kms_api,
    deleted_principals,
    tags,
    ebs_encryption,
    snapshots,
    snapshot_permissions,
    image_states,
    images,
    launch_permissions,
    descriptions,
    launches,
    organizations_api,
    handshakes,
    image_usage_reports,
    bucket_access,
    schedules,
    request_limits,
    chosen_ids,
    caching,
)


@cache
def install_all() -> None:
    """Installs every rule, once however often it is called: a wrapper of one of moto's functions must not wrap itself.

    `accounts` comes first: it sets the hub's account before moto's services load.
    """
    for rule in IN_ORDER:
        rule.install()
