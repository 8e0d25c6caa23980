"""SNS between accounts: who may publish to and subscribe to another account's topic, and delivery to another account's queue.

A queue has to admit `sns.amazonaws.com` in its policy, in the topic's own account too; what it refuses is lost.

https://docs.aws.amazon.com/sns/latest/dg/sns-send-message-to-sqs-cross-account.html
https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
"""

import copy
import logging
from typing import Any

from moto.sns.exceptions import SNSException
from moto.sns.models import SNSBackend, Subscription, sns_backends
from moto.sqs.models import sqs_backends

from simulated_aws.iam import resource_policy

LOG = logging.getLogger(__name__)


def _check(topic_arn: str, account_id: str, action: str) -> None:
    """The owner of a topic needs no policy; others do."""
    _, _, _, region, owner, _ = topic_arn.split(":", 5)
    topic = sns_backends[owner][region].topics.get(topic_arn)
    if topic is None or owner == account_id:
        return
    if not resource_policy.allows(topic.policy, resource_policy.account(account_id), action, topic_arn):
        message = f"User: arn:aws:iam::{account_id}:root is not authorized to perform: {action} on resource: {topic_arn}"
        raise SNSException("AuthorizationErrorException", message)


def _queue_admits(subscription: Subscription) -> bool:
    _, _, _, region, account_id, name = subscription.endpoint.split(":", 5)
    queue = sqs_backends[account_id][region].queues.get(name)
    topic_arn = subscription.topic.arn
    asker = resource_policy.service("sns.amazonaws.com", source_arn=topic_arn, source_account=topic_arn.split(":")[4])
    return queue is not None and resource_policy.allows(queue.policy, asker, "sqs:SendMessage", subscription.endpoint)


def install() -> None:
    """Wraps moto's Subscribe, Publish and delivery."""
    subscribe, publish, deliver = SNSBackend.subscribe, SNSBackend.publish, Subscription.publish

    def subscribe_anywhere(self: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        """The subscription is kept with the topic, whoever makes it."""
        _check(topic_arn, self.account_id, "sns:Subscribe")
        return subscribe(sns_backends[topic_arn.split(":")[4]][self.region_name], topic_arn, endpoint, protocol)

    def publish_where_allowed(self: SNSBackend, message: str, arn: str | None, *args: Any, **kwargs: Any) -> str:
        if arn is not None:
            _check(arn, self.account_id, "sns:Publish")
        return publish(self, message, arn, *args, **kwargs)

    def deliver_to_account(self: Subscription, *args: Any, **kwargs: Any) -> None:
        """moto looks for the endpoint in the topic's account; its ARN says where it is."""
        if self.protocol not in ("sqs", "lambda"):
            return deliver(self, *args, **kwargs)
        if self.protocol == "sqs" and not _queue_admits(self):
            LOG.warning("%s lost a notice: the queue %s does not exist or refuses it", self.topic.arn, self.endpoint)
            return None
        there = copy.copy(self)
        there.account_id = self.endpoint.split(":")[4]
        return deliver(there, *args, **kwargs)

    SNSBackend.subscribe = subscribe_anywhere
    SNSBackend.publish = publish_where_allowed
    Subscription.publish = deliver_to_account
