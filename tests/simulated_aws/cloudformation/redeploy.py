"""`python -m simulated_aws.cloudformation.redeploy`: updates or deletes the stack that `python -m simulated_aws` deployed.

It does what `sam deploy` and `sam delete` do, through CloudFormation's API: a parameter that is not named keeps its value,
and an update without changes succeeds. Its last line is the status of the stack.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-cli-command-reference-sam-deploy.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from simulated_aws.cloudformation import parameters, template

STACK_NAME = "ami-share"
# The simulated AWS answers when the change is complete. A retry would change the stack twice.
PATIENT = Config(read_timeout=600, retries={"max_attempts": 0})
_COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE")


def main() -> int:
    """Exit status: 0 if the stack was changed as requested, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m simulated_aws.cloudformation.redeploy", description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="where the simulated AWS is")
    parser.add_argument("--region", default="us-east-1", help="the Region that the stack is in")
    parser.add_argument("--template", type=Path, help="the SAM template")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter to change")
    parser.add_argument("--delete", action="store_true", help="delete the stack")
    arguments = parser.parse_args()
    cloudformation = boto3.client(
        "cloudformation", endpoint_url=arguments.endpoint, region_name=arguments.region,
        aws_access_key_id="testing", aws_secret_access_key="testing", config=PATIENT,
    )  # fmt: skip
    try:
        if arguments.delete:
            stack = delete(cloudformation)
        else:
            given = dict(parameter.split("=", 1) for parameter in arguments.parameter)
            stack = deploy(cloudformation, arguments.template, given)
    except (ClientError, parameters.ParameterError, template.TemplateError) as error:
        print(error)
        return 1
    print(stack.get("StackStatusReason", ""))
    print(stack["StackStatus"])
    return 0 if stack["StackStatus"] in _COMPLETE else 1


def deploy(cloudformation: Any, path: Path, given: dict[str, str]) -> dict[str, Any]:
    """Updates the stack, or creates it if it is missing; returns its description."""
    before = _described(cloudformation)
    previous = {one["ParameterKey"]: one["ParameterValue"] for one in before.get("Parameters", [])}
    values = parameters.resolve(template.read(path).get("Parameters", {}), previous | given)
    expanded = template.expand(path, values)
    template.set_code(expanded, template.binaries(path))
    change = cloudformation.update_stack if before else cloudformation.create_stack
    try:
        change(
            StackName=STACK_NAME, TemplateBody=json.dumps(expanded), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        )  # fmt: skip
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
    return _described(cloudformation)


def delete(cloudformation: Any) -> dict[str, Any]:
    """Deletes the stack; returns its last description, which only its id still finds."""
    stack_id = _described(cloudformation)["StackId"]
    cloudformation.delete_stack(StackName=STACK_NAME)
    deleted: dict[str, Any] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
    return deleted


def _described(cloudformation: Any) -> dict[str, Any]:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    except ClientError:
        return {}
    return stack


if __name__ == "__main__":
    sys.exit(main())
