"""Running a source: its generator's records, written exactly once, its position kept in a
changelog.

A source is alone in its flow: one unit, which writes to any partition. The position after the last
record written, and the
counts that number its records, are committed with the records; a killed source goes on where it
was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from schemas.internal import ClockTick, UnitState
from schemas.record import Record
from streams.broker import Cluster
from streams.clients import put, translated
from streams.codec import Codec, Registry
from streams.errors import OUTAGES, Fenced, Unregistered
from streams.lineage import HEADER, pack_header, pack_stamp
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock, Processor
from streams.topology import Flow, Topology, stream_of
from streams.transaction import patience_s

COMMIT_RECORDS = 20_000
COMMIT_MS_MAX = 2_000
LIVE_COMMIT_MS = 100


class SourceLoop:
    """Writes what a source yields until it ends or is stopped.

    `speed` is event time over wall time: 60.0 plays an hour in a minute, None goes as fast as it
    can. One that is `patient` waits for a broker or registry that is away; else their errors are
    raised.
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
        patient: bool = False,
        progress: Callable[[int], None] = lambda count: None,
        **options: Any,
    ) -> None:
        self.plan = Plan(flow, registry, cluster.settings.namespace)
        self.source = source
        self.cluster = cluster
        self.speed = speed
        self.patient = patient
        self.progress = progress
        self.options = options
        self.written: dict[str, int] = {}
        self.count = self._written = 0  # committed; and written, which may be more
        self.reason: str | None = None  # why nothing is written
        readers = [f for f in topology.flows.values() if set(f.inputs) & set(source.writes)]
        namespace = cluster.settings.namespace
        self._clocks = [Plan(f, registry, namespace).inputs[-1] for f in readers]
        self._stopping = threading.Event()
        self._stamp = pack_stamp(source.name, flow.code_version)
        self._open_records = 0
        self._opened = self._began = 0.0
        self._first_ms: int | None = None
        self._position: Any = None
        self._producer: Any = None
        self._partitions: dict[str, int] = {}
        self._edges: dict[type[Record], tuple[str, Codec, str, int]] = {}

    def stop(self) -> None:
        """Commit what was written and end."""
        self._stopping.set()

    def run(self) -> int:
        """Write until the source ends; how many records were written in all. After an outage it
        goes on from what it has committed.
        """
        while not self._stopping.is_set():
            try:
                self._write_all()
                break
            except (Fenced, Unregistered):
                raise
            except OUTAGES as error:
                if not self.patient:
                    raise
                self.reason = f"outage: {error}"
                self._open_records = 0
                self._stopping.wait(self.cluster.settings.retry_pause_s)
        return self.count

    def _write_all(self) -> None:
        """Write from where the last commit left off, to the end or until stopped."""
        name = f"{self.plan.topic(self.plan.flow.name)}.{self.source.name}"
        self._producer = self.cluster.producer(name)
        self._partitions = self.cluster.partitions()
        self._edges = {c: self._edge(c) for c in self.source.writes}
        self._first_ms = None
        start = self._restore()
        self.reason = None
        for position, record in self.source(start, **self.options):
            self._pace(record)
            if self._stopping.is_set():
                break  # the record is not lost: its position was not committed
            self._write(record)
            self._position = position
            if self._open_records >= COMMIT_RECORDS or self._age_ms() > COMMIT_MS_MAX:
                self._commit()
        self._commit()

    def _pace(self, record: Record | Clock) -> None:
        """Wait until it is time for the record; nothing stays uncommitted meanwhile."""
        if self.speed is None or not isinstance(record, Record):
            return
        at_ms = getattr(record, stream_of(type(record)).event_time)
        if self._first_ms is None:
            self._first_ms, self._began = at_ms, time.monotonic()
        due = self._began + (at_ms - self._first_ms) / 1_000 / self.speed
        wait_s = due - time.monotonic()
        if self._age_ms() + wait_s * 1_000 > LIVE_COMMIT_MS:
            self._commit()
        if wait_s > 0:
            self._stopping.wait(wait_s)

    def _age_ms(self) -> float:
        """How long the open transaction has been open. A source that blocks for longer than the
        transaction time-out between two records must be paced by the runtime instead.
        """
        if not self._open_records:
            return 0.0
        return (time.monotonic() - self._opened) * 1_000

    def _write(self, record: Record | Clock) -> None:
        if not self._open_records:
            with translated("begin_transaction"):
                self._producer.begin_transaction()
            self._opened = time.monotonic()
        self._open_records += 1
        if isinstance(record, Clock):
            self._tick(record)
            return
        topic, codec, key_field, count = self._edges[type(record)]
        key = getattr(record, key_field)
        number = partition_of(key, count)
        self._send(topic, codec.encode(record), key, number)
        self._written += 1

    def _edge(self, record: type[Record]) -> tuple[str, Codec, str, int]:
        stream = stream_of(record)
        topic = self.plan.topic(stream.topic)
        return topic, self.plan.codec(record), stream.key, self._partitions[topic]

    def _tick(self, clock: Clock) -> None:
        for plan in self._clocks:
            value = plan.codec.encode(ClockTick(at_ms=clock.at_ms))
            for number in range(self._partitions[plan.topic]):
                self._send(plan.topic, value, None, number)

    def _send(self, topic: str, value: bytes, key: str | None, number: int) -> None:
        place = f"{topic}[{number}]"
        n = self.written.get(place, 0)
        self.written[place] = n + 1
        header = pack_header(n, self._stamp, b"\x00", 0, b"")
        self._put(topic, value, key, number, headers=[(HEADER, header)])

    def _put(self, topic: str, value: bytes, key: str | None, number: int, **options: Any) -> None:
        with translated("produce"):
            put(self._producer, topic, value, key, number, **options)

    def _commit(self) -> None:
        if not self._open_records:
            return
        assert self.source.position is not None
        changelog = self.plan.topic(self.plan.flow.changelog)
        value = self.plan.state_codec(self.source.position).encode(self._position)
        self._put(changelog, value, f"source/{self.source.name}", 0)
        state = UnitState(time_ms=0, written=self.written)
        self._put(changelog, self.plan.unit_codec.encode(state), "unit", 0)
        settings = self.cluster.settings
        aborts_at = self._opened + settings.transaction_timeout_ms / 1_000
        with translated("commit_transaction"):
            self._producer.commit_transaction(patience_s(settings, aborts_at))
        self._open_records, self.count = 0, self._written
        self.progress(self.count)

    def _restore(self) -> Any:
        assert self.source.position is not None
        position, self.written = None, {}
        with closing(self.cluster.log()) as log:
            for stored in log.records(self.plan.topic(self.plan.flow.changelog), 0):
                if stored.key == b"unit":
                    self.written = dict(self.plan.unit_codec.decode(stored.value).written)
                elif stored.key == f"source/{self.source.name}".encode():
                    position = self.plan.state_codec(self.source.position).decode(stored.value)
        clocks = {plan.topic for plan in self._clocks}
        self.count = self._written = sum(
            n for place, n in self.written.items() if place.split("[")[0] not in clocks
        )
        return position
