"""Starts moto with this project's rules in the process of the tests, and makes clients for any account.

It does not start the rest (delivery of events, functions, workflows); the fixture `simulation` does.
"""

import os
import sys
import threading
from pathlib import Path

os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["SIMULATED_AWS_IMAGE_DELAY"] = "0.3"
sys.path.insert(0, str(Path(__file__).parent.parent))

from simulated_aws.core import rules  # noqa: E402
from simulated_aws.eventbridge import emission  # noqa: E402

rules.install_all()

import pytest  # noqa: E402
from moto.core.base_backend import BackendDict  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402
from fault_requests import event_faults, faults  # noqa: E402, F401
from running import simulation  # noqa: E402, F401
from stack_calls import short_timeout  # noqa: E402, F401
from world import World  # noqa: E402


@pytest.fixture(scope="session")
def endpoint():
    """The address of a moto server that runs in this process."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def events(monkeypatch):
    """The events that AWS services send during the test, recorded instead of delivered."""
    emitted = []
    lock = threading.Lock()

    def record(account_id, region, source, detail_type, resources, detail):
        with lock:
            emitted.append({"account": account_id, "region": region, "source": source, "detail-type": detail_type,
                            "resources": resources, "detail": detail})  # fmt: skip

    monkeypatch.setattr(emission, "emit", record)
    return emitted


@pytest.fixture
def aws(endpoint, events):
    """An empty simulated AWS: clients for the hub and other accounts, and short ways to create resources."""
    BackendDict.reset()
    return World(endpoint)


@pytest.fixture
def slow(monkeypatch):
    """Makes images stay pending long enough for a call on a busy machine."""
    monkeypatch.setenv("SIMULATED_AWS_IMAGE_DELAY", "3")
