"""The rules of IAM, EC2, EBS, KMS, Organizations, S3 and Scheduler that this simulated AWS adds to moto, installed in one go."""

from functools import cache

from simulated_aws import (
    accounts,
    authorization,
    bucket_access,
    chosen_ids,
    deleted_principals,
    descriptions,
    ebs_encryption,
    ec2_tags,
    handshakes,
    image_states,
    image_usage_reports,
    images,
    keys,
    kms_calls,
    launch_permissions,
    launches,
    organizations,
    request_limits,
    scheduler,
    snapshot_permissions,
    snapshots,
    speed,
)

IN_ORDER = (
    accounts,
    authorization,
    keys,
    kms_calls,
    deleted_principals,
    ec2_tags,
    ebs_encryption,
    snapshots,
    snapshot_permissions,
    image_states,
    images,
    launch_permissions,
    descriptions,
    launches,
    organizations,
    handshakes,
    image_usage_reports,
    bucket_access,
    scheduler,
    request_limits,
    chosen_ids,
    speed,
)


@cache
def install_all() -> None:
    """Install every rule, once however often it is called: what wraps one of moto's functions must not wrap itself.

    `accounts` comes first: it says which account is the hub before moto's services load.
    """
    for rule in IN_ORDER:
        rule.install()
