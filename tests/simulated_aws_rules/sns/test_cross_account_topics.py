"""SNS between accounts."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from running import MEMBER, STRANGER


def topic_with(simulation, *queues):
    sns = simulation.client("sns")
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex}")["TopicArn"]
    for queue in queues:
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    return topic


def test_a_notice_reaches_the_queue_of_another_account(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-send-message-to-sqs-cross-account.html"""
    own, others = simulation.queue(admits="sns.amazonaws.com"), simulation.queue(MEMBER, admits="sns.amazonaws.com")
    topic = topic_with(simulation, own, others)
    simulation.client("sns").publish(TopicArn=topic, Message="hello", Subject="a notice")
    for queue in (own, others):
        notice = queue.next()
        assert (notice["Message"], notice["Subject"], notice["TopicArn"]) == ("hello", "a notice", topic)


def test_a_batch_reaches_the_queue_of_another_account(simulation):
    """https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html"""
    queue = simulation.queue(MEMBER, admits="sns.amazonaws.com")
    topic = topic_with(simulation, queue)
    entries = [{"Id": str(number), "Message": str(number)} for number in range(2)]
    simulation.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert {queue.next()["Message"], queue.next()["Message"]} == {"0", "1"}


def test_a_queue_that_does_not_admit_sns_receives_nothing(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html"""
    queue = simulation.queue(MEMBER, admits="events.amazonaws.com")
    simulation.client("sns").publish(TopicArn=topic_with(simulation, queue), Message="hello")
    assert queue.stays_empty()


def test_another_account_publishes_and_subscribes_only_where_the_topics_policy_lets_it(simulation):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html"""
    topic, queue = topic_with(simulation), simulation.queue(MEMBER, admits="sns.amazonaws.com")
    member, stranger = simulation.client("sns", MEMBER), simulation.client("sns", STRANGER)
    statement = {
        "Effect": "Allow", "Principal": {"AWS": MEMBER}, "Action": ["sns:Publish", "sns:Subscribe"], "Resource": topic,
    }
    simulation.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [statement]})
    )

    member.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    member.publish(TopicArn=topic, Message="from the member")
    assert queue.next()["Message"] == "from the member"
    with pytest.raises(ClientError, match="AuthorizationError"):
        stranger.publish(TopicArn=topic, Message="from a stranger")
    with pytest.raises(ClientError, match="AuthorizationError"):
        stranger.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
