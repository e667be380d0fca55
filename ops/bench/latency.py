"""How long after an event was produced can its prediction be read?

Events of the flights flow are written at a steady pace by a producer that sends at once. A reader
of committed records notes when each prediction comes to it. Both clocks are this process's, so the
time includes the way to the broker and back. `idle_commit_ms` is the knob: how long a worker with
nothing to do waits for more before it commits.
"""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from confluent_kafka import Producer

from ops.bench.flow import begin_anew
from ops.connect import Connection
from ops.demo import run
from ops.output import say
from processors.nycflights.replay import read_timeline
from schemas.flights import Departure, Schedule
from schemas.flights_delay import DepartedPrediction, PlannedPrediction
from schemas.record import Record
from streams.clients import base_config
from streams.errors import StreamsError
from streams.plan import Plan
from streams.reader import Reader
from streams.topology import Topology, stream_of

ASKS: dict[type[Record], type[Record]] = {
    PlannedPrediction: Schedule,
    DepartedPrediction: Departure,
}
FIRST_EVENTS = 200  # by whose predictions a worker is known to work
WARM_S = 5.0
LATE_S = 30.0  # how long to wait for predictions that were asked for
KEY = "flight_id"
FETCH_RECORDS, FETCH_S = 1_000, 0.05
FLIGHTS_PER_EVENT = 0.4  # more than enough: a flight has three events


def bench_latency(
    topology: Topology, rate: int, seconds: float, knobs: list[int]
) -> dict[str, Any]:
    """Milliseconds from event to prediction (p50, p99, max) for each value of the knob."""
    found = {}
    for idle_commit_ms in knobs:
        found[str(idle_commit_ms)] = measured = _measure(topology, rate, seconds, idle_commit_ms)
        say(f"idle_commit_ms {idle_commit_ms}: {measured}")
    return {"rate": rate, "seconds": seconds, "idle_commit_ms": found}


def _measure(
    topology: Topology, rate: int, seconds: float, idle_commit_ms: int
) -> dict[str, float]:
    flow = topology.flow(run.FLOW)
    connection = begin_anew(topology, flow, topology.flow(run.SOURCE_FLOW))
    plan = Plan(flow, connection.registry, connection.settings.namespace, connection.keys)
    wanted = int(rate * (seconds + WARM_S))
    timeline = read_timeline(int(wanted * FLIGHTS_PER_EVENT) + 1)
    feed = _Feed(connection, plan, rate, islice(timeline.records(0), wanted))
    watch = _Watch(connection, plan)
    team = run.Workers(1, connection, {"DOA_IDLE_COMMIT_MS": str(idle_commit_ms)})
    try:
        team.begin()
        gc.freeze()  # what was loaded: a collection of it would count as the flow's time
        feed.first(FIRST_EVENTS)
        watch.await_all(feed.produced, team)
        feed.run()
        watch.await_all(feed.produced, team)
    finally:
        gc.unfreeze()
        watch.close()
        team.stop()
    warm_at = feed.began + WARM_S
    waits = sorted(
        (seen - feed.produced[name]) * 1_000
        for name, seen in watch.seen.items()
        if feed.produced[name] >= warm_at
    )
    return {
        "predictions": len(waits),
        "events_per_second": round(feed.rate),
        "p50_ms": round(statistics.median(waits), 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)], 1),
        "max_ms": round(waits[-1], 1),
    }


class _Feed:
    """Writes events at a steady pace; `produced` says when, by class and flight."""

    def __init__(
        self, connection: Connection, plan: Plan, rate: int, events: Iterator[Record]
    ) -> None:
        self.produced: dict[tuple[type[Record], str], float] = {}
        self.began = self.rate = 0.0
        self._pace_s = 1 / rate
        self._plan = plan
        self._events = iter(list(events))
        self._asking = set(ASKS.values())
        cluster = connection.cluster
        base = base_config(cluster.bootstrap, cluster.settings)
        self._producer = Producer({**base, "linger.ms": 0, "acks": "all"})

    def first(self, count: int) -> None:
        """Write the first ones at once, for a worker that has yet to start."""
        for event in islice(self._events, count):
            self._write(event, time.monotonic())
        self._producer.flush(LATE_S)

    def run(self) -> None:
        """Write the others, each when it is due."""
        self.began, count = time.monotonic(), 0
        for count, event in enumerate(self._events, 1):
            due = self.began + count * self._pace_s
            if (early := due - time.monotonic()) > 0:
                time.sleep(early)
            self._write(event, due)
        self.rate = count / (time.monotonic() - self.began)
        self._producer.flush(LATE_S)

    def _write(self, event: Record, due: float) -> None:
        kind, stream = type(event), stream_of(type(event))
        if kind in self._asking:
            self.produced[kind, getattr(event, KEY)] = due
        value, key = self._plan.codec(kind).encode(event), getattr(event, stream.key)
        self._producer.produce(self._plan.topic(stream.topic), value, key, 0)
        self._producer.poll(0)


class _Watch:
    """Reads committed predictions on a thread of its own; `seen` says when each came."""

    def __init__(self, connection: Connection, plan: Plan) -> None:
        self.seen: dict[tuple[type[Record], str], float] = {}
        self._stopping = threading.Event()
        self._codecs = {
            plan.topic(stream_of(kind).topic): (plan.codec(kind), asked)
            for kind, asked in ASKS.items()
        }
        starts = {(topic, 0): 0 for topic in self._codecs}
        self._reader = Reader(connection.cluster, "latency", starts)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            fetched = self._reader.fetch(FETCH_RECORDS, FETCH_S)
            now = time.monotonic()
            for one in fetched:
                if one.stored is not None:
                    codec, asked = self._codecs[one.topic]
                    self.seen[(asked, codec.decode(one.stored.value).flight_id)] = now

    def await_all(self, wanted: dict[tuple[type[Record], str], float], team: run.Workers) -> None:
        """Wait until every question was answered; StreamsError when that takes too long."""
        deadline = time.monotonic() + LATE_S
        while len(self.seen) < len(wanted):
            team.check()
            if time.monotonic() > deadline or not self._thread.is_alive():
                missing = len(wanted) - len(self.seen)
                raise StreamsError(f"{missing:,} predictions had not come {LATE_S:.0f} s later")
            time.sleep(FETCH_S)

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        self._reader.close()
