"""The real registry: what it refuses, what it does not know, and what is no answer of its own."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ops.connect import Connection
from processors.nycflights.replay import events
from schemas.derive import avro_schema
from schemas.flights import Departure
from schemas.record import Record, Stream, field
from streams.codec import Codec
from streams.errors import (
    RegistryError,
    SubjectMismatch,
    TopologyError,
    UnknownSchema,
    UnsafeSchema,
)
from streams.partition import partition_of
from streams.registry import UNKNOWN_PAUSE_S, UNKNOWN_WAITS, ConfluentRegistry

pytestmark = pytest.mark.broker

SEED = 20_261_125
MODES = (
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL",
    "FULL_TRANSITIVE",
)  # fmt: skip
NOWHERE_ID = 2_000_000_000
BASE = [
    {"name": "a", "type": "long"},
    {"name": "b", "type": ["null", "string"], "default": None},
    {"name": "c", "type": {"type": "enum", "name": "C", "symbols": ["X", "Y"]}},
    {"name": "d", "type": {"type": "array", "items": "long"}},
]


def record(*fields: dict[str, Any], name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def incompatible(draw: Random) -> dict[str, Any]:
    """A schema that cannot read what BASE wrote, in one of many ways."""
    fields = [dict(f) for f in BASE]
    change = draw.randrange(7)
    new = f"n{draw.randrange(1_000)}"
    if change == 0:
        fields.insert(draw.randrange(5), {"name": new, "type": draw.choice(["long", "string"])})
    elif change == 1:
        fields[0]["type"] = draw.choice(["int", "string", "boolean", "bytes"])
    elif change == 2:
        fields[1]["type"] = draw.choice(["string", ["null", "long"], "long"])
        fields[1].pop("default")
    elif change == 3:
        fields[2]["type"] = {"type": "enum", "name": "C", "symbols": ["X", new]}
    elif change == 4:
        fields[3]["type"] = {"type": "array", "items": draw.choice(["int", "string"])}
    elif change == 5:
        return record(*fields, name=f"R{new}")
    else:
        fields[3]["type"] = {"type": "map", "values": "long"}
    return record(*fields)


@pytest.fixture
def plain(connection: Connection) -> Iterator[SchemaRegistryClient]:
    """Somebody else's client."""
    with SchemaRegistryClient({"url": connection.registry.url}) as client:
        yield client


@pytest.mark.parametrize("writes", [50, pytest.param(500, marks=pytest.mark.full)])
def test_every_incompatible_schema_is_refused_and_nothing_is_stored(
    connection: Connection, plain: SchemaRegistryClient, writes: int
) -> None:
    registry, draw = connection.registry, Random(SEED)
    ids = {}
    for mode in MODES:
        subject = f"{connection.settings.namespace}.{mode.lower()}-value"
        plain.set_compatibility(subject_name=subject, level=mode)
        ids[subject] = registry.register(subject, record(*BASE))
        strict = mode if mode in MODES[1:3] + MODES[5:] else "BACKWARD"
        assert plain.get_compatibility(subject) == strict
    refused = 0
    for n in range(writes):
        subject = list(ids)[n % len(ids)]
        schema = incompatible(draw)
        text = Schema(json.dumps(schema), "AVRO")
        if n // len(ids) % 2:
            with pytest.raises(RegistryError, match="refuses the schema"):
                registry.register(subject, schema)
        else:
            with pytest.raises(SchemaRegistryError) as caught:
                plain.register_schema(subject, text)
            assert caught.value.http_status_code == 409, schema
        refused += 1
        assert plain.get_versions(subject) == [1]
        assert not registry.knows(subject, schema)
    assert refused == writes
    assert {s: plain.get_latest_version(s).schema_id for s in ids} == ids


def test_twenty_identical_registrations_at_once_give_one_id(connection: Connection) -> None:
    subject = f"{connection.settings.namespace}.same-value"

    def register(_: int) -> int:
        registry = ConfluentRegistry(connection.registry.url, connection.settings)
        try:
            return registry.register(subject, record(*BASE))
        finally:
            registry.close()

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(register, range(20)))) == 1


def test_what_nothing_may_be_decoded_by_is_not_registered_and_never_decoded_by(
    connection: Connection, plain: SchemaRegistryClient
) -> None:
    evil = {"name": "evil", "type": ["null", "Thing"], "default": None}
    codec, old = thing_codec(connection), avro_schema(Thing)
    schema = {**old, "fields": [*old["fields"], evil]}
    with pytest.raises(TopologyError, match=r"field 'evil': toy\.event\.Thing holds itself"):
        connection.registry.register(codec.subject, schema)
    text = Schema(json.dumps(schema), "AVRO")  # somebody else may, and it is stored
    head = b"\x00" + plain.register_schema(codec.subject, text).to_bytes(4, "big")
    with pytest.raises(UnsafeSchema, match="holds itself"):
        codec.decode(head + b"\x02" * 50_000)


class Thing(Record, stream=Stream("toy.event.thing", "key", "at_ms", "me")):
    """As it is today."""

    at_ms: int = field("When.", unit="ms")
    key: str = field("Key.")
    share: float = field("Promoted since.", unit="1", default=0.0)
    new: float | None = field("Added since.", unit="1", default=None)
    raw: bytes = field("Added since.", default=b"ab")


def thing_codec(connection: Connection) -> Codec:
    subject = f"{connection.settings.namespace}.toy.event.thing-value"
    connection.registry.register(subject, avro_schema(Thing))
    return Codec(Thing, subject, connection.registry)


def test_an_old_writers_records_are_read_by_todays_class(
    connection: Connection, plain: SchemaRegistryClient
) -> None:
    subject = f"{connection.settings.namespace}.toy.event.thing-value"
    before = record(
        {"name": "gone", "type": {"type": "array", "items": "string"}},
        {"name": "key", "type": "string"},
        {"name": "at_ms", "type": "int"},
        {"name": "share", "type": "float"},
        name="Thing",
    )
    old = connection.registry.register(subject, {**before, "namespace": "toy.event"})
    codec = thing_codec(connection)  # BACKWARD compatible, so the registry takes it
    assert plain.get_versions(subject) == [1, 2]
    value = b"\x00" + old.to_bytes(4, "big") + b"\x02\x02x\x00" + b"\x02a" + b"\x0e"
    assert codec.decode(value + b"\x00\x00\xc0\x3f") == Thing(
        key="a", at_ms=7, share=1.5, new=None, raw=b"ab"
    )
    today = codec.encode(Thing(key="b", at_ms=8))
    assert int.from_bytes(today[1:5], "big") != old
    assert codec.decode(today).key == "b"


def test_an_unknown_id_is_asked_for_again_but_many_do_not_hold_the_flow_up(
    connection: Connection,
) -> None:
    codec = thing_codec(connection)
    codec.register()

    def refused(schema_id: int) -> None:
        with pytest.raises(UnknownSchema, match=f"no schema of id {schema_id}"):
            codec.decode(b"\x00" + schema_id.to_bytes(4, "big") + b"\x00")

    began = time.monotonic()
    refused(NOWHERE_ID)
    assert time.monotonic() - began >= UNKNOWN_WAITS * UNKNOWN_PAUSE_S
    waits = []
    connection.registry._may_wait = lambda: waits.append(1) or False  # type: ignore[method-assign,func-returns-value]
    for n in range(50):
        refused(NOWHERE_ID)  # remembered
        refused(NOWHERE_ID + 1 + n)
    assert len(waits) == 50


def test_a_flood_of_unknown_ids_waits_no_longer_than_one(connection: Connection) -> None:
    registry = connection.registry
    assert [registry._may_wait() for _ in range(50)] == [True] * UNKNOWN_WAITS + [False] * 48


def test_an_id_of_another_subject_is_refused(connection: Connection) -> None:
    codec = thing_codec(connection)
    other = connection.registry.register(
        f"{connection.settings.namespace}.other-value", record(*BASE)
    )
    with pytest.raises(SubjectMismatch):
        codec.decode(b"\x00" + other.to_bytes(4, "big") + b"\x00")


class Front:
    """Stands before the real registry and answers itself when told to: `answer` is None (pass on),
    or a status and a body, or "hang".
    """

    def __init__(self, url: str) -> None:
        self.answer: tuple[int, bytes] | str | None = None
        self.released = threading.Event()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size) if size else None
                status, answer = front.reply(url, self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # who asked may not have waited
                    self.wfile.write(answer)

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def reply(self, url: str, verb: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if self.answer == "hang":
            self.released.wait(30)
        if isinstance(self.answer, tuple):
            return self.answer
        request = urllib.request.Request(
            url + path, body, {"Content-Type": "application/json"}, method=verb
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as found:
                return int(found.status), found.read()
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code), error.read()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def front(connection: Connection) -> Iterator[Front]:
    """A front of the registry."""
    found = Front(connection.registry.url)
    yield found
    found.close()


OUTAGES: dict[str, tuple[int, bytes] | str] = {
    "overloaded": (503, b"busy"),
    "broken": (500, b'{"error_code": 50001, "message": "store"}'),
    "forbidden": (401, b'{"error_code": 40101, "message": "who are you"}'),
    "a proxy's 404": (404, b"<html>no such page</html>"),
    "a 404 of another kind": (404, b'{"error_code": 404, "message": "no such path"}'),
    "no JSON": (200, b"<html>"),
    "another JSON": (200, b"[1]"),
    "silent": "hang",
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_of_any_kind_is_never_the_records_fault(
    connection: Connection, front: Front, name: str
) -> None:
    settings = connection.settings.model_copy(update={"request_timeout_s": 0.5})
    registry = ConfluentRegistry(front.url, settings)
    codec = thing_codec(connection)
    codec.registry = registry
    codec.register()
    schema = avro_schema(Thing)
    younger = {**schema, "fields": [*schema["fields"], {"name": "z", "type": "int", "default": 0}]}
    head = b"\x00" + connection.registry.register(codec.subject, younger).to_bytes(4, "big")
    value = head + codec.encode(Thing(key="a", at_ms=1))[5:] + b"\x02"
    front.answer = OUTAGES[name]
    with pytest.raises(RegistryError):
        codec.decode(value)
    front.answer = None
    front.released.set()
    assert codec.decode(value) == Thing(key="a", at_ms=1)
    registry.close()


def test_a_unit_waits_for_a_registry_that_is_down_and_the_others_go_on(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    connection: Connection,
    front: Front,
) -> None:
    system = flights(2)
    worker = start("worker", "flights", DOA_REGISTRY_URL=front.url)
    departures = [e for e in events(400) if isinstance(e, Departure)]
    here = [d for d in departures if partition_of(d.origin, 2) == 0]
    there = [d for d in departures if partition_of(d.origin, 2) == 1]
    codec = system.plan.codec(Departure)
    old = codec.schema
    younger = {**old, "fields": [*old["fields"], {"name": "gate", "type": "string", "default": ""}]}
    head = b"\x00" + connection.registry.register(codec.subject, younger).to_bytes(4, "big")
    until("a ready worker", worker.ready)
    producer = Producer({"bootstrap.servers": connection.settings.bootstrap})

    def publish(departure: Departure, young: bool) -> None:
        value = codec.encode(departure)
        value = head + value[5:] + b"\x02A" if young else value
        topic = system.plan.topic("flights.event.departure")
        producer.produce(topic, value, departure.origin, partition_of(departure.origin, 2))
        assert producer.flush(20) == 0

    def predicted() -> list[int]:
        worker.check()
        log = connection.cluster.log()
        try:
            topic = system.plan.topic("flights.prediction.departed")
            return [sum(1 for _ in log.records(topic, number)) for number in range(2)]
        finally:
            log.close()

    publish(here[0], young=False)
    until("a prediction by the schema it knows", lambda: predicted() == [1, 0])
    front.answer = OUTAGES["overloaded"]
    publish(here[1], young=True)
    until("a worker that waits", lambda: not worker.ready())
    publish(there[0], young=False)
    until("a prediction of the other unit", lambda: predicted() == [1, 1])
    assert not worker.ready()
    front.answer = None
    until("a prediction by the schema it asked for", lambda: predicted() == [2, 1])
    front.answer = OUTAGES["a proxy's 404"]
    publish(here[2], young=False)
    until("a prediction by a schema it remembers", lambda: predicted() == [3, 1])
    front.answer = None
    publish(there[1], young=True)
    until("the last prediction", lambda: predicted() == [3, 2])
    assert worker.end() == 0
    letters = system.stored([system.flow.dead_letter])
    assert [log for log in letters.values() if log] == []
