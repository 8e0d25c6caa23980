"""RedriveExecution: continues an unsuccessful execution at the state that failed, with the input of that state.

`redriven_maps` keeps the results of a Map that failed.

https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
"""

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.stepfunctions.exceptions import AWSError
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.responses import StepFunctionResponse

from simulated_aws.step_functions import redriven_maps

_REDRIVABLE = ("FAILED", "ABORTED", "TIMED_OUT")


class ExecutionNotRedrivable(AWSError):
    """The execution is running, or has succeeded."""

    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


class _RedrivenWorker(ExecutionWorker):
    """Starts the same definition at another state."""

    state_name: str
    state_input: Any

    def _get_evaluation_entrypoint(self) -> EvalComponent:
        definition = json.loads(self._evaluation_details.state_machine_details.definition)
        return AmazonStateLanguageParser.parse(json.dumps({**definition, "StartAt": self.state_name}))[0]

    def _get_evaluation_environment(self) -> Environment:
        environment = super()._get_evaluation_environment()
        environment.states.reset(self.state_input)
        return environment


def _redrive_execution(self: StepFunctionResponse) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    if execution.status not in _REDRIVABLE:
        raise ExecutionNotRedrivable(f"Execution is {execution.status} and cannot be redriven")
    redrive(execution)
    return ActionResult({"redriveDate": execution.redrive_date})


def redrive(execution: Execution) -> None:
    """Continues the execution where it ended."""
    history = execution.to_history_output()["events"]
    name, given = _last_state(execution, history)
    redriven_maps.redriven(execution.exec_arn, name)
    worker = execution._get_start_execution_worker()
    worker.__class__ = _RedrivenWorker
    worker.state_name, worker.state_input = name, given
    execution.earlier_history = history
    execution.redrive_count = redrive_count(execution) + 1
    execution.redrive_date = utcnow()
    execution.stop_date = execution.output = execution.error = execution.cause = None
    # Its status is RUNNING, and the event is sent, before its worker runs.
    execution.exec_status = None
    # `Execution.start` gets a worker, runs it, and sends the event of the start.
    execution.exec_worker = None
    execution._get_start_execution_worker = lambda: worker
    execution.start()


def redrive_count(execution: Execution) -> int:
    """How often it has been redriven."""
    return int(getattr(execution, "redrive_count", 0))


def _last_state(execution: Execution, history: list[dict[str, Any]]) -> tuple[str, Any]:
    """The last entered state of the state machine itself; a state inside a Map counts as the Map."""
    names = json.loads(execution.state_machine.definition)["States"]
    entered = [event["stateEnteredEventDetails"] for event in history if "stateEnteredEventDetails" in event]
    last = next(details for details in reversed(entered) if details["name"] in names)
    return last["name"], json.loads(last["input"])


def _continued(history_of: Any) -> Any:
    """Continues the execution history: the second start of the interpreter is a redrive."""

    def call(self: Execution) -> dict[str, Any]:
        earlier = getattr(self, "earlier_history", [])
        events = history_of(self)["events"]
        if earlier and events:
            offset = len(earlier)
            events = [
                {**event, "id": event["id"] + offset, "previousEventId": event.get("previousEventId", 0) + offset}
                for event in events
            ]
            details = {"redriveCount": redrive_count(self)}
            kept = {name: events[0][name] for name in ("id", "previousEventId", "timestamp")}
            events[0] = {**kept, "type": "ExecutionRedriven", "executionRedrivenEventDetails": details}
        return {"events": earlier + events}

    return call


def _with_redrives(describe_execution: Any) -> Any:
    def call(self: StepFunctionResponse) -> ActionResult:
        answer = describe_execution(self)
        execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        answer.result["redriveCount"] = redrive_count(execution)
        answer.result["redriveStatus"] = "REDRIVABLE" if execution.status in _REDRIVABLE else "NOT_REDRIVABLE"
        if redrive_count(execution):
            answer.result["redriveDate"] = execution.redrive_date
        return answer

    return call


def install() -> None:
    """Adds the call, which moto does not have, its events and its counts."""
    redriven_maps.install()
    StepFunctionResponse.redrive_execution = _redrive_execution
    StepFunctionResponse.describe_execution = _with_redrives(StepFunctionResponse.describe_execution)
    Execution.to_history_output = _continued(Execution.to_history_output)
