"""A tenth of what comes in is malformed: all of it is kept as dead letters, none of it is in what
comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient

from ops.demo import watch
from processors.nycflights.replay import events
from schemas.derive import avsc_text
from schemas.flights import Departure
from schemas.record import Record
from streams.codec import Codec
from streams.driver import Driver
from streams.partition import partition_of
from streams.topology import stream_of

pytestmark = pytest.mark.broker

SEED = 20_261_125
PARTITIONS = 4
SHARE = 10  # one in so many is malformed
IN_2093_MS = 3_900_000_000_000
UNKNOWN_IDS = range(2_000_000_000, 2_000_000_040)
CODES = {
    *("EMPTY", "WIRE_FORMAT", "UNKNOWN_SCHEMA", "SUBJECT_MISMATCH", "UNSAFE_SCHEMA"),
    *("TRUNCATED", "TRAILING_BYTES", "UNDECODABLE", "OUT_OF_BOUNDS", "FUTURE_EVENT"),
    "WRONG_PARTITION",
}


class Sent(NamedTuple):
    """A record as it is published; `code` is that of the dead letter it becomes, empty if none."""

    code: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Foe:
    """Makes malformed records of good ones."""

    def __init__(self, system: Any, evil_id: int) -> None:
        self.draw = Random(SEED)
        self.system = system
        self.unsafe = b"\x00" + evil_id.to_bytes(4, "big")
        self.other = system.plan.codec(Departure)
        for source in system.plan.inputs:
            source.codec.register()

    def spoil(self, event: Record, sent: Sent) -> Sent:
        """A malformed record in the place of a good one."""
        ways = [self.wire, self.schema, self.avro, self.bounds, self.place]
        return self.draw.choice(ways)(event, sent)

    def wire(self, event: Record, sent: Sent) -> Sent:
        return self.among(
            sent,
            ("EMPTY", None),
            ("EMPTY", b""),
            ("WIRE_FORMAT", b"\x00\x00"),
            ("WIRE_FORMAT", b'{"flight_id": 1}'),
            ("WIRE_FORMAT", b"\x1f\x8b\x08" + self.draw.randbytes(20)),
            ("WIRE_FORMAT", b"\x01" + (sent.value or b"")[1:]),
        )

    def schema(self, event: Record, sent: Sent) -> Sent:
        value = sent.value or b""
        unknown = b"\x00" + self.draw.choice(UNKNOWN_IDS).to_bytes(4, "big")
        foreign = self.other.prefix
        if sent.topic == "flights.event.departure":
            foreign = self.system.plan.inputs[-1].codec.prefix
        found = [("UNKNOWN_SCHEMA", unknown + value[5:]), ("SUBJECT_MISMATCH", foreign + value[5:])]
        if sent.topic == "flights.event.departure":
            found.append(("UNSAFE_SCHEMA", self.unsafe + value[5:]))
        return self.among(sent, *found)

    def avro(self, event: Record, sent: Sent) -> Sent:
        value = sent.value or b""
        head = value[:5]
        return self.among(
            sent,
            ("TRUNCATED", value[: self.draw.randint(5, len(value) - 1)]),
            ("TRUNCATED", head + b"\xfe\xff\xff\xff\x0f"),
            ("TRAILING_BYTES", value + self.draw.randbytes(self.draw.randint(1, 9))),
            ("UNDECODABLE", head + b"\x01" + value[6:]),
            ("UNDECODABLE", head + b"\x04\xc3\x28" + value[6:]),
            ("UNDECODABLE", head + b"\xff" * 12 + value[6:]),
            ("TOO_LARGE", value + b"\x00" * 1_000_000) if self.draw.random() < 0.01 else
            ("TRAILING_BYTES", value + b"\x00"),
        )  # fmt: skip

    def bounds(self, event: Record, sent: Sent) -> Sent:
        time = stream_of(type(event)).event_time
        changed = [
            ("OUT_OF_BOUNDS", {time: -1}),
            ("OUT_OF_BOUNDS", {time: 2**63 - 1}),
            ("FUTURE_EVENT", {time: IN_2093_MS}),
        ]
        for name in ("distance", "delay_minutes", "temperature"):
            if hasattr(event, name):
                wrong = self.draw.choice([float("nan"), float("inf"), -1e300])
                changed.append(("OUT_OF_BOUNDS", {name: wrong}))
        if hasattr(event, "flight_id"):
            changed.append(("OUT_OF_BOUNDS", {"flight_id": "../../<script>"}))
        code, fields = self.draw.choice(changed)
        value = self.codec(event).encode(event.model_copy(update=fields))
        return sent._replace(code=code, value=value)

    def place(self, event: Record, sent: Sent) -> Sent:
        wrong = (sent.partition + 1) % PARTITIONS
        code, changed = self.draw.choice(
            [
                ("WIRE_FORMAT", {"key": None}),
                ("WIRE_FORMAT", {"key": b"\xff\xfe"}),
                ("WIRE_FORMAT", {"key": b"ZZZ"}),
                ("WRONG_PARTITION", {"partition": wrong}),
            ]
        )
        return sent._replace(code=code, **changed)

    def among(self, sent: Sent, *found: tuple[str, bytes | None]) -> Sent:
        code, value = self.draw.choice(found)
        return sent._replace(code=code, value=value)

    def codec(self, event: Record) -> Codec:
        return next(i.codec for i in self.system.plan.inputs if i.record is type(event))


def mixed(foe: Foe, good: list[Record], count: int) -> Iterator[Sent]:
    """Good events in order, with malformed ones between them, a tenth of all."""
    bad = set(foe.draw.sample(range(count), count // SHARE))
    left = iter(good)
    event = good[0]
    for n in range(count):
        event = event if n in bad else next(left)
        stream = stream_of(type(event))
        key = getattr(event, stream.key)
        sent = Sent("", stream.topic, partition_of(key, PARTITIONS), key.encode(),
                    foe.codec(event).encode(event), strange_headers(foe.draw))  # fmt: skip
        yield foe.spoil(event, sent) if n in bad else sent


def strange_headers(draw: Random) -> list[tuple[str, bytes | None]]:
    """What a producer may send along; none of it makes a record malformed."""
    if draw.random() < 0.98:
        return []
    return draw.choice(
        [
            [("h", b"\xff\xfe")],
            [("h", None)],
            [("doa", b"\xff" * 9)],
            [("doa", None)],
            [(f"h{n}", b"x") for n in range(1_000)],
            [("h", b"x" * 100_000)],
        ]
    )


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.full)])
def test_a_tenth_is_malformed_and_all_of_it_is_kept_and_none_of_it_gets_through(
    count: int, flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(PARTITIONS)
    foe = Foe(system, evil_schema(system))
    good = list(islice(events(count), count - count // SHARE))
    sent = list(mixed(foe, good, count))
    worker = start("worker", "flights")
    offsets = publish(system, sent)
    system.ends = watch.sealed_ends(system.flow, system.connection)
    until("the end of the input", lambda: worker.check() or system.finished(), 60 + count / 100)
    assert worker.end() == 0  # the one that was started: none died

    expected = {
        f"{s.topic}[{s.partition}]@{offset}": (s.code, s.key, s.value)
        for s, offset in zip(sent, offsets, strict=True)
        if s.code
    }
    letters = [x for log in system.stored([system.flow.dead_letter]).values() for x in log]
    found = {
        x.headers["error.record"].decode(): (x.headers["error.class"].decode(), x.key, x.value)
        for x in letters
    }
    assert len(letters) == len(expected) == count // SHARE
    wrong = {at: (found.get(at), e) for at, e in expected.items() if found.get(at) != e}
    assert not wrong, list(wrong.items())[:3]
    assert {code for code, _, _ in found.values()} >= CODES
    driver = Driver(system.flow, partitions=PARTITIONS).run(good)
    names = [stream_of(c).topic for c in system.outputs if stream_of(c).stage != "model"]
    for (name, partition), log in system.stored(names).items():
        alone = driver.records(name, partition)
        assert [(x.key, x.value[5:]) for x in log] == [
            (x.key, (x.value or b"")[5:]) for x in alone
        ], f"{name}[{partition}] has something of the malformed, or lacks something"


def evil_schema(system: Any) -> int:
    """The id of a schema that holds itself, registered by somebody else for departures."""
    subject = f"{system.plan.topic('flights.event.departure')}-value"
    text = avsc_text(Departure).rstrip().removesuffix("]\n}")
    evil = f'{text}, {{"name": "evil", "type": ["null", "Departure"], "default": null}}]}}'
    with SchemaRegistryClient({"url": system.connection.settings.registry_url}) as client:
        return int(client.register_schema(subject, RegistrySchema(evil, "AVRO")))


def publish(system: Any, records: list[Sent]) -> list[int]:
    """Publish in order; the offset of each."""
    offsets = [-1] * len(records)

    def note(n: int, error: Any, delivered: Any) -> None:
        assert error is None, error
        offsets[n] = delivered.offset()

    settings = {"message.max.bytes": 8_000_000, "queue.buffering.max.messages": 1_000_000}
    producer = Producer({"bootstrap.servers": system.connection.settings.bootstrap, **settings})
    for n, one in enumerate(records):
        topic = system.plan.topic(one.topic)
        producer.produce(topic, one.value, one.key, one.partition,
                         headers=one.headers, on_delivery=partial(note, n))  # fmt: skip
        producer.poll(0)
    assert producer.flush(60) == 0
    assert min(offsets) >= 0
    return offsets
