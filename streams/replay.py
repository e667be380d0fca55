"""Running a source: its generator's records, written exactly once, its position kept in a changelog.

A source is alone in its flow: one unit, which writes to any partition. The position after the last record written, and the
counts that number its records, are committed with the records; a killed source goes on where it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from schemas.internal import ClockTick, UnitState
from schemas.record import Record
from streams.broker import Cluster, translated
from streams.codec import Codec, Registry
from streams.lineage import HEADER, pack_header, pack_stamp
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock, Processor
from streams.topology import Flow, Topology, stream_of

COMMIT_RECORDS = 20_000
COMMIT_MS_MAX = 2_000
LIVE_COMMIT_MS = 100


class SourceLoop:
    """Writes what a source yields until it ends or is stopped.

    `speed` is event time over wall time: 60.0 plays an hour in a minute, None goes as fast as it can.
    """

    def __init__(
        self,
        topology: Topology,
        flow: Flow,
        source: Processor,
        cluster: Cluster,
        registry: Registry,
        *,
        speed: float | None = None,
        progress: Callable[[int], None] = lambda count: None,
        **options: Any,
    ) -> None:
        self.plan = Plan(flow, registry, cluster.settings.namespace)
        self.source = source
        self.cluster = cluster
        self.speed = speed
        self.progress = progress
        self.options = options
        self.written: dict[str, int] = {}
        self.count = 0
        readers = [f for f in topology.flows.values() if set(f.inputs) & set(source.writes)]
        namespace = cluster.settings.namespace
        self._clocks = [Plan(f, registry, namespace).inputs[-1] for f in readers]
        self._stopping = threading.Event()
        self._wait_until = 0.0

    def stop(self) -> None:
        """Commit what was written and end."""
        self._stopping.set()

    def run(self) -> int:
        """Write until the source ends; how many records were written in all."""
        transactional_id = f"{self.plan.topic(self.plan.flow.name)}.{self.source.name}"
        producer = self.cluster.producer(transactional_id)
        position = self._restore()
        partitions = self.cluster.partitions()
        edges = {c: self._edge(c, partitions) for c in self.source.writes}
        stamp = pack_stamp(self.source.name, self.plan.flow.code_version)
        began = time.monotonic()
        open_records = 0
        producer.begin_transaction()
        for position, record in self._paced(position):
            if isinstance(record, Clock):
                self._tick(producer, record, partitions, stamp)
            else:
                topic, codec, key_field, count = edges[type(record)]
                key = getattr(record, key_field)
                number = partition_of(key, count)
                header = self._header(topic, number, stamp)
                self._send(producer, topic, codec.encode(record), key, number, header)
                self.count += 1
            open_records += 1
            age_ms = (
                (time.monotonic() - began) * 1_000 if open_records % 64 == 0 or self.speed else 0
            )
            limit = LIVE_COMMIT_MS if self.speed else COMMIT_MS_MAX
            if open_records >= COMMIT_RECORDS or age_ms > limit or self._stopping.is_set():
                self._commit(producer, position)
                open_records, began = 0, time.monotonic()
                self.progress(self.count)
                if self._stopping.is_set():
                    return self.count
                producer.begin_transaction()
        self._commit(producer, position)
        self.progress(self.count)
        return self.count

    def _paced(self, position: Any) -> Iterator[tuple[Any, Record | Clock]]:
        first_ms: int | None = None
        began = time.monotonic()
        for position, record in self.source(position, **self.options):
            if self.speed is not None and isinstance(record, Record):
                at_ms = getattr(record, stream_of(type(record)).event_time)
                first_ms = at_ms if first_ms is None else first_ms
                wait = (at_ms - first_ms) / 1_000 / self.speed - (time.monotonic() - began)
                if wait > 0:
                    self._stopping.wait(wait)
            yield position, record

    def _edge(
        self, record: type[Record], partitions: dict[str, int]
    ) -> tuple[str, Codec, str, int]:
        stream = stream_of(record)
        topic = self.plan.topic(stream.topic)
        return topic, self.plan.codec(record), stream.key, partitions[topic]

    def _header(self, topic: str, number: int, stamp: bytes) -> bytes:
        place = f"{topic}[{number}]"
        n = self.written.get(place, 0)
        self.written[place] = n + 1
        return pack_header(n, stamp, b"\x00", 0, b"")

    def _tick(self, producer: Any, clock: Clock, partitions: dict[str, int], stamp: bytes) -> None:
        for plan in self._clocks:
            value = plan.codec.encode(ClockTick(at_ms=clock.at_ms))
            for number in range(partitions[plan.topic]):
                self._send(
                    producer,
                    plan.topic,
                    value,
                    None,
                    number,
                    self._header(plan.topic, number, stamp),
                )

    def _send(
        self, producer: Any, topic: str, value: bytes, key: str | None, number: int, header: bytes
    ) -> None:
        while True:
            try:
                producer.produce(topic, value, key, number, headers=[(HEADER, header)])
                return
            except BufferError:
                producer.poll(0.05)

    def _commit(self, producer: Any, position: Any) -> None:
        changelog = self.plan.topic(self.plan.flow.changelog)
        assert self.source.position is not None
        if position is not None:
            value = self.plan.state_codec(self.source.position).encode(position)
            producer.produce(changelog, value, f"source/{self.source.name}", 0)
        state = UnitState(time_ms=0, written=self.written)
        producer.produce(changelog, self.plan.unit_codec.encode(state), "unit", 0)
        with translated("commit_transaction"):
            producer.commit_transaction(self.cluster.settings.commit_timeout_s)

    def _restore(self) -> Any:
        assert self.source.position is not None
        position = None
        log = self.cluster.log()
        for stored in log.records(self.plan.topic(self.plan.flow.changelog), 0):
            if stored.key == b"unit":
                self.written = dict(self.plan.unit_codec.decode(stored.value).written)
            elif stored.key == f"source/{self.source.name}".encode():
                position = self.plan.state_codec(self.source.position).decode(stored.value)
        log.close()
        self.count = sum(self.written.values())
        return position
