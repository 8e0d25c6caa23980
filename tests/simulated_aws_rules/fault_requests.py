"""Asks the running simulated AWS for faults of calls and events, which end with the test."""

import json
import urllib.request

import pytest


class Faults:
    """The faults that a test arms, of one kind: `faults` or `event-faults`."""

    def __init__(self, endpoint_url, kind):
        self._url = f"{endpoint_url}/simulated-aws/{kind}"

    def arm(self, then, **rest):
        """Arms a fault; returns its number."""
        return self._request("POST", "", {"then": then, **rest})["id"]

    def struck(self, fault):
        """How often it struck."""
        [found] = self._request("GET", f"?id={fault}")["faults"]
        return found["struck"]

    def end(self, fault=None):
        """Ends this fault, or all."""
        return self._request("DELETE", "" if fault is None else f"?id={fault}")["faults"]

    def _request(self, method, query, body=None):
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(self._url + query, data=data, method=method)) as answer:
            return json.load(answer)


@pytest.fixture
def faults(simulation):
    """Faults of calls."""
    made = Faults(simulation.endpoint_url, "faults")
    yield made
    made.end()


@pytest.fixture
def event_faults(simulation):
    """Faults of events."""
    made = Faults(simulation.endpoint_url, "event-faults")
    yield made
    made.end()
