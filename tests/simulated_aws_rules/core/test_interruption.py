"""The interruption of functions: AWS has no such API, so these are the rules of `interruption.py` itself."""

import json
import urllib.error
import urllib.request
import uuid

import pytest
from running import eventually
from stack_calls import invoke, start_execution, wait_for_end


def interrupt(simulation, image, call, when, **options):
    """Registers an interruption, by default of the worker."""
    body = {"image": image, "function": "worker", "call": call, "when": when, "then": "stop", **options}
    post(simulation, "interruptions", body)


def post(simulation, path, body):
    url = f"{simulation.endpoint_url}/simulated-aws/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data=json.dumps(body).encode())) as answer:
        return json.load(answer)


def invocations(simulation, image):
    """The invocations that named an image."""
    with urllib.request.urlopen(f"{simulation.endpoint_url}/simulated-aws/invocations?image={image}") as answer:
        return json.load(answer)["invocations"]


def arrived(queue):
    """The messages that a queue holds, sorted."""
    return sorted(message["Body"] for message in queue._receive())


@pytest.fixture
def image():
    """An image that no other test names."""
    return f"ami-{uuid.uuid4().hex[:17]}"


@pytest.fixture
def work(simulation, image):
    """A queue, and the detail that lets the worker send three messages to it, one call each."""
    queue = simulation.queue()
    return queue, {"do": "send", "queue_url": queue.url, "texts": ["a", "b", "c"], "image": image}


def test_every_call_of_an_invocation_that_names_the_image_is_counted(simulation, image, work):
    queue, detail = work
    assert invocations(simulation, image) == []
    invoke(simulation, detail)
    invoke(simulation, detail | {"image": "another"})
    (invocation,) = invocations(simulation, image)
    assert uuid.UUID(invocation.pop("request-id"))
    calls = ["sqs:SendMessage"] * 3
    assert invocation == {"function": "worker", "action": None, "detail-type": None, "state": "ended", "calls": calls}
    assert len(arrived(queue)) == 6


@pytest.mark.parametrize(("when", "reached"), [("before", ["a"]), ("after", ["a", "b"])])
def test_a_process_is_killed_before_or_after_its_call_takes_effect(simulation, image, work, when, reached):
    queue, detail = work
    interrupt(simulation, image, 2, when)
    answer, payload = invoke(simulation, detail)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("signal: SIGKILL")
    assert arrived(queue) == reached
    (killed,) = invocations(simulation, image)
    assert (killed["state"], len(killed["calls"])) == ("killed", 2)


def test_an_interruption_strikes_once_and_only_at_its_image_function_and_action(simulation, image, work):
    _, detail = work
    for options in ({"image": "ami-other"}, {"function": "other"}, {"action": "revoke"}):
        interrupt(simulation, **({"image": image, "call": 1, "when": "before"} | options))
        assert "FunctionError" not in invoke(simulation, detail)[0]
    interrupt(simulation, image, 1, "before", action=None)
    assert "FunctionError" in invoke(simulation, detail)[0]
    assert "FunctionError" not in invoke(simulation, detail)[0]


def test_the_execution_that_waits_for_the_function_is_stopped_and_nothing_is_tried_again(simulation, image, work):
    queue, detail = work
    interrupt(simulation, image, 3, "before")
    arn = start_execution(simulation, detail)
    execution = wait_for_end(simulation, arn)
    assert execution["status"] == "ABORTED"
    assert (execution["error"], execution["cause"]) == ("Interrupted", "a test killed the function")
    assert len(invocations(simulation, image)) == 1
    assert arrived(queue) == ["a", "b"]


def test_stopping_an_iteration_of_a_map_stops_the_whole_execution(simulation, image, work):
    queue, detail = work
    items = [detail | {"texts": [text]} for text in "ab"]
    # The first task of the workflow names the image too, and makes no call.
    interrupt(simulation, image, 1, "after")
    execution = wait_for_end(simulation, start_execution(simulation, {"items": items}))
    assert execution["status"] == "ABORTED"
    assert "killed" in {one["state"] for one in invocations(simulation, image)}
    assert set(arrived(queue)) <= {"a", "b"}


def test_without_a_stop_the_workflow_may_try_again(simulation, image, work):
    _, detail = work
    interrupt(simulation, image, 1, "before", then="kill")
    execution = wait_for_end(simulation, start_execution(simulation, detail))
    # This workflow has no Retry for a process that ends.
    assert (execution["status"], execution["error"]) == ("FAILED", "Runtime.ExitError")
    eventually(lambda: invocations(simulation, image)[0]["state"] == "killed")


@pytest.mark.parametrize(("when", "reached"), [("before", ["a"]), ("after", ["a", "b"])])
def test_a_call_is_held_until_it_is_released(simulation, image, work, when, reached):
    queue, detail = work
    interrupt(simulation, image, 2, when, then="hold")
    arn = start_execution(simulation, detail)
    eventually(lambda: [one["state"] for one in invocations(simulation, image)] == ["held"])
    assert arrived(queue) == reached
    assert post(simulation, "releases", {"image": image}) == {"waited": True}
    assert wait_for_end(simulation, arn)["status"] == "SUCCEEDED"
    assert sorted(reached + arrived(queue)) == ["a", "b", "c"]
    assert invocations(simulation, image)[0]["state"] == "ended"


def test_where_nothing_is_held_nothing_can_be_released(simulation, image, work):
    _, detail = work
    interrupt(simulation, image, 1, "before", then="hold")
    with pytest.raises(urllib.error.HTTPError, match="409"):
        post(simulation, "releases", {"image": image})
    arn = start_execution(simulation, detail)
    eventually(lambda: [one["state"] for one in invocations(simulation, image)] == ["held"])
    post(simulation, "releases", {"image": image})
    with pytest.raises(urllib.error.HTTPError, match="409"):
        post(simulation, "releases", {"image": image})
    assert wait_for_end(simulation, arn)["status"] == "SUCCEEDED"


def test_who_gave_up_its_call_did_not_wait_for_the_release(simulation, image, work, short_timeout):  # noqa: F811
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html: here it is Lambda that ends it."""
    _, detail = work
    interrupt(simulation, image, 1, "before", then="hold")
    arn = start_execution(simulation, detail)
    assert wait_for_end(simulation, arn)["error"] == "Sandbox.Timedout"
    assert post(simulation, "releases", {"image": image}) == {"waited": False}
    eventually(lambda: [one["state"] for one in invocations(simulation, image)] == ["failed"])
