"""The topic of readings that engines run on, and how they are watched.

What an engine wrote is compared with what should be there. Its rate is that of visible outputs
between two looks in its window; starting and warming up are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import psutil

import ops.bench.hop as package
from ops import apply as applying
from ops.bench.engines import DOA, PACKAGE, Engine, Running, cpu_of, worker
from ops.bench.hop.processors import hop
from ops.bench.hop.records import Feature, Reading
from ops.bench.readings import SENSORS, readings
from ops.connect import connect, home_of
from ops.output import say
from ops.stack import Stack
from streams.clients import put
from streams.errors import StreamsError
from streams.partition import partition_of
from streams.plan import Plan
from streams.settings import Settings
from streams.topology import Flow, Topology, discover, stream_of
from streams.validation import checked

NAMESPACE = "bench_hop"
WARM_S = 5.0
START_S_MAX = 90.0
POLL_S = 0.1
MOVED_POLL_S = 0.01  # until a deadline: soon after a commit least is in hand that is not visible
CHECKED = 20_000  # outputs of an engine that are compared
FLUSH_S = 60.0
RAW = {"message.timestamp.type": "LogAppendTime"}
MICRO = 1e6


@dataclass(frozen=True)
class Look:
    """When, how many outputs were visible, and the CPU seconds spent by then, also the broker's."""

    at: float
    count: int
    cpu_s: float
    broker_s: float


@dataclass(frozen=True)
class Round:
    """What an engine did in one window, and what a record cost it and the broker."""

    rate: float
    cpu_us: float
    broker_us: float


class Track:
    """The topic of readings, and how engines come to run on it."""

    def __init__(
        self,
        records: int,
        namespace: str = NAMESPACE,
        partitions: int = 1,
        *,
        package: str = PACKAGE,
        sensors: int = SENSORS,
    ) -> None:
        self.records = records
        self.partitions = partitions
        self.sensors = sensors
        self.topology: Topology = checked(discover([package]))
        self.flow: Flow = self.topology.flow(package.rsplit(".", 1)[-1])
        self.connection = connect(Settings(namespace=namespace))
        self.cluster = self.connection.cluster
        self.home = home_of(Settings()) / "bench"
        self.broker = Stack(home_of(Settings())).status().kafka
        self.plan = Plan(self.flow, self.connection.registry, namespace, self.connection.keys)
        self.source = self.plan.topic(stream_of(Reading).topic)
        self.target = self.plan.topic(stream_of(Feature).topic)

    def prepare(self) -> None:
        """Have all readings in the topic; those of an earlier run are taken as they are."""
        self.apply()
        if self.count(self.source) == self.records:
            return
        applying.reset(self.topology, self.flow, self.cluster, inputs_too=True, group_too=False)
        self.apply()
        say(f"writing {self.records:,} readings")
        codec, producer = self.plan.codec(Reading), self.cluster.producer()
        for reading in islice(readings(self.sensors), self.records):
            number = partition_of(reading.sensor, self.partitions)
            put(producer, self.source, codec.encode(reading), reading.sensor, number)
        if left := producer.flush(FLUSH_S):
            raise StreamsError(f"{left} readings were not written")

    def apply(self) -> None:
        """Make what the flow needs."""
        connection = self.connection
        changes = applying.plan_changes(
            self.topology, self.cluster, connection.registry, self.partitions
        )
        applying.apply(self.topology, self.cluster, connection.registry, changes, None)

    def run(self, engine: Engine, number: int, window_s: float) -> Round:
        """One window of one engine, on topics and in a group of this round's own."""
        if engine is DOA:
            return self.run_ours(1, window_s)
        with self._peer(engine, number) as (running, target):
            found = self._window(engine.name, running, target, window_s)
            self._compare(engine.name, target)
            return found

    @contextmanager
    def _peer(self, engine: Engine, number: int) -> Iterator[tuple[Running, str]]:
        """A peer at work, and the topic that it writes to, which is gone with it."""
        target = f"{self.plan.prefix}hop.{engine.name}.{number}"
        group = f"{target}.{time.time_ns()}"  # none that has an offset from an earlier run
        topics = {target: (1, RAW), f"{target}.state": (1, {**RAW, "cleanup.policy": "compact"})}
        self.cluster.delete(list(topics))
        self.cluster.create(topics)
        applying.await_topics(self.cluster, set(topics))
        settings = self._settings(group, target)
        log = self.home / f"{engine.name}.log"
        try:
            with Running([engine.command(self.home)], settings, log) as running:
                yield running, target
        finally:
            self.cluster.delete(list(topics))

    def run_ours(self, workers: int, window_s: float) -> Round:
        """One window of so many workers of ours, from the first reading on."""
        group = self.plan.topic(self.flow.name)
        with self._workers(workers) as running:
            self._await_team(running, group, workers)
            found = self._window(DOA.name, running, self.target, window_s)
        if self.partitions == 1:
            self._compare(DOA.name, self.target)
        return found

    def first_output_s(self) -> float:
        """Seconds from the start of a worker of ours to the first output that can be read."""
        starting = self._workers(1)
        began = time.monotonic()
        with starting as running:
            return self._await_output(DOA.name, running, self.target).at - began

    def costs(self, marks: Sequence[int], engine: Engine = DOA) -> list[float]:
        """CPU in us per record of an engine, between these numbers of visible outputs. Of a worker
        of ours the first thread is left out: in it Faust goes on starting when the flow has begun
        to work, and hardly works afterwards.
        """
        if engine is not DOA:
            with self._peer(engine, 0) as (running, target):
                return self._costs(engine, running, target, marks)
        with self._workers(1) as running:
            return self._costs(engine, running, self.target, marks)

    def _costs(
        self, engine: Engine, running: Running, target: str, marks: Sequence[int]
    ) -> list[float]:
        spent, moved_at = [], time.monotonic()
        now = self._await_output(engine.name, running, target)
        for mark in marks:
            while now.count < mark:
                time.sleep(MOVED_POLL_S)
                before, now = now, self._look(engine.name, running, target)
                moved_at = now.at if now.count > before.count else moved_at
                if now.at > moved_at + START_S_MAX:
                    raise StreamsError(f"nothing was written after {now.count:,} outputs")
            apart_s = running.first_threads_s() if engine is DOA else 0.0
            spent.append((now.count, now.cpu_s - apart_s))
        return [
            (after_s - before_s) / (after - before) * MICRO
            for (before, before_s), (after, after_s) in pairwise(spent)
        ]

    def _workers(self, count: int) -> Running:
        """Workers of ours, which are to begin at the first reading; they start when entered."""
        applying.reset(self.topology, self.flow, self.cluster)
        self.apply()
        [package] = self.topology.packages
        commands = [worker(slot, package) for slot in range(count)]
        settings = self._settings(self.plan.topic(self.flow.name), self.target)
        return Running(commands, settings, self.home / f"{DOA.name}.log")

    def _await_team(self, running: Running, group: str, workers: int) -> None:
        """Wait until each worker has partitions: what they do before that is to start."""
        deadline = time.monotonic() + START_S_MAX
        while sum(map(bool, self.cluster.members(group).values())) < workers:
            if (words := running.ended) is not None or time.monotonic() > deadline:
                raise StreamsError(f"not all of {workers} workers came to work: {words or ''}")
            time.sleep(POLL_S)

    def count(self, topic: str) -> int:
        """Records of a topic that can be read, and markers of transactions."""
        places = [(topic, number) for number in range(self.partitions)]
        return sum(self.cluster.ends(places, committed=True).values())

    def _settings(self, group: str, target: str) -> dict[str, str]:
        codec = self.plan.codec(Feature)
        schema_id = self.connection.registry.schema_id(codec.subject, codec.schema)
        state = self.home / "state"
        state.mkdir(parents=True, exist_ok=True)
        return {
            "DOA_NAMESPACE": self.connection.settings.namespace,
            "HOP_BOOTSTRAP": self.cluster.bootstrap,
            "HOP_GROUP": group,
            "HOP_IN": self.source,
            "HOP_OUT": target,
            "HOP_SCHEMA_ID": str(schema_id),
            "HOP_SCHEMAS": str(Path(package.__path__[0]) / "avro"),
            "HOP_STATE": str(state),
        }

    def _window(self, name: str, running: Running, target: str, window_s: float) -> Round:
        first = last = now = self._await_output(name, running, target)
        warm_at = first.at + WARM_S
        while now.at < warm_at + window_s and now.count < self.records:
            time.sleep(POLL_S)
            now = self._look(name, running, target)
            if now.count > last.count:  # what a transaction wrote is visible all at once
                last = now
                first = now if now.at < warm_at else first
        if last.count == first.count:
            raise StreamsError(
                f"{name} wrote nothing after {WARM_S:.0f} s of warming up; "
                "ask for more --records or --seconds"
            )
        done = last.count - first.count
        return Round(
            done / (last.at - first.at),
            (last.cpu_s - first.cpu_s) / done * MICRO,
            (last.broker_s - first.broker_s) / done * MICRO,
        )

    def _await_output(self, name: str, running: Running, target: str) -> Look:
        deadline = time.monotonic() + START_S_MAX
        while (found := self._look(name, running, target)).count == 0:
            if time.monotonic() > deadline:
                raise StreamsError(f"{name} wrote nothing within {START_S_MAX:.0f} s")
            time.sleep(POLL_S)
        return found

    def _look(self, name: str, running: Running, target: str) -> Look:
        if (words := running.ended) is not None:
            raise StreamsError(f"{name} has ended: {words}")
        count = self.count(target)
        return Look(time.monotonic(), count, running.cpu_s(), self._broker_s())

    def _broker_s(self) -> float:
        """CPU seconds of the embedded broker; 0 for one that is elsewhere."""
        return 0.0 if self.broker.pid is None else cpu_of(psutil.Process(self.broker.pid))

    def disk_bytes(self, topic: str) -> float:
        """What a record of a topic takes on the embedded broker's disk, compressed."""
        folders = (Path(self.broker.data) / f"{topic}-{n}" for n in range(self.partitions))
        size = sum(log.stat().st_size for folder in folders for log in folder.glob("*.log"))
        return size / max(self.count(topic), 1)

    def _compare(self, name: str, target: str) -> None:
        """Hold the first outputs, with their keys, to what should be there, in order."""
        codec = self.plan.codec(Feature)
        wanted = (feature for reading in readings() for feature in hop(reading))
        with closing(self.cluster.log()) as log:
            stored = islice(log.records(target, 0), CHECKED)
            found = [(one.key, codec.decode(one.value)) for one in stored]
        expected = [(feature.sensor.encode(), feature) for feature in islice(wanted, len(found))]
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one != other:
                raise StreamsError(
                    f"{name} wrote {one!r} as output {number}; {other!r} was expected"
                )
