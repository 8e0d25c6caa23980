"""SNS between accounts: publishing to and subscribing to another account's topic, and delivery to another account's queue.

The queue policy has to allow `sns.amazonaws.com`, also in the topic's own account; otherwise the message is lost.

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
    """The owner of a topic needs no policy; other accounts do."""
    _, _, _, region, owner, _ = topic_arn.split(":", 5)
    topic = sns_backends[owner][region].topics.get(topic_arn)
    if topic is None or owner == account_id:
        return
    if not resource_policy.allows(topic.policy, resource_policy.account(account_id), action, topic_arn):
        message = f"User: arn:aws:iam::{account_id}:root is not authorized to perform: {action} on resource: {topic_arn}"
        raise SNSException("AuthorizationErrorException", message)


def _queue_allows(subscription: Subscription) -> bool:
    _, _, _, region, account_id, name = subscription.endpoint.split(":", 5)
    queue = sqs_backends[account_id][region].queues.get(name)
    topic_arn = subscription.topic.arn
    requester = resource_policy.service("sns.amazonaws.com", source_arn=topic_arn, source_account=topic_arn.split(":")[4])
    return queue is not None and resource_policy.allows(queue.policy, requester, "sqs:SendMessage", subscription.endpoint)


def install() -> None:
    """Wraps moto's Subscribe, Publish and delivery."""
    subscribe, publish, deliver = SNSBackend.subscribe, SNSBackend.publish, Subscription.publish

    def subscribe_anywhere(self: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        """Stores the subscription with the topic, whichever account creates it."""
        _check(topic_arn, self.account_id, "sns:Subscribe")
        return subscribe(sns_backends[topic_arn.split(":")[4]][self.region_name], topic_arn, endpoint, protocol)

    def publish_where_allowed(self: SNSBackend, message: str, arn: str | None, *args: Any, **kwargs: Any) -> str:
        if arn is not None:
            _check(arn, self.account_id, "sns:Publish")
        return publish(self, message, arn, *args, **kwargs)

    def deliver_to_account(self: Subscription, *args: Any, **kwargs: Any) -> None:
        """Delivers to the account in the ARN of the endpoint; moto uses the topic's account."""
        if self.protocol not in ("sqs", "lambda"):
            return deliver(self, *args, **kwargs)
        if self.protocol == "sqs" and not _queue_allows(self):
            LOG.warning("%s lost a message: the queue %s does not exist or refuses it", self.topic.arn, self.endpoint)
            return None
        there = copy.copy(self)
        there.account_id = self.endpoint.split(":")[4]
        return deliver(there, *args, **kwargs)

    SNSBackend.subscribe = subscribe_anywhere
    SNSBackend.publish = publish_where_allowed
    Subscription.publish = deliver_to_account
