"""Receives EventBridge's events of our image, snapshot and workflow: a rule on the default bus with a queue as target.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

import json
import time
from collections.abc import Callable
from typing import Any

from sandbox.account import Account
from sandbox.naming import name, tag_map, tags

Event = dict[str, Any]

CALLS = ["RegisterImage", "ModifyImageAttribute", "ResetImageAttribute", "ModifySnapshotAttribute", "ResetSnapshotAttribute"]


def _pattern(workflow: str) -> dict[str, Any]:
    """All events of these kinds in the account; the checks skip those of other resources."""
    return {
        "source": ["aws.ec2", "aws.tag", "aws.states"],
        "$or": [
            {"detail-type": ["EC2 AMI State Change"]},
            {"detail-type": ["Tag Change on Resource"], "detail": {"service": ["ec2"]}},
            {"detail-type": ["AWS API Call via CloudTrail"], "detail": {"eventName": CALLS}},
            {"detail-type": ["Step Functions Execution Status Change"], "detail": {"stateMachineArn": [workflow]}},
        ],
    }


class EventListener:
    """The events that have come so far."""

    def __init__(self, account: Account, run: str):
        self._account, self._run = account, run
        self._sqs = account.client("sqs")
        self._url: str | None = None
        self._deadline: float | None = None
        self.received: list[Event] = []

    def begin(self) -> None:
        """Makes the queue and the rule."""
        queue, rule = name(self._run, "queue"), name(self._run, "rule")
        queue_arn, rule_arn = self._account.arn("sqs", queue), self._account.arn("events", f"rule/{rule}")
        admits = {
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": queue_arn, "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [admits]})
        made = self._sqs.create_queue(QueueName=queue, Attributes={"Policy": policy}, tags=tag_map(self._run))
        events = self._account.client("events")
        pattern = _pattern(self._account.arn("states", f"stateMachine:{name(self._run, 'workflow')}"))
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern), Tags=tags(self._run))
        events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue_arn}])
        self._url = made["QueueUrl"]

    def wait_for(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """The first event that is wanted. All waits together share this time."""
        self._deadline = self._deadline or time.monotonic() + seconds
        return self._until(self._deadline, wanted)

    def soon(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """The same for one that comes within so many seconds from now, whatever else is waited for."""
        return self._until(time.monotonic() + seconds, wanted)

    def _until(self, deadline: float, wanted: Callable[[Event], bool]) -> Event | None:
        while True:
            found = next((event for event in self.received if wanted(event)), None)
            left = deadline - time.monotonic()
            if found or (left <= 0 and not self._receive(0)):
                return found
            if left > 0:
                self._receive(min(10, max(1, int(left))))

    def _receive(self, seconds: int) -> bool:
        """Whether anything came."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        messages = answer.get("Messages", [])
        for message in messages:
            self.received.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)
