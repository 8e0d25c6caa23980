"""The latency of calls: AWS has no such setting, so these are the rules of `latency.py` itself."""

import time

import pytest
from simulated_aws.core import latency


def answer(_environ, start_response):
    start_response("200 OK", [])
    return [b"answered"]


@pytest.fixture
def slept(monkeypatch):
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)
    return naps


def call(application, path):
    return b"".join(application({"PATH_INFO": path}, lambda _status, _headers: None))


def test_a_call_has_the_latency_and_a_request_to_the_simulation_itself_has_none(monkeypatch, slept):
    monkeypatch.setenv("SIMULATED_AWS_LATENCY", "0.05")
    application = latency.install(answer)
    assert call(application, "/") == call(application, "/simulated-aws/meter") == b"answered"
    assert slept == [0.05]


def test_without_the_setting_a_call_has_no_latency(monkeypatch):
    monkeypatch.delenv("SIMULATED_AWS_LATENCY", raising=False)
    assert latency.install(answer) is answer
