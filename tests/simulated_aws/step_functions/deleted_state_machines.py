"""Deleting a state machine ends its executions, even while they wait or run a task.

AWS ends them at their next transition, and lists the state machine as `DELETING` until then; here both end at once.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_DeleteStateMachine.html
"""

from typing import Any

from moto.core.utils import utcnow
from moto.stepfunctions.parser.models import StepFunctionsParserBackend


def _ending_executions(delete: Any) -> Any:
    def call(self: StepFunctionsParserBackend, arn: str) -> None:
        running = [
            execution
            for machine in self.state_machines
            if machine.arn == arn
            for execution in list(machine.executions)
            if execution.status == "RUNNING"
        ]
        delete(self, arn)
        for execution in running:
            execution.stop(stop_date=utcnow(), error=None, cause="the state machine was deleted")

    return call


def install() -> None:
    """Ends the executions of a state machine that is deleted."""
    StepFunctionsParserBackend.delete_state_machine = _ending_executions(StepFunctionsParserBackend.delete_state_machine)
