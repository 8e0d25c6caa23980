"""Request limits, where they are switched on."""

import pytest
from simulated_aws import request_limits
from world import error_of, policy


@pytest.fixture(autouse=True)
def limited(monkeypatch):
    monkeypatch.setenv("SIMULATED_AWS_REQUEST_LIMITS", "on")
    request_limits._buckets.clear()


def many(call, number, **wanted):
    for _ in range(number):
        call(**wanted)


def test_ec2_refuses_more_than_a_burst_and_recovers(aws):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
    image, account = aws.image(), aws.stranger()
    change = {"ImageId": image, "LaunchPermission": {"Add": [{"UserId": account}]}}
    assert error_of(many, aws.ec2().modify_image_attribute, 130, **change) == "RequestLimitExceeded"
    for bucket in request_limits._buckets.values():
        bucket.filled -= 1
    aws.ec2().modify_image_attribute(**change)


def test_kms_refuses_more_than_fifteen_policies_in_a_second(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html"""
    put = {"KeyId": aws.key(), "PolicyName": "default", "Policy": policy()}
    assert error_of(many, aws.kms().put_key_policy, 60, **put) == "ThrottlingException"


def test_organizations_refuses_more_than_a_few_reads_in_a_second(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html#throttling-limits"""
    aws.organization()
    assert error_of(many, aws.organizations.list_accounts, 60) == "TooManyRequestsException"


def test_nothing_is_refused_when_they_are_off(aws, monkeypatch):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
    monkeypatch.delenv("SIMULATED_AWS_REQUEST_LIMITS")
    aws.organization()
    many(aws.organizations.list_accounts, 60)
