"""What a consumer has fetched, and what it calls back."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo

from streams.clients import Callbacks, answered, deliver, moves, translated
from streams.errors import BrokerError, Evicted, Fenced
from streams.merge import Input, Merge, Stored

FENCED = KafkaError(KafkaError._FATAL, "Static consumer fenced by other consumer")
PASSING = KafkaError(KafkaError._MAX_POLL_EXCEEDED, "too slow")


class Fetched:
    """A record, the end of a partition, or an error."""

    def __init__(self, offset: int = -1, error: KafkaError | None = None) -> None:
        self._offset, self._error = offset, error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return "topic"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> list[tuple[str, bytes]]:
        return []

    def timestamp(self) -> tuple[int, int]:
        return 1, 5


def merge() -> Merge:
    def decoded(source: int, stored: Stored) -> Input:
        return Input(source, stored.offset, stored.offset, None, None, stored.value, 0)

    return Merge([9], [0], decoded)


def test_records_and_ends_reach_their_merge_and_others_are_left_out() -> None:
    here = merge()
    end = KafkaError(KafkaError._PARTITION_EOF, "end")
    deliver([Fetched(0), Fetched(1), Fetched(9, end)], {3: here}, {"topic": 0})
    offsets = []
    while (item := here.pop()) is not None:
        offsets.append(item.offset)
    assert offsets == [0, 1]
    assert here.positions == [9]
    deliver([Fetched(0), Fetched(9, end)], {}, {"topic": 0})


@pytest.mark.parametrize("errors", [(PASSING, FENCED), (FENCED, PASSING)])
def test_end_of_a_consumer_is_told_whatever_else_was_fetched(errors: Any) -> None:
    with pytest.raises(Evicted, match="Static consumer fenced"):
        deliver([Fetched(error=e) for e in errors], {}, {})


def test_other_errors_are_raised_after_what_came_with_them() -> None:
    here = merge()
    with pytest.raises(BrokerError, match="too slow"):
        deliver([Fetched(error=PASSING), Fetched(0)], {3: here}, {"topic": 0})
    assert here.positions == [1]


def test_errors_of_callbacks_wait_and_the_first_is_raised_once() -> None:
    def fail(error: Exception) -> None:
        raise error

    callbacks = Callbacks()
    callback = callbacks("revoke", fail)
    callback(Fenced("first"))
    callback(BrokerError("second"))
    with pytest.raises(Fenced, match="first"):
        callbacks.check()
    callbacks.check()


def test_answer_that_names_no_offset_is_none() -> None:
    """A question that timed out may end without an error (confluent-kafka 2.16)."""
    given: Future[Any] = Future()
    given.set_result(ListOffsetsResultInfo(7, -1, 0))
    assert answered({TopicPartition("topic", 3): given}) == {("topic", 3): 7}
    none: Future[Any] = Future()
    none.set_result(ListOffsetsResultInfo(-1001, -1, -1))
    with pytest.raises(BrokerError, match=r"did not say where topic\[4\] ends"):
        answered({TopicPartition("topic", 3): given, TopicPartition("topic", 4): none})


def test_error_of_a_future_leaves_no_client_for_the_garbage_collector() -> None:
    class Client:
        """What only the frame of its user holds."""

    def ask(client: Client) -> None:
        future: Future[Any] = Future()
        future.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        with pytest.raises(KafkaException, match="NOT_LEADER"):
            answered({TopicPartition("topic", 3): future})

    client = Client()
    left = weakref.ref(client)
    gc.disable()
    try:
        ask(client)
        del client
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("code", "soon"),
    [
        (KafkaError.NOT_LEADER_FOR_PARTITION, True),
        (KafkaError.NOT_COORDINATOR, True),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, False),
    ],
)
def test_error_says_whether_another_broker_will_answer(code: int, soon: bool) -> None:
    with pytest.raises(BrokerError) as caught, translated("list_offsets"):
        raise KafkaException(KafkaError(code))
    assert moves(caught.value) is soon
    assert not moves(BrokerError("of our own"))
