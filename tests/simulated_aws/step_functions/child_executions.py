"""`states:startExecution`, with `.sync` and `.sync:2`: a state starts an execution of another state machine, and waits for it.

Waiting needs more permissions of the parent's role than starting. Without them AWS refuses to create the state machine;
here the task fails. When a waiting parent is stopped, its child is stopped too, if the role allows that. AWS also stops it
when another iteration of the Map fails; that is not simulated.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync
https://docs.aws.amazon.com/step-functions/latest/dg/stepfunctions-iam.html
"""

import json
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from werkzeug.exceptions import HTTPException

from simulated_aws.iam import role_permissions

# How often a parent polls its child. AWS uses an event instead.
_POLL_SECONDS = 0.1

_MANAGED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"

# The child executions that a parent waits for, by parent.
_awaited: dict[str, set[str]] = {}


def _start(
    self: StateTaskServiceSfn, env: Environment, resource_runtime_part: Any, normalised_parameters: dict[str, Any],
    state_credentials: Any,
) -> None:
    """Replaces moto's call to itself over HTTP, whose parameters have the wrong names."""
    if self._get_boto_service_action() != "start_execution":
        raise _client_error("InvalidAction", f"{self.resource.api_action} is not part of the simulated AWS", 400)
    arn = normalised_parameters["StateMachineArn"]
    _, _, _, region, account_id, _, name = arn.split(":")[:7]
    waits = self.resource.condition in (ResourceCondition.Sync, ResourceCondition.Sync2)
    _check_role(env, arn, f"arn:aws:states:{region}:{account_id}:execution:{name}:x" if waits else None)
    try:
        execution = stepfunctions_parser_backends[account_id][region].start_execution(
            arn, name=normalised_parameters.get("Name") or str(uuid.uuid4()), execution_input=normalised_parameters["Input"]
        )
    except (HTTPException, ServiceException) as error:
        code = getattr(error, "error_type", None) or getattr(error, "code", None) or type(error).__name__
        raise _client_error(str(code), str(getattr(error, "message", error)), 400) from error
    env.stack.append({"ExecutionArn": execution.exec_arn, "StartDate": _milliseconds(execution.start_date)})


def _check_role(env: Environment, arn: str, execution_arn: str | None) -> None:
    role_arn = env.states.context_object.context_object_data["Execution"]["RoleArn"]
    role = role_permissions.find(role_arn)
    needed = [("states:StartExecution", arn)]
    if execution_arn is not None:
        region, account_id = arn.split(":")[3:5]
        rule = f"arn:aws:events:{region}:{account_id}:rule/{_MANAGED_RULE}"
        needed += [("states:DescribeExecution", execution_arn)]
        needed += [(action, rule) for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule")]
    for action, resource in needed:
        if role is not None and not role_permissions.allow(role, action, resource):
            raise _client_error("AccessDenied", f"{role_arn} is not authorized to perform {action} on {resource}", 400)


def _waiting(output_is_json: bool) -> Callable[..., Callable[[], Any]]:
    """`.sync` gives the child's input and output as text, `.sync:2` as JSON."""

    def build(
        self: StateTaskServiceSfn, env: Environment, resource_runtime_part: Any, normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> Callable[[], Any]:
        arn = env.stack.pop()["ExecutionArn"]
        _, _, _, region, account_id, _ = arn.split(":", 5)
        backend = stepfunctions_parser_backends[account_id][region]
        awaited = _awaited.setdefault(env.states.context_object.context_object_data["Execution"]["Id"], set())
        awaited.add(arn)

        def outcome() -> dict[str, Any] | None:
            child = backend.describe_execution(arn)
            if child.status == "RUNNING":
                return None
            awaited.discard(arn)
            described = _described(child, output_is_json)
            if child.status != "SUCCEEDED":
                raise FailureEventException(_failure(self, env, described))
            return described

        return outcome

    return build


def _described(child: Execution, output_is_json: bool) -> dict[str, Any]:
    shown: Callable[[Any], Any] = (lambda value: value) if output_is_json else json.dumps
    described = {
        "ExecutionArn": child.exec_arn,
        "Input": shown(child.input_data),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": _milliseconds(child.start_date),
        "StateMachineArn": child.state_machine.arn,
        "Status": child.status,
        "StopDate": _milliseconds(child.stop_date),
    }
    if child.output is not None:
        described |= {"Output": shown(child.output), "OutputDetails": {"Included": True}}
    return described | {name: value for name, value in (("Error", child.error), ("Cause", child.cause)) if value is not None}


def _failure(service: StateTaskServiceSfn, env: Environment, described: dict[str, Any]) -> FailureEvent:
    """The parent's task fails with `States.TaskFailed`, whatever the child's error; the child is the cause."""
    details = TaskFailedEventDetails(
        resource=service._get_sfn_resource(),
        resourceType=service._get_sfn_resource_type(),
        error=StatesErrorNameType.StatesTaskFailed.to_name(),
        cause=json.dumps(described, separators=(",", ":")),
    )
    return FailureEvent(
        env=env,
        error_name=StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed),
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def _client_error(code: str, message: str, status: int) -> ClientError:
    metadata = {"HTTPStatusCode": status, "RequestId": "00000000-0000-0000-0000-000000000000"}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "StartExecution")


def _stopping_children(stop: Any) -> Any:
    def call(self: Execution, stop_date: Any, error: str | None, cause: str | None) -> None:
        stop(self, stop_date=stop_date, error=error, cause=cause)
        role = role_permissions.find(self.role_arn)
        for arn in _awaited.pop(self.exec_arn, set()):
            _, _, _, region, account_id, _ = arn.split(":", 5)
            child = stepfunctions_parser_backends[account_id][region].describe_execution(arn)
            if child.status == "RUNNING" and (role is None or role_permissions.allow(role, "states:StopExecution", arn)):
                child.stop(stop_date=stop_date, error=None, cause=None)

    return call


def install() -> None:
    """Replaces moto's calls."""
    Execution.stop = _stopping_children(Execution.stop)
    StateTaskServiceSfn._eval_service_task = _start
    StateTaskServiceSfn._build_sync_resolver = _waiting(output_is_json=False)
    StateTaskServiceSfn._build_sync2_resolver = _waiting(output_is_json=True)
    state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = _POLL_SECONDS
