"""Step Functions: moto's interpreter runs the state machines; Lambda tasks run our functions; status changes send events.

Retry intervals, jitter and the rest of Amazon States Language are moto's, in real time.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html
"""

import json
import logging
import uuid
from typing import Any

from botocore.exceptions import ClientError
from moto.awslambda.utils import get_backend as lambda_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse
from werkzeug.exceptions import HTTPException

from simulated_aws.cloudwatch import traces
from simulated_aws.eventbridge import emission
from simulated_aws.iam import role_permissions
from simulated_aws.step_functions import redrive

LOG = logging.getLogger(__name__)

# https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html#cw-events-payload
_MAX_PAYLOAD_BYTES = 248 * 1024


def _invoke_function(parameters: dict[str, Any], region: str, state_credentials: Any) -> dict[str, Any]:
    """Runs a Lambda task. It replaces moto's call to itself over HTTP, which knows only one account."""
    name = parameters["FunctionName"]
    account_id, region = (name.split(":")[4], name.split(":")[3]) if name.startswith("arn:") else (DEFAULT_ACCOUNT_ID, region)
    _check_role(state_credentials.role_arn, name if name.startswith("arn:") else f"arn:aws:lambda:{region}:{account_id}:function:{name}")
    headers: dict[str, str] = {}
    payload = parameters.get("Payload") or b"{}"
    try:
        answer = lambda_backend(account_id, region).invoke(name, parameters.get("Qualifier"), payload, {}, headers)
    except (HTTPException, ServiceException) as error:
        raise _client_error(error) from error
    response: dict[str, Any] = {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": json.loads(answer or b"null"),
    }
    if "x-amz-function-error" in headers:
        response["FunctionError"] = headers["x-amz-function-error"]
    return response


def _check_role(role_arn: str, function_arn: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/lambda-iam.html"""
    role = role_permissions.find(role_arn)
    if role is None or role_permissions.allow(role, "lambda:InvokeFunction", function_arn):
        return
    message = (
        f"User: {role_arn} is not authorized to perform: lambda:InvokeFunction on resource: {function_arn} "
        "because no identity-based policy allows the lambda:InvokeFunction action"
    )
    metadata = {"HTTPStatusCode": 403, "RequestId": "00000000-0000-0000-0000-000000000000"}
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}, "ResponseMetadata": metadata}, "Invoke")


def _client_error(error: Exception) -> ClientError:
    code = getattr(error, "error_type", None) or getattr(error, "code", None) or "ServiceException"
    message = getattr(error, "message", str(error))
    metadata = {"HTTPStatusCode": 404, "RequestId": "00000000-0000-0000-0000-000000000000"}
    return ClientError({"Error": {"Code": str(code), "Message": message}, "ResponseMetadata": metadata}, "Invoke")


def emit_status(execution: Execution) -> None:
    """Sends `Step Functions Execution Status Change` for the current status of the execution."""
    output = None if execution.output is None else json.dumps(execution.output)
    detail = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine.arn,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "name": execution.name,
        "status": execution.status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": _milliseconds(execution.stop_date),
        "input": None,
        "inputDetails": {"included": False},
        "output": None,
        "outputDetails": None if output is None else {"included": False},
        "error": execution.error,
        "cause": execution.cause,
        "redriveCount": redrive.redrive_count(execution),
        "redriveDate": _milliseconds(getattr(execution, "redrive_date", None)),
        "redriveStatus": "NOT_REDRIVABLE" if execution.status in ("RUNNING", "SUCCEEDED") else "REDRIVABLE",
        "redriveStatusReason": None,
    }
    given = json.dumps(execution.input_data)
    if output is not None and _size(output) <= _MAX_PAYLOAD_BYTES:
        detail |= {"output": output, "outputDetails": {"included": True}}
    if _size(given) + _size(output or "") <= _MAX_PAYLOAD_BYTES:
        detail |= {"input": given, "inputDetails": {"included": True}}
    LOG.info("%s is %s %s", execution.name, execution.status, execution.cause or "")
    emission.emit(
        execution.account_id, execution.region_name, "aws.states", "Step Functions Execution Status Change",
        [execution.exec_arn], detail,
    )


def _size(text: str) -> int:
    return len(json.dumps(text).encode())


def _milliseconds(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _install_status_changes() -> None:
    start, terminated = Execution.start, BaseExecutionWorkerCommunication.terminated

    def emit_and_start(self: Execution) -> None:
        emit_status(self)
        traces.of_execution(self)
        start(self)

    def terminate_and_emit(self: BaseExecutionWorkerCommunication) -> None:
        terminated(self)
        state = self.execution.exec_worker.env.program_state()
        if isinstance(state, ProgramStopped):
            self.execution.error, self.execution.cause = state.error, state.cause
        emit_status(self.execution)

    Execution.start = emit_and_start
    # moto lists an execution a moment before it starts it; in that moment it has no status.
    Execution.status = property(lambda self: (self.exec_status or ExecutionStatus.RUNNING).value)
    BaseExecutionWorkerCommunication.terminated = terminate_and_emit


def _naming(start_execution: Any) -> Any:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: generates a missing name."""

    def call(
        self: StepFunctionsParserBackend, state_machine_arn: str, name: str | None = None, *args: Any, **kwargs: Any
    ) -> Execution:
        return start_execution(self, state_machine_arn, name or str(uuid.uuid4()), *args, **kwargs)

    return call


def _unless_stopped(set_error: Any) -> Any:
    """Ignores the error of moto's interpreter when an execution is stopped within a state: it has not failed."""

    def call(self: Environment, error: Any) -> None:
        if not isinstance(self.program_state(), ProgramStopped):
            set_error(self, error)

    return call


def _stop_execution(self: StepFunctionResponse) -> ActionResult:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html: moto drops error and cause."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    stop_date = utcnow()
    execution.stop(stop_date=stop_date, error=self._get_param("error"), cause=self._get_param("cause"))
    return ActionResult({"stopDate": stop_date})


def install() -> None:
    """Runs Lambda tasks in this process, and sends events when executions start or end."""
    # moto logs its whole syntax tree for every task that fails.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    lambda_eval_utils._invoke_lambda_function = _invoke_function
    StepFunctionsParserBackend.start_execution = _naming(StepFunctionsParserBackend.start_execution)
    Environment.set_error = _unless_stopped(Environment.set_error)
    StepFunctionResponse.stop_execution = _stop_execution
    _install_status_changes()
