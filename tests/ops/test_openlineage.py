"""Runs as the journal tells them, and what OpenLineage is told: the library's own classes check the
form of each event as they are made.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import doa
from ops.connect import NotConnected
from ops.openlineage import Teller, line, send
from ops.runs import Run, runs_of
from schemas.internal import JournalEntry
from streams.codec import MemoryRegistry
from streams.merge import Stored
from streams.plan import Plan
from streams.topology import Topology, discover

TIDES = discover(["ops.examples.tides"])
PLAN = Plan(TIDES.flow("tides"), MemoryRegistry())
NOW, OLD = TIDES.code_version, "0000abcd"
READING, CLOCK = "tides.event.reading", "tides-clock"
AT_MS = 1_700_000_000_000


class Journal:
    """Partitions of entries: (when, code, readings taken[, settings])."""

    def __init__(self, *partitions: list[tuple[Any, ...]]) -> None:
        self._partitions = [
            [Stored(7 * n, None, _entry(*rest), {}, AT_MS + at) for n, (at, *rest) in enumerate(p)]
            for p in partitions
        ]

    def records(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        assert topic == "tides-journal"
        return iter(self._partitions[partition])

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        raise AssertionError("it is read once, forwards")

    def runs(self) -> list[Run]:
        return runs_of(PLAN, self, len(self._partitions))


def _entry(code: str, count: int, settings: dict[str, str] | None = None) -> bytes:
    return PLAN.journal_codec.encode(
        JournalEntry(
            code_version=code,
            inputs=[READING, CLOCK],
            starts=[0, 0],
            runs=[0, count, 1, 1],
            time_ms=5,
            settings=settings,
        )
    )


TWICE = Journal(
    [(0, OLD, 2), (10, OLD, 3), (30, NOW, 5)], [(5, OLD, 1), (35, NOW, 7), (40, NOW, 9)]
)


def test_journal_tells_the_runs_of_a_flow() -> None:
    first, second = TWICE.runs()
    assert (first.code_version, first.superseded, first.name) == (OLD, True, "tides-journal[0]@0")
    assert first.places == ["tides-journal[0]@0..@7", "tides-journal[1]@0..@0"]
    assert (first.began_ms, first.ended_ms) == (AT_MS, AT_MS + 10)
    assert first.taken == {READING: 6, CLOCK: 3}
    assert (second.code_version, second.superseded, second.name) == (
        NOW,
        False,
        "tides-journal[0]@14",
    )
    assert second.taken == {READING: 21, CLOCK: 3}


def test_code_that_comes_back_runs_anew_and_an_empty_journal_has_no_runs() -> None:
    versions = [r.code_version for r in Journal([(0, NOW, 1), (1, OLD, 1), (2, NOW, 1)]).runs()]
    assert versions == [NOW, OLD, NOW]
    assert Journal([], []).runs() == []


def test_settings_are_those_that_a_run_was_taken_on_with() -> None:
    few, default = {"batch_records_max": "7"}, dict[str, str]()
    [run] = Journal(
        [(0, NOW, 1, few), (1, NOW, 1), (9, NOW, 1, default)], [(2, NOW, 1, few), (3, NOW, 1)]
    ).runs()
    assert run.settings == [few, default]
    [told_last] = [
        e["run"]["facets"]["executionParameters"]["parameters"]
        for e in told(Journal([(0, NOW, 1, default), (1, NOW, 1, few)]))[:1]
    ]
    assert told_last == [{"key": "batch_records_max", "value": "7"}]
    assert "executionParameters" not in told(TWICE)[0]["run"]["facets"]


def told(journal: Journal, topology: Topology = TIDES) -> list[dict[str, Any]]:
    teller = Teller(topology, "broker:9092", "twin")
    return [json.loads(line(event)) for run in journal.runs() for event in teller.ran(run)]


def test_each_run_begins_and_ends_or_goes_on() -> None:
    found = told(TWICE)
    assert [(e["eventType"], e["job"]["name"]) for e in found] == [
        ("START", "tides"),
        ("COMPLETE", "tides"),
        ("START", "tides"),
        ("START", "tides.hour_level"),
        ("START", "tides.flood"),
        ("RUNNING", "tides"),
        ("RUNNING", "tides.hour_level"),
        ("RUNNING", "tides.flood"),
    ]
    times = [e["eventTime"] for e in found]
    assert times[:3] == [
        "2023-11-14T22:13:20.000Z",
        "2023-11-14T22:13:20.010Z",
        "2023-11-14T22:13:20.030Z",
    ]
    assert set(times[5:]) == {"2023-11-14T22:13:20.040Z"}
    assert told(TWICE) == found
    assert [e["run"]["runId"] for e in found[2:5]] == [e["run"]["runId"] for e in found[5:]]
    assert len({e["run"]["runId"] for e in found}) == 4


def test_of_other_code_only_what_its_journal_says_is_told() -> None:
    started, old, _, *_, flow, _, _ = found = told(TWICE)
    assert started["inputs"][0]["inputFacets"] == {}
    reading = ("kafka://broker:9092", "twin.tides.event.reading")
    for event, count in ((old, 6), (flow, 21)):
        [taken] = event["inputs"]
        assert (taken["namespace"], taken["name"]) == reading
        assert taken["inputFacets"]["inputStatistics"]["rowCount"] == count
    assert old["outputs"] == []
    assert [o["name"] for o in flow["outputs"]] == [
        "twin.tides.feature.level",
        "twin.tides.alert.flood",
    ]
    tags = {tag["key"]: tag["value"] for tag in old["run"]["facets"]["tags"]["tags"]}
    assert tags == {
        "code_version": OLD,
        "journal": "tides-journal[0]@0..@7, tides-journal[1]@0..@0",
    }
    assert found[3]["run"]["facets"]["parent"]["run"]["runId"] == flow["run"]["runId"]


def test_streams_and_processors_are_told_as_declared() -> None:
    found = [json.loads(line(e)) for e in Teller(TIDES, "broker:9092").declared(AT_MS)]
    streams = {e["dataset"]["name"]: e["dataset"]["facets"] for e in found if "dataset" in e}
    assert list(streams) == ["tides.alert.flood", READING, "tides.feature.level"]
    about = streams[READING]
    assert about["schema"]["fields"][3] == {
        "name": "level",
        "type": "double",
        "description": "Height of the water above chart datum. Unit: m.",
        "ordinal_position": 4,
        "fields": [],
    }
    assert about["ownership"]["owners"] == [{"name": "harbour"}]
    assert about["datasetType"]["subType"] == "EVENT"
    edges = [
        (e["job"]["namespace"], e["job"]["name"], names(e["inputs"]), names(e["outputs"]))
        for e in found
        if "job" in e
    ]
    assert edges == [
        ("doa", "tides", [READING], ["tides.feature.level", "tides.alert.flood"]),
        ("doa", "tides.hour_level", [READING], ["tides.feature.level"]),
        ("doa", "tides.flood", ["tides.feature.level"], ["tides.alert.flood"]),
    ]
    assert {e["eventTime"] for e in found} == {"2023-11-14T22:13:20.000Z"}


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in found]


def test_nested_and_nullable_fields_are_told() -> None:
    found = [json.loads(line(e)) for e in Teller(discover(), "broker:9092").declared(AT_MS)]
    [example] = [e for e in found if e.get("dataset", {}).get("name") == "flights.example.planned"]
    fields = {f["name"]: f for f in example["dataset"]["facets"]["schema"]["fields"]}
    feature = next(f for f in fields.values() if f["fields"])
    assert "distance" in {f["name"] for f in feature["fields"]}
    kinds = {f["type"] for f in feature["fields"]}
    assert {"null | double", "string"} <= kinds


class Catalogue(BaseHTTPRequestHandler):
    """Takes events, so many."""

    taken: list[Any]
    most = 100

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        full = len(self.taken) >= self.most
        if not full:
            self.taken.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(403 if full else 201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def catalogue() -> Iterator[tuple[str, type[Catalogue]]]:
    kind = type("Kind", (Catalogue,), {"taken": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kind
    server.shutdown()
    server.server_close()


def test_events_are_sent_in_order_with_the_key(
    catalogue: tuple[str, type[Catalogue]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kind = catalogue
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    events = list(Teller(TIDES, "broker:9092").declared(AT_MS))
    send(events, url)
    assert [body for _, _, body in kind.taken] == [json.loads(line(e)) for e in events]
    assert {(path, key) for path, key, _ in kind.taken} == {("/api/v1/lineage", "Bearer secret")}


def test_who_takes_no_more_is_named(catalogue: tuple[str, type[Catalogue]]) -> None:
    url, kind = catalogue
    kind.most = 2
    with pytest.raises(NotConnected, match=r"took 2 events and not the next, HTTPError: 403"):
        send(Teller(TIDES, "broker:9092").declared(AT_MS), url)
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1:1 took 0 events and not the next"):
        send(Teller(TIDES, "broker:9092").declared(AT_MS), "http://127.0.0.1:1")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster runs."""
    monkeypatch.setenv("DOA_HOME", str(tmp_path))


def test_without_a_cluster_what_is_declared_is_printed(alone: None) -> None:
    words = ("--app", "ops.examples.tides", "describe", "openlineage", "tides")
    result = CliRunner().invoke(doa, words)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 6)
    assert all("schemaURL" in json.loads(text) for text in result.stdout.splitlines())
    assert result.stderr.startswith("only what is declared: no Kafka is running")


def test_file_is_written_and_one_that_cannot_be_is_named(alone: None, tmp_path: Path) -> None:
    words = ["--app", "ops.examples.tides", "describe", "openlineage", "tides", "--to"]
    for _ in range(2):
        result = CliRunner().invoke(doa, [*words, str(tmp_path / "out.jsonl")])
        assert (result.exit_code, result.stdout) == (0, "")
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 6
    result = CliRunner().invoke(doa, [*words, str(tmp_path)])
    assert result.exit_code == 1
    assert "cannot be written: it is no file" in str(result.exception)
