"""Whatever comes in, the flow goes on, and what it cannot take is kept as it came."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer

from processors.nycflights.replay import events
from schemas.flights import Departure, Schedule
from schemas.flights_delay import DepartedPrediction
from streams.merge import Stored

pytestmark = pytest.mark.broker

PARTITIONS, EWR, JFK = 4, 3, 1
TOPIC = "flights.event.departure"
IN_2093_MS = 3_900_000_000_000
DAY_MS = 86_400_000
BLOWN_UP = bytes(17_000_000)  # more than a producer of ours may send; compressed it is nothing


def test_each_bad_record_becomes_one_dead_letter_and_the_next_good_one_a_prediction(
    flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(PARTITIONS)
    departures = [e for e in events(400) if isinstance(e, Departure) and e.origin == "EWR"]
    first, second, third, bad = departures[0], departures[1], departures[-1], departures[2]
    codec = system.plan.codec(Departure)
    good = codec.encode(bad)
    schedule = system.plan.codec(Schedule)
    schedule.register()
    late = second.model_copy(update={"departed_ms": first.departed_ms - DAY_MS})

    def changed(**fields: object) -> bytes:
        return bytes(codec.encode(bad.model_copy(update=fields)))

    refused: list[tuple[str, int, bytes | None, bytes | None]] = [
        ("WIRE_FORMAT", EWR, b"EWR", b"no avro"),
        ("WIRE_FORMAT", EWR, b"EWR", b"\x00\x00"),
        ("TRUNCATED", EWR, b"EWR", good[:-3]),
        ("TRAILING_BYTES", EWR, b"EWR", good + b"\x00"),
        ("UNDECODABLE", EWR, b"EWR", good[:5] + b"\xff" * 40),
        ("UNKNOWN_SCHEMA", EWR, b"EWR", b"\x00\x7f\xff\xff\xff" + good[5:]),
        ("SUBJECT_MISMATCH", EWR, b"EWR", schedule.prefix + good[5:]),
        ("OUT_OF_BOUNDS", EWR, b"EWR", changed(delay_minutes=9_999.0)),
        ("OUT_OF_BOUNDS", EWR, b"EWR", changed(delay_minutes=float("nan"))),
        ("DUPLICATE", EWR, b"EWR", codec.encode(first)),
        ("FUTURE_EVENT", EWR, b"EWR", changed(departed_ms=IN_2093_MS)),
        ("EMPTY", EWR, b"EWR", None),
        ("EMPTY", EWR, b"EWR", b""),
        ("WIRE_FORMAT", EWR, b"LGA", good),
        ("WIRE_FORMAT", EWR, None, good),
        ("WRONG_PARTITION", JFK, b"EWR", good),
        ("TOO_LARGE", EWR, b"EWR", BLOWN_UP),
    ]
    taken = [("", EWR, b"EWR", codec.encode(e)) for e in (first, late, third)]
    worker = start("worker", "flights")
    sent = publish(system, [taken[0], *refused, *taken[1:]])

    until(
        "predictions after the bad ones",
        lambda: worker.check() or len(predicted(system)) == 3,
    )
    assert predicted(system) == [first.flight_id, late.flight_id, third.flight_id]
    assert worker.end() == 0
    letters = dead_letters(system)
    assert len(letters) == len(refused)
    for (code, partition, key, value), offset in zip(refused, sent[1:], strict=False):
        letter = letters[f"{TOPIC}[{partition}]@{offset}"]
        told = letter.headers
        copied = (None, None) if value is BLOWN_UP else (key, value)
        assert (told["error.class"].decode(), letter.key, letter.value) == (code, *copied)
        assert (told["error.flow"], told["error.processor"]) == (b"flights", b"")
        assert told["error.message"]


def publish(system: Any, records: list[tuple[str, int, bytes | None, bytes | None]]) -> list[int]:
    """Publish one after the other; their offsets."""
    offsets: dict[int, int] = {}

    def note(n: int, error: Any, delivered: Any) -> None:
        assert error is None, error
        offsets[n] = delivered.offset()

    producer = Producer(
        {
            "bootstrap.servers": system.connection.settings.bootstrap,
            "compression.type": "lz4",
            "message.max.bytes": 2 * len(BLOWN_UP),
        }
    )
    topic = system.plan.topic(TOPIC)
    for n, (_, partition, key, value) in enumerate(records):
        producer.produce(topic, value, key, partition, on_delivery=partial(note, n))
    assert producer.flush(20) == 0
    return [offsets[n] for n in range(len(records))]


def predicted(system: Any) -> list[str]:
    """The flights whose departure was answered; none while a transaction is open."""
    log = system.connection.cluster.log()
    topic = system.plan.topic("flights.prediction.departed")
    codec = system.plan.codec(DepartedPrediction)
    try:
        return [codec.decode(stored.value).flight_id for stored in log.records(topic, EWR)]
    finally:
        log.close()


def dead_letters(system: Any) -> dict[str, Stored]:
    """All dead letters by the coordinates of what they hold; each has its own."""
    name = system.flow.dead_letter
    letters = [letter for log in system.stored([name]).values() for letter in log]
    by_record = {letter.headers["error.record"].decode(): letter for letter in letters}
    assert len(by_record) == len(letters)
    return by_record
