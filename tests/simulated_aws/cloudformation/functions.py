"""Adds what moto ignores in a template's functions: log group, tracing and dead-letter queue.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html
"""

from typing import Any

from moto.awslambda.models import LambdaFunction

from simulated_aws.cloudwatch import traces


def dead_letter_queue(function: LambdaFunction) -> str | None:
    """The ARN of the function's dead-letter queue, if it has one."""
    return getattr(function, "dead_letter_arn", None)


def _completing(create: Any) -> Any:
    def call(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> LambdaFunction:
        function = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        properties = cloudformation_json["Properties"]
        function.dead_letter_arn = (properties.get("DeadLetterConfig") or {}).get("TargetArn")
        function.logs_group_name = (properties.get("LoggingConfig") or {}).get("LogGroup") or function.logs_group_name
        traces.trace(function.function_arn, (properties.get("TracingConfig") or {}).get("Mode"))
        return function

    return classmethod(call)


def install() -> None:
    """Adds the missing properties when moto creates a function."""
    LambdaFunction.create_from_cloudformation_json = _completing(LambdaFunction.create_from_cloudformation_json.__func__)
