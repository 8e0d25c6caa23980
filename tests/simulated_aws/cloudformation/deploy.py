"""Deploys template.yaml: expands it, creates the stack, and registers the functions' binaries.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from simulated_aws.cloudformation import parameters as stack_parameters
from simulated_aws.cloudformation import redeploy, stack_resources, template
from simulated_aws.core.server import Simulation
from simulated_aws.iam import permission_record

STACK_NAME = "ami-share"


class DeployError(Exception):
    """The stack cannot be created, and why."""


def deploy(
    simulation: Simulation, path: Path, functions: Path, given: dict[str, str], report: Callable[[str], None]
) -> None:
    """Creates the stack in the account and Region of the caller's credentials; returns when the stack is ready."""
    try:
        values = stack_parameters.resolve(template.read(path).get("Parameters", {}), given)
        expanded = template.expand(path, values)
    except (stack_parameters.ParameterError, template.TemplateError) as error:
        raise DeployError(str(error)) from error
    unknown = stack_resources.unknown_types(expanded)
    if unknown:
        raise DeployError(f"the simulated AWS cannot make {', '.join(sorted(unknown))}")
    binaries = {name: functions / binary for name, binary in template.binaries(path).items()}
    _check_binaries(binaries)
    template.set_code(expanded, template.binaries(path))
    report(f"creating {len(expanded['Resources'])} resources")
    resources = _create(expanded, values, simulation.endpoint_url)
    logical_ids = {_name(one): one["LogicalResourceId"] for one in resources}
    permission_record.start(permission_record.fingerprint(path, binaries.values()), logical_ids)
    for resource in resources:
        _connect(simulation, resource, binaries)
        report(f"created {_words(resource['ResourceType'])} {_name(resource)}")


def _check_binaries(binaries: dict[str, Path]) -> None:
    missing = [str(binary) for binary in binaries.values() if not binary.is_file()]
    if missing:
        raise DeployError(f"these functions are not built: {', '.join(missing)}")


def _create(expanded: template.Template, values: dict[str, str], endpoint_url: str) -> list[dict[str, Any]]:
    cloudformation = boto3.client("cloudformation", endpoint_url=endpoint_url, config=redeploy.PATIENT)
    try:
        cloudformation.create_stack(
            StackName=STACK_NAME,
            TemplateBody=json.dumps(expanded),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise DeployError(f"the stack is {stack['StackStatus']}: {stack.get('StackStatusReason', 'no reason given')}")
        resources: list[dict[str, Any]] = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    except ClientError as error:
        raise DeployError(str(error)) from error
    return resources


def _connect(simulation: Simulation, resource: dict[str, Any], binaries: dict[str, Path]) -> None:
    """Registers the binary of a function that CloudFormation has just created."""
    binary = binaries.get(resource["LogicalResourceId"])
    if binary is not None:
        client = boto3.client("lambda", endpoint_url=simulation.endpoint_url)
        function = client.get_function(FunctionName=resource["PhysicalResourceId"])
        simulation.runtime.register(function["Configuration"]["FunctionArn"], binary)


def _words(resource_type: str) -> str:
    """`AWS::DynamoDB::Table` is a `DynamoDB table`."""
    _, service, kind = resource_type.split("::")
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind)
    return f"{service}{spaced}"


def _name(resource: dict[str, Any]) -> str:
    return str(resource["PhysicalResourceId"]).rsplit("/", 1)[-1].rsplit(":", 1)[-1]
