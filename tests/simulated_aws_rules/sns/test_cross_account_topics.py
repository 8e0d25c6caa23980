"""SNS between accounts."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from running import EXTERNAL_ACCOUNT, TARGET_ACCOUNT


def topic_with(simulation, *queues):
    sns = simulation.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex}")["TopicArn"]
    for queue in queues:
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    return topic


def test_a_message_reaches_the_queue_of_another_account(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-send-message-to-sqs-cross-account.html"""
    own = simulation.queue(allowed_service="sns.amazonaws.com")
    others = simulation.queue(TARGET_ACCOUNT, allowed_service="sns.amazonaws.com")
    topic = topic_with(simulation, own, others)
    simulation.client("sns").publish(TopicArn=topic, Message="hello", Subject="a message")
    for queue in (own, others):
        received = queue.next()
        assert (received["Message"], received["Subject"], received["TopicArn"]) == ("hello", "a message", topic)


def test_a_batch_reaches_the_queue_of_another_account(simulation):
    """https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"""
    queue = simulation.queue(TARGET_ACCOUNT, allowed_service="sns.amazonaws.com")
    topic = topic_with(simulation, queue)
    entries = [{"Id": str(number), "Message": str(number)} for number in range(2)]
    simulation.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert {queue.next()["Message"], queue.next()["Message"]} == {"0", "1"}


def test_a_queue_that_does_not_allow_sns_receives_nothing(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html"""
    queue = simulation.queue(TARGET_ACCOUNT, allowed_service="events.amazonaws.com")
    simulation.client("sns").publish(TopicArn=topic_with(simulation, queue), Message="hello")
    assert queue.stays_empty()


def test_another_account_publishes_and_subscribes_only_where_the_topics_policy_allows_it(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html"""
    topic, queue = topic_with(simulation), simulation.queue(TARGET_ACCOUNT, allowed_service="sns.amazonaws.com")
    member, external_account = simulation.client("sns", TARGET_ACCOUNT), simulation.client("sns", EXTERNAL_ACCOUNT)
    statement = {
        "Effect": "Allow", "Principal": {"AWS": TARGET_ACCOUNT}, "Action": ["sns:Publish", "sns:Subscribe"], "Resource": topic,
    }
    simulation.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [statement]})
    )

    member.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    member.publish(TopicArn=topic, Message="from the member")
    assert queue.next()["Message"] == "from the member"
    with pytest.raises(ClientError, match="AuthorizationError"):
        external_account.publish(TopicArn=topic, Message="from an external account")
    with pytest.raises(ClientError, match="AuthorizationError"):
        external_account.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
