"""The meter: AWS has no such API, so these are the rules of `metering.py` itself."""

import json
import urllib.request

from stack_calls import invoke


def meter(simulation):
    """The numbers of the worker so far."""
    with urllib.request.urlopen(f"{simulation.endpoint_url}/simulated-aws/meter") as answer:
        counted = json.load(answer)
    return counted["invocations"].get("worker", 0), counted["calls"].get("worker", {})


def test_each_invocation_and_each_call_of_a_function_is_counted_and_no_other_call(simulation):
    queue = simulation.queue()
    invocations, calls = meter(simulation)
    invoke(simulation, {"do": "send", "queue_url": queue.url, "texts": ["a", "b", "c"]})
    invoke(simulation, {"do": "fail", "error": "Some.Error"})
    assert queue.message()["Body"] == "a"
    invoked, called = meter(simulation)
    assert invoked == invocations + 2
    assert called == calls | {"sqs:SendMessage": calls.get("sqs:SendMessage", 0) + 3}
