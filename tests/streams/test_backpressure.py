"""Which inputs are paused, and when they are resumed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streams.backpressure import Backpressure
from streams.merge import Input, Merge, Stored
from streams.settings import Settings


class Consumer:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    def pause(self, partitions: list[Any]) -> None:
        self.asked += [("pause", p.topic, p.partition) for p in partitions]

    def resume(self, partitions: list[Any]) -> None:
        self.asked += [("resume", p.topic, p.partition) for p in partitions]


def decoded(source: int, stored: Stored) -> Input:
    return Input(source, stored.offset, 0, None, None, stored.value, 0)


def filled(merge: Merge, source: int, *values: bytes) -> None:
    for offset, value in enumerate(values):
        merge.push(source, Stored(offset, None, value, {}))


def test_full_queue_is_paused_once_and_resumed_when_less_than_half_is_left() -> None:
    plan: Any = SimpleNamespace(
        inputs=[SimpleNamespace(topic="left"), SimpleNamespace(topic="right")]
    )
    settings = Settings(queue_records_max=4, queue_bytes_max=100)
    backpressure, consumer = Backpressure(plan, settings), Consumer()
    merge = Merge([0, 0], [0, 0], decoded)
    filled(merge, 0, *[b"x"] * 4)  # one is the head: three wait
    backpressure.look(consumer, {7: merge})
    assert consumer.asked == []
    merge.push(0, Stored(4, None, b"x", {}))
    backpressure.look(consumer, {7: merge})
    backpressure.look(consumer, {7: merge})
    assert consumer.asked == [("pause", "left", 7)]
    for _ in range(2):
        merge.pop()
    backpressure.look(consumer, {7: merge})
    assert consumer.asked == [("pause", "left", 7)]  # half is left
    merge.pop()
    backpressure.look(consumer, {7: merge})
    assert consumer.asked == [("pause", "left", 7), ("resume", "left", 7)]


def test_few_large_values_are_as_many() -> None:
    plan: Any = SimpleNamespace(inputs=[SimpleNamespace(topic="left")])
    settings = Settings(queue_records_max=1_000, queue_bytes_max=100)
    backpressure, consumer = Backpressure(plan, settings), Consumer()
    merge = Merge([0], [0], decoded)
    filled(merge, 0, b"head", bytes(60), bytes(60))
    backpressure.look(consumer, {0: merge})
    assert consumer.asked == [("pause", "left", 0)]
    merge.pop()
    merge.pop()
    assert merge.waiting_bytes == [0]
    backpressure.look(consumer, {0: merge})
    assert consumer.asked == [("pause", "left", 0), ("resume", "left", 0)]
