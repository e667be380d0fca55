"""What the door to Kafka promises of consumer groups, on the real broker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import KafkaError, TopicPartition

from ops.connect import Connection
from ops.stack import Stack
from streams.errors import BrokerError

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
GROUPS_ASKED = 300

# In a process of its own, since what it looks for is the end of the process.
ASK = f"""
import sys
from streams.broker import Cluster
from streams.settings import Settings
cluster = Cluster(sys.argv[1], Settings(request_timeout_s=30))
for number in range({GROUPS_ASKED}):
    assert cluster.committed(f"group-{{number % 10}}", [("nowhere", 0)]) == {{}}
    cluster.forget_group(f"group-{{number % 10}}", 30)
print("done")
"""


def test_committed_says_where_a_group_is_and_nothing_of_what_it_has_not_committed(
    connection: Connection, until: Callable[..., Any]
) -> None:
    cluster, topic = connection.cluster, connection.settings.namespace
    cluster.create({topic: (3, {})})
    group, places = f"{topic}.group", [(topic, number) for number in range(3)]
    assert cluster.committed(group, places) == {}
    assert cluster.committed(group, []) == {}
    member = cluster.consumer(group)
    member.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    assert cluster.committed(group, places) == {(topic, 0): 7}
    producer = cluster.producer(f"{topic}.writer")
    producer.begin_transaction()
    producer.produce(topic, b"", partition=1)
    offsets = [TopicPartition(topic, 0, 8), TopicPartition(topic, 1, 1)]
    producer.send_offsets_to_transaction(offsets, member.consumer_group_metadata())
    assert cluster.committed(group, places) == {(topic, 0): 7}
    producer.commit_transaction()
    after = {(topic, 0): 8, (topic, 1): 1}  # once the marker has come through, which nobody awaits
    until("the offsets committed", lambda: cluster.committed(group, places) == after)
    member.close()


def test_member_whose_position_is_refused_says_so_and_does_not_begin_anew(
    connection: Connection, until: Callable[..., Any]
) -> None:
    cluster, topic = connection.cluster, connection.settings.namespace
    cluster.create({topic: (1, {})})
    producer = cluster.producer()
    producer.produce(topic, b"first", partition=0)
    producer.flush()
    member = cluster.member(f"{topic}.group", 0)
    member.assign([TopicPartition(topic, 0, 2)])  # behind the end
    (found,) = until("an answer", lambda: member.consume(1, 0.1))
    assert found.error() is not None
    assert found.error().code() == KafkaError._AUTO_OFFSET_RESET
    member.close()


def test_group_that_has_members_is_not_forgotten(
    connection: Connection, until: Callable[..., Any]
) -> None:
    cluster, topic = connection.cluster, connection.settings.namespace
    cluster.create({topic: (1, {})})
    member = cluster.consumer(topic)
    member.subscribe([topic])
    # What a poll returns may be an error that passes: the topic is new.
    until("a place in the group", lambda: [member.poll(0.1)] and member.assignment())
    with pytest.raises(BrokerError, match="stop its workers first"):
        cluster.forget_group(topic, 0.5)
    member.close()
    cluster.forget_group(topic, 10)
    cluster.forget_group(topic, 0)


def test_broker_that_does_not_answer_in_time_is_not_taken_for_an_empty_topic(
    connection: Connection, stack: Stack, until: Callable[..., Any]
) -> None:
    cluster, place = connection.cluster, (connection.settings.namespace, 0)
    cluster.create({place[0]: (1, {})})
    assert cluster.ends([place]) == {place: 0}, "the client knows the leader from now on"

    def unanswered() -> bool:
        try:
            assert cluster.ends([place], timeout_s=0.5) == {place: 0}, "or nothing at all"
        except BrokerError:
            return True
        return False

    broker = psutil.Process(stack.status().kafka.pid)
    broker.suspend()
    try:
        until("a broker all of whose threads stand still", unanswered)
    finally:
        broker.resume()
    assert cluster.ends([place]) == {place: 0}


@pytest.mark.full
@pytest.mark.timeout(180)
def test_broker_whose_group_coordinator_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    endpoints = stack.up()
    try:
        command = [sys.executable, "-c", ASK, endpoints.bootstrap]
        asked = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    finally:
        stack.down()
    assert (asked.returncode, asked.stdout) == (0, "done\n"), asked.stderr
