"""AWS X-Ray: a traced function or state machine sends traces with its own role, if the role allows it. They are not stored.

Step Functions also reads the sampling rules with the role; Lambda itself decides what is sampled.

https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html
"""

import logging

from moto.awslambda.models import LambdaFunction
from moto.stepfunctions.parser.backend.execution import Execution

from simulated_aws.iam import role_permissions

LOG = logging.getLogger(__name__)

_SEND = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
_SAMPLE = ("xray:GetSamplingRules", "xray:GetSamplingTargets")

_traced: set[str] = set()


def trace(arn: str, setting: object) -> None:
    """Records whether a function or state machine of a template is traced."""
    if str(setting).lower() in ("true", "active"):
        _traced.add(arn)


def of_invocation(function: LambdaFunction) -> None:
    """Sends the trace of an invocation."""
    _send(function.function_arn, function.role, _SEND)


def of_execution(execution: Execution) -> None:
    """Sends the trace of an execution."""
    _send(execution.state_machine.arn, execution.role_arn, _SEND + _SAMPLE)


def _send(arn: str, role_arn: str, actions: tuple[str, ...]) -> None:
    role = role_permissions.find(role_arn) if arn in _traced else None
    lacking = [one for one in actions if role is not None and not role_permissions.allow(role, one, "*")]
    if lacking:
        LOG.warning("no trace of %s: %s is not allowed %s", arn, role_arn, ", ".join(lacking))
