"""Reading topics outside any group: to restore, to look back, and for people. It disturbs nobody.

Only committed records are seen. What is read is a `Stored`: Kafka's own classes stay at the door.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from streams.broker import Cluster
from streams.clients import END, places, stored_of, translated
from streams.errors import BrokerError, NotFound
from streams.merge import Stored

READ_RECORDS = 5_000
AT_ONCE: dict[str, Any] = {"fetch.wait.max.ms": 1}  # that a partition has ended is to be known soon
BACK_RECORDS_MIN, BACK_RECORDS_MAX = 4, 64  # of those read backwards, held at a time


class Fetched(NamedTuple):
    """A record, or None when a partition ended; `reached` is the offset from which it goes on."""

    topic: str
    partition: int
    stored: Stored | None
    reached: int


class Reader:
    """Reads any partitions from any offsets on. `name` is what the broker's logs call it, `options`
    are for Kafka's client.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        starts: Mapping[tuple[str, int], int] | None = None,
        **options: Any,
    ) -> None:
        self._cluster = cluster
        self._consumer: Any = cluster.consumer(name, **options)
        if starts is not None:
            self.assign(starts)

    def assign(self, starts: Mapping[tuple[str, int], int]) -> None:
        """Read these partitions from these offsets on, and no others."""
        self._consumer.assign(places(starts))

    def fetch(self, records_max: int, wait_s: float) -> list[Fetched]:
        """What has come, in order within a partition; empty when nothing comes for so long."""
        fetched = []
        # Asked for all at once, the client waits for all: the whole time, wherever fewer come.
        records = self._consumer.consume(1, wait_s)
        if records:
            records += self._consumer.consume(records_max - 1, 0.0)
        for found in records:
            topic, partition, error = found.topic(), found.partition(), found.error()
            if error is None:
                stored = stored_of(found)
                fetched.append(Fetched(topic, partition, stored, stored.offset + 1))
            elif error.code() == END:
                fetched.append(Fetched(topic, partition, None, found.offset()))
            else:
                raise BrokerError(f"{topic}[{partition}]: {error.str()}")
        return fetched

    def offsets_at(
        self, partitions: Iterable[tuple[str, int]], at_ms: int
    ) -> dict[tuple[str, int], int]:
        """The first offset that was appended at a time or later; left out where there is none."""
        asked = places(dict.fromkeys(partitions, at_ms))
        with translated("offsets_for_times"):
            timeout = self._cluster.settings.request_timeout_s
            found = self._consumer.offsets_for_times(asked, timeout)
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that retention has left, and the last stable offset."""
        with translated("watermarks"):
            timeout = self._cluster.settings.request_timeout_s
            asked = places({(topic, partition): 0})[0]
            found: tuple[int, int] = self._consumer.get_watermark_offsets(asked, timeout)
        return found

    def know_topics(self) -> dict[str, int]:
        """Ask for all topics at once, and how many partitions they have: one that the client has to
        look up first costs a second.
        """
        with translated("list_topics"):
            timeout = self._cluster.settings.request_timeout_s
            topics = self._consumer.list_topics(timeout=timeout).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()


class KafkaLog:
    """Reads committed records from any place to the end that is there when the reading starts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reader = Reader(cluster, "doa-restore", **AT_ONCE)
        self._partitions = self._reader.know_topics()

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def records(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        """All records from an offset to another, or to the end; open transactions of dead writers
        are waited for.
        """
        end = self._cluster.ends([(topic, partition)])[(topic, partition)] if stop is None else stop
        if start >= end:
            return
        self._reader.assign({(topic, partition): max(start, 0)})
        deadline = time.monotonic() + self._cluster.settings.restore_timeout_s
        position = start
        while position < end:
            most = min(READ_RECORDS, end - position)
            for _, _, stored, reached in self._reader.fetch(most, 0.05):
                if reached < position:  # Kafka's client was refused its place, and begins anew
                    raise BrokerError(f"{topic}[{partition}]: cannot be read on at {position}")
                position = reached
                deadline = time.monotonic() + self._cluster.settings.restore_timeout_s
                if stored is not None and stored.offset < end:
                    yield stored
            if position < end and time.monotonic() > deadline:
                raise BrokerError(
                    f"{topic}[{partition}]: read to {position} of {end}, then nothing for "
                    f"{self._cluster.settings.restore_timeout_s:.0f} s; a transaction may hang"
                )
        self._reader.assign({})

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that retention has left, and the last stable offset; NotFound where
        there is no such partition.
        """
        if partition >= self._partitions.get(topic, 0):
            raise NotFound(f"there is no {topic}[{partition}] in the cluster")
        return self._reader.bounds(topic, partition)

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        """All committed records, the last first, read a few more at a time."""
        stop = self._cluster.ends([(topic, partition)])[(topic, partition)]
        count = BACK_RECORDS_MIN
        while stop > 0:
            start = max(stop - count, 0)
            yield from reversed(list(self.records(topic, partition, start, stop)))
            stop, count = start, min(count * 4, BACK_RECORDS_MAX)

    def last(self, topic: str, partition: int) -> Stored | None:
        """The last committed record of a partition."""
        return next(self.backwards(topic, partition), None)
