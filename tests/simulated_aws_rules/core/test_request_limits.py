"""Request limits that are switched on."""

import pytest
from simulated_aws.core import request_limits
from world import error_of, policy


class Clock:
    """A clock that only the test advances: on a busy machine, real time would refill buckets as fast as a test empties them."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return self.seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Switches the limits on; time does not pass by itself."""
    monkeypatch.setenv("SIMULATED_AWS_REQUEST_LIMITS", "on")
    monkeypatch.setattr(request_limits, "_buckets", {})
    stopped = Clock()
    monkeypatch.setattr(request_limits, "time", stopped)
    return stopped


def many(call, number, **wanted):
    for _ in range(number):
        call(**wanted)


def test_ec2_refuses_more_than_a_burst_and_recovers(aws, clock):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
    image, account = aws.image(), aws.external_account()
    change = {"ImageId": image, "LaunchPermission": {"Add": [{"UserId": account}]}}
    many(aws.ec2().modify_image_attribute, 100, **change)
    assert error_of(aws.ec2().modify_image_attribute, **change) == "RequestLimitExceeded"
    clock.seconds += 1
    many(aws.ec2().modify_image_attribute, 5, **change)
    assert error_of(aws.ec2().modify_image_attribute, **change) == "RequestLimitExceeded"


def test_kms_refuses_more_than_fifteen_policies_in_a_second(aws):
    """https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html"""
    put = {"KeyId": aws.key(), "PolicyName": "default", "Policy": policy()}
    many(aws.kms().put_key_policy, 15, **put)
    assert error_of(aws.kms().put_key_policy, **put) == "ThrottlingException"


def test_organizations_refuses_more_than_a_few_reads_in_a_second(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html#throttling-limits"""
    aws.organization()
    assert error_of(many, aws.organizations.list_accounts, 9) == "TooManyRequestsException"


def test_a_number_sets_the_refill_of_the_organizations_buckets_only(aws, clock, monkeypatch):
    """AWS names no numbers: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html"""
    monkeypatch.setenv("SIMULATED_AWS_REQUEST_LIMITS", "1")
    aws.organization()
    assert error_of(many, aws.organizations.list_accounts, 9) == "TooManyRequestsException"
    clock.seconds += 1
    aws.organizations.list_accounts()
    assert error_of(aws.organizations.list_accounts) == "TooManyRequestsException"
    put = {"KeyId": aws.key(), "PolicyName": "default", "Policy": policy()}
    many(aws.kms().put_key_policy, 15, **put)
    clock.seconds += 1
    many(aws.kms().put_key_policy, 15, **put)


def test_nothing_is_refused_when_the_limits_are_off(aws, monkeypatch):
    """https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
    monkeypatch.delenv("SIMULATED_AWS_REQUEST_LIMITS")
    aws.organization()
    many(aws.organizations.list_accounts, 60)
