"""Runs the whole simulated AWS in its own process, with the stack in `stack/` deployed: for tests of events and functions."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent
HUB, TARGET_ACCOUNT, EXTERNAL_ACCOUNT = "111122223333", "222222222222", "999999999999"
REGION = "us-east-1"


def eventually(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Waits for the first true value of `condition`. The time allows for a machine that is busy with other tests."""
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.05)
    return seen


def command(*arguments: str) -> list[str]:
    """The command line that starts the simulated AWS."""
    return [sys.executable, "-m", "simulated_aws", *arguments]


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Starts the simulated AWS, with logs and the function's binary in `folder`."""
    worker = folder / "functions" / "worker"
    worker.parent.mkdir(exist_ok=True)
    worker.write_text(f"#!{sys.executable}\n" + (HERE / "stack" / "worker.py").read_text())
    worker.chmod(0o755)
    return subprocess.Popen(
        command("--port", "0", "--functions", str(worker.parent), "--logs", str(folder / "logs"), *arguments),
        env={**os.environ, "PYTHONPATH": str(TESTS), "SIMULATED_AWS_IMAGE_DELAY": "0.3"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )


def wait_until_ready(process: "subprocess.Popen[str]") -> str:
    """The URL of the endpoint, from the line `ready`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready: AWS_ENDPOINT_URL="):
            return line.strip().split("=", 1)[1]
    raise AssertionError("it ended before it was ready:\n" + "".join(lines))


class Queue:
    """A queue that a service may send to, and its messages."""

    def __init__(self, sqs: Any, url: str):
        self.sqs, self.url = sqs, url
        self._received: list[dict[str, Any]] = []
        self.arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def message(self) -> dict[str, Any]:
        """The next message, with its attributes."""
        self._received = self._received or eventually(self._receive)
        return self._received.pop(0)

    def next(self) -> Any:
        """The JSON of the next message."""
        return json.loads(self.message()["Body"])

    def stays_empty(self) -> bool:
        """Whether nothing arrives for a moment."""
        time.sleep(0.7)
        return not self._received and not self._receive()

    def _receive(self) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return list(answer.get("Messages", []))


class Simulation:
    """Clients for any account, and the stack's outputs."""

    def __init__(self, endpoint_url: str, folder: Path, region: str = REGION):
        self.endpoint_url = endpoint_url
        self.folder = folder
        self.region = region
        stack = self.client("cloudformation").describe_stacks(StackName="ami-share")["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def client(self, service: str, account_id: str = HUB, region: str | None = None) -> Any:
        """A client of the hub, or of another account through a role in it."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        options = {"endpoint_url": self.endpoint_url, "region_name": region or self.region}
        if account_id != HUB:
            sts = boto3.client("sts", **options, **keys)
            role = sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/tester", RoleSessionName="test")
            session = role["Credentials"]
            keys = {
                "aws_access_key_id": session["AccessKeyId"],
                "aws_secret_access_key": session["SecretAccessKey"],
                "aws_session_token": session["SessionToken"],
            }
        return boto3.client(service, **options, **keys)

    def organization(self) -> Any:
        """The hub's organization, created by the first call."""
        organizations = self.client("organizations")
        try:
            return organizations.create_organization(FeatureSet="ALL")["Organization"]
        except organizations.exceptions.AlreadyInOrganizationException:
            return organizations.describe_organization()["Organization"]

    def queue(self, account_id: str = HUB, allowed_service: str | None = "events.amazonaws.com", **attributes: str) -> Queue:
        """A new queue whose policy allows a service to send, or none."""
        sqs = self.client("sqs", account_id)
        suffix = ".fifo" if attributes.get("FifoQueue") == "true" else ""
        url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex}{suffix}", Attributes=attributes)["QueueUrl"]
        queue = Queue(sqs, url)
        if allowed_service is not None:
            statement = {
                "Effect": "Allow", "Principal": {"Service": allowed_service}, "Action": "sqs:SendMessage", "Resource": queue.arn,
            }
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [statement]})})
        return queue

    def rule(
        self, pattern: dict[str, Any], *targets: dict[str, Any], bus: str = "default", account_id: str = HUB,
        state: str = "ENABLED",
    ) -> str:
        """A new rule; returns its name."""
        events, name = self.client("events", account_id), f"rule-{uuid.uuid4().hex}"
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), State=state)
        with_ids = [{"Id": f"target-{number}", **target} for number, target in enumerate(targets)]
        events.put_targets(Rule=name, EventBusName=bus, Targets=with_ids)
        return name

    def put_event(self, source: str, detail: Any, account_id: str = HUB, **entry: Any) -> dict[str, Any]:
        """Puts one event; returns the answer for it."""
        given = {"Source": source, "DetailType": "Test", "Detail": json.dumps(detail), **entry}
        answer = self.client("events", account_id).put_events(Entries=[given])
        return dict(answer["Entries"][0])


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}.{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """One simulated AWS for all tests, which use different names."""
    folder = tmp_path_factory.mktemp("simulation")
    process = start(folder, "--template", str(HERE / "stack" / "template.yaml"), "--review-every", "1s")
    try:
        yield Simulation(wait_until_ready(process), folder)
    finally:
        process.terminate()
        process.wait(60)
