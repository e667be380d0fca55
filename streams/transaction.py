"""The transactional producer of one slot: what it writes becomes visible as one, or not at all.

A producer whose transaction ended in doubt is never used again: a new one with the same id makes
the broker finish or abort what was open (librdkafka lacks KIP-890), and what came of it is read
from the committed offsets.
"""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import TopicPartition

from streams.broker import Cluster
from streams.clients import translated
from streams.errors import Fenced, StreamsError
from streams.unit import Output

FULL_WAIT_S = 0.01  # how long to serve the producer when its queue is full


class Transaction:
    """At most one open transaction, and the producer that is renewed when in doubt."""

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self.open = False
        self.began = 0.0
        self._cluster = cluster
        self._id = transactional_id
        self._producer: Any = None

    @property
    def age_ms(self) -> float:
        """How long it has been open."""
        return (time.monotonic() - self.began) * 1_000

    def renew(self) -> None:
        """Have a producer of which nothing is in doubt; a new one fences its predecessor."""
        if self._producer is None:
            self._producer = self._cluster.producer(self._id)

    def begin(self) -> None:
        """Open it; with records in hand only, since an open transaction holds up readers."""
        with translated("begin_transaction"):
            self._producer.begin_transaction()
        self.open, self.began = True, time.monotonic()

    def write(self, partition: int, outputs: list[Output]) -> None:
        """Hand records to the producer, which sends them while others are made."""
        produce = self._producer.produce
        with translated("produce"):
            for topic, key, value, headers in outputs:
                while True:
                    try:
                        produce(topic, value, key, partition, headers=headers)
                        break
                    except BufferError:
                        self._producer.poll(FULL_WAIT_S)
            self._producer.poll(0)

    def commit(self, offsets: list[TopicPartition], group: Any) -> None:
        """Make everything visible, and the offsets of what it was made from (KIP-447)."""
        timeout_s = self._cluster.settings.commit_timeout_s
        with translated("send_offsets_to_transaction"):
            self._producer.send_offsets_to_transaction(offsets, group, timeout_s)
        with translated("commit_transaction"):
            self._producer.commit_transaction(timeout_s)
        self.open = False

    def abort(self) -> None:
        """Leave no trace of it; when that is in doubt, the producer is given up. Fenced is told."""
        if not self.open:
            return
        self.open = False
        try:
            with translated("abort_transaction"):
                self._producer.abort_transaction(self._cluster.settings.commit_timeout_s)
        except Fenced:
            raise
        except StreamsError:
            self.give_up()

    def give_up(self) -> None:
        """Use this producer no more: the broker may be gone, and an abort would wait for it."""
        self.open = False
        self._producer = None
