"""Checks of Lambda: what the error of a function is called that ends by itself or takes too long.

The function is a shell script on `provided.al2023`; it is invoked three times and computes nothing.
"""

import io
import json
import zipfile
from typing import Any

from sandbox.answers import TAKEN, answer
from sandbox.findings import Finding, NotChecked, check, holds_if
from sandbox.fixture import Fixture

# Ends, sleeps or answers, as the event says.
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-walkthrough.html
BOOTSTRAP = """#!/bin/sh
runtime="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$runtime/next")
  request=$(grep -i lambda-runtime-aws-request-id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  case "$event" in
    *exit*) exit 7 ;;
    *sleep*) sleep 60 ;;
  esac
  curl -sS -X POST "$runtime/$request/response" -d '"done"'
done
"""

EXPECTED = {"answer": "no error", "exit": "Runtime.ExitError", "sleep": "Sandbox.Timedout"}


def _zipped(script: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        made.writestr(entry, script)
    return archive.getvalue()


@check("lambda-errors", "A function that ends by itself fails with `Runtime.ExitError`, and one that takes too long with `Sandbox.Timedout`.")
def errors_of_a_function(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html (names only the second one)"""
    functions, name = fixture.account.client("lambda"), fixture.name("function")
    fixture.until_trusted(
        functions.create_function, FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=3,
        Role=fixture.service_role, Code={"ZipFile": _zipped(BOOTSTRAP)}, Tags=fixture.map_tags,
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    seen = {what: _error(functions, name, what) for what in EXPECTED}
    if seen["answer"] != EXPECTED["answer"]:
        raise NotChecked(f"this endpoint does not run the function ({seen['answer']})")
    return holds_if(seen == EXPECTED, ", ".join(f"{what}: {error}" for what, error in seen.items()))


def _error(functions: Any, name: str, what: str) -> str:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""
    answered: dict[str, Any] = {}
    code = answer(lambda **given: answered.update(functions.invoke(**given)), FunctionName=name, Payload=json.dumps(what))
    if code != TAKEN:
        raise NotChecked(f"the function cannot be invoked ({code})")
    if "FunctionError" not in answered:
        return "no error"
    error = json.loads(answered["Payload"].read())
    return str(error.get("errorType") or error.get("errorMessage"))
