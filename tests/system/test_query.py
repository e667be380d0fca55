"""A run of the flow as an analyst sees it: exported and queried, by commands alone."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ops.connect import Connection
from schemas.flights_delay import PlannedExample, PlannedFeature
from streams.lineage import DERIVED, HEADER, Reference, header_number, pack_header, pack_stamp
from streams.partition import partition_of
from tests.system.test_tap import TOPIC as VISIT
from tests.system.test_tap import Clinic

pytestmark = pytest.mark.broker

PARTITIONS, FLIGHTS = 2, 250
ASKED_S = 60.0
EXAMPLE, FEATURE = "flights.example.planned", "flights.feature.planned"
JFK = partition_of("JFK", PARTITIONS)


Ask = Callable[..., tuple[Any, str, str]]


def test_run_is_exported_and_queried(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    ask: Ask,
    tmp_path: Path,
) -> None:
    system = flights(PARTITIONS)
    system.load(FLIGHTS)
    worker = start("worker", "flights", "--slot", "0")
    until("all taken", system.finished)
    assert worker.end() == 0
    expected = system.read(PlannedExample)[PlannedExample]

    same_bounds_are_the_same_bytes(ask, tmp_path, expected)
    what_cannot_be_written_is_told(ask, tmp_path)
    streams_are_joined_on_a_snapshot(system, ask, expected)
    snapshot_is_the_same_again(system, ask)
    newer_feature_is_caught(system, ask, tmp_path)


def test_export_that_is_interrupted_leaves_nothing(
    connection: Connection, start: Callable[..., Any], until: Callable[..., Any], tmp_path: Path
) -> None:
    clinic = Clinic(connection)
    clinic.visit(0)
    clinic.sent()
    folder = tmp_path / "exported"
    folder.mkdir()
    words = ("--app", "tests.system.clinic", "export", VISIT, str(folder / "f.jsonl"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a registry that holds the export up
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        held = start(*words, DOA_REGISTRY_URL=url, DOA_REQUEST_TIMEOUT_S=600)
        until("it writes", lambda: held.check() or list(folder.glob(".f.jsonl.*.part")))
        silent.settimeout(ASKED_S)  # until it asks Kafka's client may be at work, and lose a signal
        asked, _ = silent.accept()
        with asked:
            assert held.end(signal.SIGINT) == 130
    assert list(folder.iterdir()) == []


def same_bounds_are_the_same_bytes(ask: Ask, folder: Path, expected: list[Any]) -> None:
    found = answer(ask("export", EXAMPLE, str(folder / "a.parquet"), "-o", "json"))
    again = answer(ask("export", EXAMPLE, str(folder / "b.parquet"), "-o", "json"))
    data = (folder / "a.parquet").read_bytes()
    assert (folder / "b.parquet").read_bytes() == data
    assert found["sha256"] == again["sha256"] == hashlib.sha256(data).hexdigest()
    assert json.loads((folder / "a.parquet.manifest.json").read_text()) == found
    assert found["records"] == len(expected) > 200
    assert found["point_in_time"] == {"checked": len(expected)}
    assert found["partitions"].keys() == {"0", "1"}
    assert [len(one) for one in found["schemas"].values()] == [64]
    assert (found["masked"], found["undecodable"]) == ({}, {"records": 0, "told": []})
    delays = pq.read_table(folder / "a.parquet")["delay_minutes"].to_pylist()
    assert delays == [one.delay_minutes for one in expected]

    few = ("--columns", "_id, late", "--from", "2", "--to", "9", "-o", "json")
    part = answer(ask("export", EXAMPLE, str(folder / "c.jsonl"), *few))
    lines = [json.loads(line) for line in (folder / "c.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["_id", "late"]] * part["records"]
    assert part["partitions"] == {"0": [2, 9], "1": [2, 9]}
    none = ("--as-of", "2020-01-01", "-o", "json")
    assert answer(ask("export", EXAMPLE, str(folder / "d.csv"), *none))["records"] == 0


def what_cannot_be_written_is_told(ask: Ask, folder: Path) -> None:
    for words, code, told in (
        ((EXAMPLE, str(folder / "a.parquet")), 1, "is there already; --force writes it anew"),
        ((EXAMPLE, str(folder / "a.xlsx")), 1, "end its name in .parquet, .csv, .jsonl"),
        (("flights.example.plan", str(folder / "e.csv")), 1, "there is no stream"),
        ((EXAMPLE, str(folder / "e.csv"), "--columns", "sex"), 1, "has no column 'sex'"),
        ((EXAMPLE, str(folder / "e.csv"), "--columns", ""), 1, "has no column ''; it has"),
        ((EXAMPLE, str(folder / "e.csv"), "--to", "soon"), 1, "'soon' is no bound of a stream"),
        ((EXAMPLE, str(folder / "e.csv"), "--to", "3", "--as-of", "2013-01-01"), 2, "use one"),
    ):
        ended, out, error = ask("export", *words)
        assert (ended, out) == (code, "")
        assert told in error
    assert not (folder / "e.csv").exists()


def streams_are_joined_on_a_snapshot(system: Any, ask: Ask, expected: list[Any]) -> None:
    query = f"""select count(*) n, sum(e.delay_minutes) delay, max(e.answered_ms) last,
        count(distinct f._id) features
        from "{EXAMPLE}" e join "{FEATURE}" f on list_contains(e._parents, f._id)"""
    found = answer(ask("sql", query, "-o", "json"))
    [[count, delay, last, features]] = found["rows"]
    assert (count, features) == (len(expected), len(expected))
    assert delay == pytest.approx(sum(one.delay_minutes for one in expected))
    latest_ms = max(one.answered_ms for one in expected)
    assert datetime.fromisoformat(last).timestamp() * 1_000 == latest_ms
    assert [one["topic"] for one in found["snapshot"]["streams"]] == [EXAMPLE, FEATURE]
    described = answer(ask("sql", f'describe "{EXAMPLE}"', "-o", "json"))
    kinds = {row[0]: row[1] for row in described["rows"]}
    assert (kinds["asked_ms"], kinds["late"]) == ("TIMESTAMP WITH TIME ZONE", "BOOLEAN")
    assert kinds["feature"].startswith("STRUCT(flight_id VARCHAR, ")
    named = system.plan.topic(EXAMPLE)
    ended, out, error = ask("sql", f'select count(*) n from "{named}"', "-o", "csv")
    assert (ended, out) == (0, f"n\n{len(expected)}\n"), error
    assert re.match(rf"snapshot at-[0-9a-f]{{12}}: {EXAMPLE}\[0\]@0\.\.", error)
    shouted = f'with Pairs as (select a._ID from "{named.upper()}" a, "{EXAMPLE.title()}" b'
    shouted += f' where a._id = b._id and a._id in (select _id from "{EXAMPLE}")'
    shouted += " and len(a._PARENTS) > 0) select count(*) from PAIRS"
    assert answer(ask("sql", shouted, "-o", "json"))["rows"] == [[len(expected)]]
    for words, code, told in (
        (('select * from "flights.example.plan"',), 1, "there is no stream"),
        ((f'select nope from "{EXAMPLE}"',), 1, 'Referenced column "nope" not found'),
        ((f'select * from "{EXAMPLE}"', "--as-of", "2999-01-01"), 1, "is not over yet"),
        ((f'select * from "{EXAMPLE}"', "--memory", "60", "--seconds", "0"), 2, "0.1<=x"),
    ):
        ended, out, error = ask("sql", *words)
        assert (ended, out) == (code, "")
        assert told in error


def snapshot_is_the_same_again(system: Any, ask: Ask) -> None:
    """What comes after it was taken is not in it."""
    query = 'select count(*) from "flights.event.weather"'
    named = ("--snapshot", "morning", "-o", "json")
    first = answer(ask("sql", query, *named))
    producer = system.connection.cluster.producer()
    producer.produce(system.plan.topic("flights.event.weather"), b"no avro", b"JFK", JFK)
    assert producer.flush(20) == 0
    assert answer(ask("sql", query, *named)) == first
    ended, out, error = ask("sql", query)
    assert (ended, out) == (1, "")
    assert "WIRE_FORMAT" in error and "left out" in error
    skipping = answer(ask("sql", query, "--skip-undecodable", "-o", "json"))
    assert skipping["rows"] == first["rows"]
    assert [one.split(": ")[1] for one in skipping["undecodable"]["told"]] == ["WIRE_FORMAT"]


def newer_feature_is_caught(system: Any, ask: Ask, folder: Path) -> None:
    """Somebody adds a feature that was made from a later arrival, and an example that holds it;
    and one that holds other values than its question.
    """
    topic = {name: system.plan.topic(name) for name in (FEATURE, EXAMPLE)}
    with closing(system.connection.cluster.log()) as log:
        feature, example = (log.last(topic[name], JFK) for name in (FEATURE, EXAMPLE))
        [arrival] = [log.last(system.plan.topic("flights.event.arrival"), JFK)]
    assert feature is not None and example is not None and arrival is not None
    number = header_number(feature.headers[HEADER]) + 1
    count = header_number(example.headers[HEADER])
    last = Reference("flights.event.arrival", JFK, DERIVED, header_number(arrival.headers[HEADER]))
    forged = Reference(FEATURE, JFK, DERIVED, number)
    codec = {kind: system.plan.codec(kind) for kind in (PlannedFeature, PlannedExample)}
    held = (
        codec[PlannedFeature]
        .decode(feature.value)
        .model_copy(update={"asked_ms": 1_357_000_000_000})
    )
    holding = codec[PlannedExample].decode(example.value).model_copy(update={"feature": held})

    send(system, FEATURE, codec[PlannedFeature].encode_plainly(held), number, last)
    send(system, EXAMPLE, codec[PlannedExample].encode_plainly(holding), count + 1, forged)
    changed = holding.model_copy(update={"feature": held.model_copy(update={"overdue": 999})})
    honest = Reference(FEATURE, JFK, DERIVED, number - 1)
    send(system, EXAMPLE, codec[PlannedExample].encode_plainly(changed), count + 2, honest)
    nothing = codec[PlannedExample].encode_plainly(changed)
    send(system, EXAMPLE, nothing, count + 3, last)

    found = answer(ask("export", EXAMPLE, str(folder / "g.csv"), "-o", "json"), code=1)
    assert found["faulty"] == len(found["faults"]) == 3
    newer = (
        rf"{re.escape(str(forged))}, its question, was made from {re.escape(str(last))}, which is"
    )
    assert re.search(newer + r" [\d,]+ s later", found["faults"][0])
    assert found["faults"][1].endswith(f"its feature is not what {honest} says")
    assert found["faults"][2].endswith(f"it names 0 records of {FEATURE}, not one")
    assert not (folder / "g.csv").exists()
    assert answer(ask("export", EXAMPLE, str(folder / "g.csv"), "--no-check", "-o", "json"))


def send(system: Any, name: str, value: bytes, number: int, parent: Reference) -> None:
    header = pack_header(number, pack_stamp("features", "0" * 8), b"\0", 1, parent.packed())
    producer = system.connection.cluster.producer()
    producer.produce(system.plan.topic(name), value, b"JFK", JFK, headers={HEADER: header})
    assert producer.flush(20) == 0


def answer(asked: tuple[Any, str, str], code: int = 0) -> Any:
    """The one JSON document of a command."""
    ended, out, error = asked
    assert ended == code, error
    return json.loads(out)
