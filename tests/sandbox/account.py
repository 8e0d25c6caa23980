"""The accounts that the checks act in: clients, and who we are there."""

from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config

# Throttled calls are retried; refusals are the results of the checks.
_PATIENT = Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=10, read_timeout=70)


class Account:
    """One account, in one Region."""

    def __init__(self, session: boto3.Session, region: str):
        self._session = session
        self.region = region
        self.client = cache(self._client)

    @cached_property
    def identity(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
        return dict(self.client("sts").get_caller_identity())

    @property
    def id(self) -> str:
        """Its number."""
        return self.identity["Account"]

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.identity["Arn"].split(":")[1]

    @property
    def endpoint(self) -> str:
        """The URL of its EC2 endpoint."""
        return str(self.client("ec2").meta.endpoint_url)

    @property
    def is_aws(self) -> bool:
        """Whether that is AWS, and not a simulation of it."""
        return any(domain in self.endpoint for domain in (".amazonaws.com", ".api.aws"))

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this account and Region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"

    def acting_as(self, role_arn: str) -> "Account":
        """The same account, with the rights of a role in it.

        https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
        """
        issued = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="ami-share-check")["Credentials"]
        session = boto3.Session(
            aws_access_key_id=issued["AccessKeyId"],
            aws_secret_access_key=issued["SecretAccessKey"],
            aws_session_token=issued["SessionToken"],
        )
        return Account(session, self.region)

    def untiring(self, service: str, region: str | None = None) -> Any:
        """A client without retries: it shows throttling."""
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        return self._session.client(service, region_name=region or self.region, config=once)

    def _client(self, service: str, region: str | None = None) -> Any:
        return self._session.client(service, region_name=region or self.region, config=_PATIENT)
