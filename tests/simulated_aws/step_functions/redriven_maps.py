"""A redriven Map keeps the results of the iterations that succeeded, and runs the others.

A failed iteration runs from its beginning; AWS runs it from the state that failed. [R] An iteration that had not started
runs too: AWS does not say so explicitly, but otherwise no redrive of a Map could succeed.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
"""

import copy
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import IterationWorker
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import Job
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.eval.environment import Environment

_Map = tuple[str, str]  # The execution, and the Map's state.

_succeeded: dict[_Map, dict[int, Any]] = {}
_kept: dict[_Map, dict[int, Any]] = {}
_redriven: set[_Map] = set()


def redriven(execution_arn: str, state: str) -> None:
    """Continues the execution at this state, if it is a Map."""
    _redriven.add((execution_arn, state))


def _map(env: Environment, state: str) -> _Map:
    return env.states.context_object.context_object_data["Execution"]["Id"], state


def _keeping(evaluate: Any) -> Any:
    def call(self: StateMap, env: Environment) -> None:
        """A Map that runs again without a redrive, such as a retry, starts from the beginning."""
        this = _map(env, self.name)
        _kept[this] = dict(_succeeded.get(this, {})) if this in _redriven else {}
        _succeeded[this] = dict(_kept[this])
        _redriven.discard(this)
        evaluate(self, env)
        for results in (_kept, _succeeded):
            results.pop(this, None)

    return call


def _unless_kept(evaluate: Any) -> Any:
    def call(self: IterationWorker, env: Environment, job: Job) -> None:
        this = _map(env, self._work_name)
        kept = _kept.get(this, {})
        if job.job_index in kept:
            job.job_output = copy.deepcopy(kept[job.job_index])
            return
        evaluate(self, env, job)
        if not isinstance(job.job_output, Exception):
            _succeeded.setdefault(this, {})[job.job_index] = copy.deepcopy(job.job_output)

    return call


def install() -> None:
    """Wraps each Map and each of its iterations."""
    StateMap._eval_execution = _keeping(StateMap._eval_execution)
    IterationWorker._eval_job = _unless_kept(IterationWorker._eval_job)
