"""Work under way: AWS has no such API, so these are the rules of `under_way.py` itself."""

import json
import urllib.request
import uuid

from running import eventually
from stack_calls import invoke


def under_way(simulation):
    with urllib.request.urlopen(f"{simulation.endpoint_url}/simulated-aws/under-way") as answer:
        return json.load(answer)["under way"]


def test_an_asynchronous_invocation_is_under_way_until_its_last_attempt(simulation):
    marker = simulation.folder / uuid.uuid4().hex
    detail = {"do": "fail_at_first", "times": 9, "error": "Busy", "marker": str(marker)}
    invoke(simulation, detail, InvocationType="Event")
    assert under_way(simulation) > 0
    eventually(lambda: under_way(simulation) == 0)
    assert len(marker.read_text().splitlines()) == 3


def test_an_event_is_under_way_until_the_function_that_it_is_for_has_ended(simulation):
    marker = simulation.folder / uuid.uuid4().hex
    for _ in range(5):
        detail = {"do": "fail_at_first", "times": 0, "error": "Busy", "marker": str(marker)}
        assert "EventId" in simulation.put_event("test.function", detail)
    eventually(lambda: under_way(simulation) == 0)
    assert len(marker.read_text().splitlines()) == 5
