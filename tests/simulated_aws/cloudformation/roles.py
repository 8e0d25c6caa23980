"""Attaches AWS managed policies to a template's roles, from moto's copy of them. moto itself ignores them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

import json
from functools import cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, Role


@cache
def aws_managed(arn: str) -> dict[str, Any]:
    """The document of an AWS managed policy. Raises KeyError for one that moto does not have."""
    document: dict[str, Any] = _data()[arn.rsplit("/", 1)[-1]]["Document"]
    return document


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(aws_managed_policies_data)
    return data


def _completing(create: Any) -> Any:
    def call(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> Role:
        role = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        for arn in cloudformation_json["Properties"].get("ManagedPolicyArns") or []:
            name = arn.rsplit("/", 1)[-1]
            role.managed_policies[arn] = AWSManagedPolicy.from_data(name, account_id, region_name, _data()[name])
        return role

    return classmethod(call)


def install() -> None:
    """Adds the AWS managed policies when moto creates a role."""
    Role.create_from_cloudformation_json = _completing(Role.create_from_cloudformation_json.__func__)
