"""Events that come late, twice, out of order or not at all: AWS has no API for it, so these are the rules of `event_faults.py`.

Public evidence confirms what they imitate: EventBridge delivers at least once and in any order, and EC2's and the tags' events
are sent on a best effort basis (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html).
"""

import json
import time
import urllib.request

import pytest
from running import eventually, unique


@pytest.fixture
def source():
    return unique("test")


@pytest.fixture
def queue(simulation, source):
    """A queue with the events of the source."""
    queue = simulation.queue()
    simulation.rule({"source": [source]}, {"Arn": queue.arn})
    return queue


def put(simulation, source, *numbers, detail_type="Test"):
    for number in numbers:
        simulation.put_event(source, {"number": number}, DetailType=detail_type)


def numbers(queue, count):
    """The numbers of the next events, in the order in which they came."""
    return [queue.next()["detail"]["number"] for _ in range(count)]


def under_way(simulation):
    with urllib.request.urlopen(f"{simulation.endpoint_url}/simulated-aws/under-way") as answer:
        return json.load(answer)["under way"]


def test_an_event_is_lost(simulation, event_faults, source, queue):
    fault = event_faults.arm("lose", contains=source)
    put(simulation, source, 1, 2)
    assert numbers(queue, 1) == [2]
    assert queue.stays_empty()
    assert event_faults.struck(fault) == 1


def test_an_event_comes_twice_with_the_same_id(simulation, event_faults, source, queue):
    event_faults.arm("repeat", contains=source)
    put(simulation, source, 1)
    first, second = queue.next(), queue.next()
    assert first == second
    assert queue.stays_empty()


def test_an_event_comes_late_and_later_events_overtake_it(simulation, event_faults, source, queue):
    event_faults.arm("delay", contains=source, seconds=1.5)
    started = time.monotonic()
    put(simulation, source, 1, 2)
    assert under_way(simulation) > 0
    assert numbers(queue, 2) == [2, 1]
    assert time.monotonic() - started >= 1.5
    eventually(lambda: under_way(simulation) == 0)


def test_two_events_swap_places(simulation, event_faults, source, queue):
    event_faults.arm("swap", contains=source)
    put(simulation, source, 1)
    assert queue.stays_empty()
    put(simulation, source, 2, 3)
    # A queue that is no FIFO queue shows messages in the order of their arrival here.
    assert numbers(queue, 3) == [2, 1, 3]


def test_an_event_that_waits_comes_when_the_fault_ends(simulation, event_faults, source, queue):
    fault = event_faults.arm("swap", contains=source)
    put(simulation, source, 1)
    assert queue.stays_empty()
    [ended] = event_faults.end(fault)
    assert ended["struck"] == 1
    assert numbers(queue, 1) == [1]


def test_a_fault_is_only_for_its_detail_type_and_text(simulation, event_faults, source, queue):
    fault = event_faults.arm("lose", contains=source, detail_type="Tag Change*", times=None)
    other = event_faults.arm("lose", contains=unique("other"), times=None)
    put(simulation, source, 1)
    put(simulation, source, 2, detail_type="Tag Change on Resource")
    assert numbers(queue, 1) == [1]
    assert queue.stays_empty()
    assert (event_faults.struck(fault), event_faults.struck(other)) == (1, 0)


def test_an_event_of_aws_itself_is_lost(simulation, event_faults):
    """https://docs.aws.amazon.com/tag-editor/latest/userguide/tags-events.html"""
    ec2, queue = simulation.client("ec2"), simulation.queue()
    simulation.rule({"source": ["aws.tag"]}, {"Arn": queue.arn})
    volume = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    event_faults.arm("lose", contains=snapshot, detail_type="Tag Change on Resource")
    for value in ("1", "2"):
        ec2.create_tags(Resources=[snapshot], Tags=[{"Key": "key", "Value": value}])
    assert queue.next()["detail"]["tags"] == {"key": "2"}
    assert queue.stays_empty()
