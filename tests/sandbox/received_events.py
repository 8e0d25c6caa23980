"""Receives the events of our image, snapshot and workflow: a rule on the default bus, and a queue as its target.

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
    """All events of these kinds in the account; the checks ignore those of other resources."""
    return {
        "source": ["aws.ec2", "aws.tag", "aws.states"],
        "$or": [
            {"detail-type": ["EC2 AMI State Change"]},
            {"detail-type": ["Tag Change on Resource"], "detail": {"service": ["ec2"]}},
            {"detail-type": ["AWS API Call via CloudTrail"], "detail": {"eventName": CALLS}},
            {"detail-type": ["Step Functions Execution Status Change"], "detail": {"stateMachineArn": [workflow]}},
        ],
    }


class ReceivedEvents:
    """The events that have arrived so far."""

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
        allows_the_rule = {
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": queue_arn, "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allows_the_rule]})
        made = self._sqs.create_queue(QueueName=queue, Attributes={"Policy": policy}, tags=tag_map(self._run))
        events = self._account.client("events")
        pattern = _pattern(self._account.arn("states", f"stateMachine:{name(self._run, 'workflow')}"))
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern), Tags=tags(self._run))
        events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue_arn}])
        self._url = made["QueueUrl"]

    def wait_for(self, matches: Callable[[Event], bool], seconds: float) -> Event | None:
        """The first event that matches. All waits together take so many seconds: the deadline is the same for all."""
        self._deadline = self._deadline or time.monotonic() + seconds
        return self._until(self._deadline, matches)

    def soon(self, matches: Callable[[Event], bool], seconds: float) -> Event | None:
        """The same for an event that arrives within so many seconds from now, whatever other waits take."""
        return self._until(time.monotonic() + seconds, matches)

    def _until(self, deadline: float, matches: Callable[[Event], bool]) -> Event | None:
        while True:
            found = next((event for event in self.received if matches(event)), None)
            left = deadline - time.monotonic()
            if found or (left <= 0 and not self._receive(0)):
                return found
            if left > 0:
                self._receive(min(10, max(1, int(left))))

    def _receive(self, seconds: int) -> bool:
        """Whether anything arrived."""
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds)
        messages = answer.get("Messages", [])
        for message in messages:
            self.received.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return bool(messages)
