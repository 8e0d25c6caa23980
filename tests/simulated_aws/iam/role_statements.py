"""Reads the statements of the roles of a template, for all values of its parameters.

A permission that only some stacks have counts too. So both branches of an `Fn::If` count, and the template is expanded
with each allowed value of a parameter, because what SAM adds depends on them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulated_aws.cloudformation import parameters, roles, template
from simulated_aws.cloudformation.template import Template, TemplateError
from simulated_aws.iam.policy_evaluation import as_list

_ROLES = "AWS::IAM::Role"
_NOT_READ = {"AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy"}


@dataclass(frozen=True)
class RoleStatement:
    """One statement; `name` is its Sid, or its index in the policy. The policy is AWS managed if its name is an ARN."""

    role: str
    policy: str
    name: str
    body: dict[str, Any]

    @property
    def is_aws_managed(self) -> bool:
        """Whether AWS wrote it."""
        return self.policy.startswith("arn:")

    def values(self, element: str) -> list[Any]:
        """The actions or the resources, where the statement has that element."""
        return as_list(self.body.get(element))

    def __str__(self) -> str:
        return f"{self.role}, {self.policy}, {self.name}"


def of_template(path: Path) -> list[RoleStatement]:
    """All statements of all roles, each once."""
    found = {str(one): one for values in _values(template.read(path)) for one in of(template.expand(path, values))}
    return list(found.values())


def _values(read: Template) -> Iterator[dict[str, str]]:
    """The defaults, and each allowed value of a parameter with the defaults of the others."""
    declared = read.get("Parameters", {})
    yield parameters.resolve(declared, {})
    for name, declaration in declared.items():
        others = [str(one) for one in declaration.get("AllowedValues", []) if one != declaration.get("Default")]
        yield from (parameters.resolve(declared, {name: value}) for value in others)


def of(expanded: Template) -> list[RoleStatement]:
    """The statements of one expansion. Raises TemplateError for policies in a place that this module does not read."""
    resources = expanded["Resources"].items()
    unread = sorted(name for name, resource in resources if resource["Type"] in _NOT_READ)
    if unread:
        raise TemplateError(f"permissions are compared of roles only; {', '.join(unread)}: write their statements into a role")
    return [one for name, resource in resources if resource["Type"] == _ROLES for one in _of_role(name, resource["Properties"])]


def _of_role(role: str, properties: dict[str, Any]) -> Iterator[RoleStatement]:
    for arn in properties.get("ManagedPolicyArns") or []:
        yield from _of_policy(role, arn, roles.aws_managed(arn))
    for policy in properties.get("Policies") or []:
        yield from _of_policy(role, policy["PolicyName"], policy["PolicyDocument"])


def _of_policy(role: str, policy: str, document: dict[str, Any]) -> Iterator[RoleStatement]:
    for place, written in enumerate(as_list(document["Statement"])):
        for statement in _either(written):
            if "Fn::If" in written and "Sid" not in statement:
                raise TemplateError(f"{role}, {policy}, statement {place}: a statement on a condition needs a Sid")
            yield RoleStatement(role, policy, statement.get("Sid") or str(place), statement)


def _either(written: dict[str, Any]) -> list[dict[str, Any]]:
    if "Fn::If" not in written:
        return [written]
    return [side for side in written["Fn::If"][1:] if side != {"Ref": "AWS::NoValue"}]
