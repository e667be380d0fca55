"""What was taken in order of arrival is done again from the journal, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ops.demo import watch
from processors.nycflights.replay import events
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.flights_delay import DepartedPrediction
from schemas.record import Record
from streams.driver import Driver
from streams.journal import replay_journal
from streams.merge import Stored
from streams.partition import partition_of
from streams.topology import stream_of

pytestmark = pytest.mark.broker

PARTITIONS, COUNT, WAVES = 2, 500, 3
# Against the rank and against event time: each wave's departures come before their schedules.
ARRIVING: tuple[type[Record], ...] = (Departure, Schedule, Arrival, Cancellation, Weather)


def test_replay_of_the_journal_gives_what_the_topics_hold(
    flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(PARTITIONS)
    worker = start("worker", "flights", DOA_BATCH_RECORDS_MAX=100)
    until("a worker that has seen the topics empty", worker.ready)
    history = list(events(COUNT))
    size = len(history) // WAVES + 1
    sent = 0
    for wave in range(WAVES):
        for kind in ARRIVING:
            batch = [e for e in history[wave * size :][:size] if type(e) is kind]
            publish(system, batch)
            sent += len(batch)
            until("the wave taken", lambda sent=sent: worker.check() or taken(system) == sent)
    assert worker.end() == 0

    names = [stream_of(c).topic for c in system.outputs if ".model." not in stream_of(c).topic]
    names += [system.flow.dead_letter, system.flow.journal, system.flow.changelog]
    held = {place: list(map(written, log)) for place, log in system.stored(names).items()}
    log = system.connection.cluster.log()
    redone: dict[tuple[str, int], list[Any]] = {place: [] for place in held}
    topics = {system.plan.topic(name): name for name in names}
    for partition in range(PARTITIONS):
        for entry, outputs in replay_journal(system.plan, log, partition, PARTITIONS):
            assert entry.code_version == system.flow.code_version
            for topic, key, value, headers in outputs:
                if topic in topics:
                    data = key.encode() if isinstance(key, str) else key
                    redone[(topics[topic], partition)].append((data, value, dict(headers)))
    log.close()
    for place, records in held.items():
        assert (redone[place] == records) is True, place
    predictions = held[("flights.prediction.departed", partition_of("JFK", PARTITIONS))]
    assert len(predictions) > 100
    merged = Driver(system.flow, partitions=PARTITIONS).run(history).read(DepartedPrediction)
    live = system.read(DepartedPrediction)[DepartedPrediction]
    assert (live == merged) is False, "the order of arrival made no difference"


def publish(system: Any, batch: list[Record]) -> None:
    """Publish events as a foreign producer would: without our header."""
    producer = system.connection.cluster.producer()
    for event in batch:
        topic, codec = stream_of(type(event)).topic, system.plan.codec(type(event))
        producer.produce(system.plan.topic(topic), codec.encode(event), event.origin)  # type: ignore[attr-defined]
    assert producer.flush(20) == 0


def taken(system: Any) -> int:
    """How many events were committed: without transactions offsets are dense."""
    return sum(watch.committed(system.flow, system.connection).values())


def written(stored: Stored) -> tuple[bytes | None, bytes | None, dict[str, bytes]]:
    """Key, value and headers as they were written."""
    return stored.key, stored.value, stored.headers
