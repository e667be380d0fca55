"""Derived schemas: what they say, that fastavro takes them, that the committed files are fresh."""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import schemas
from schemas.derive import FOLDER, avro_schema, avsc_text, check, streams_in, write_avsc
from schemas.record import Record, Stream, field

STREAM = Stream("harbour.event.tide", "harbour", "measured_ms", "harbours")
MODULES = [
    importlib.import_module(f"schemas.{info.name}")
    for info in pkgutil.iter_modules(schemas.__path__)
]
STREAMS = streams_in(MODULES)


class Gauge(Record):
    """What measures.

    A second paragraph that no schema needs.
    """

    serial: str = field("Number on the gauge.", sensitivity="internal")
    readings: list[int] = field("Raw readings.")


class Tide(Record, stream=STREAM):
    """Height of the water."""

    harbour: str = field("Where.")
    measured_ms: int = field("When.", unit="ms", ge=0)
    wait_ms: int = field("How long the gauge took.", unit="ms", ge=0, le=60_000_000_000)
    height: float = field("Above datum.", unit="metre")
    gauge: Gauge = field("What measured it.")
    spare: Gauge | None = field("What would have.", default=None)
    flags: dict[str, bool] = field("Flags by name.", default={})


def test_schema_of_a_stream_says_all_that_was_declared() -> None:
    assert avro_schema(Tide) == {
        "type": "record",
        "name": "Tide",
        "namespace": "harbour.event",
        "doc": "Height of the water.",
        "key": "harbour",
        "event_time": "measured_ms",
        "owner": "harbours",
        "fields": [
            {"name": "harbour", "type": "string", "doc": "Where."},
            {
                "name": "measured_ms",
                "type": {"type": "long", "logicalType": "timestamp-millis"},
                "doc": "When.",
                "unit": "ms",
            },
            {
                "name": "wait_ms",
                "type": "long",
                "doc": "How long the gauge took.",
                "unit": "ms",
            },
            {"name": "height", "type": "double", "doc": "Above datum.", "unit": "metre"},
            {
                "name": "gauge",
                "type": {
                    "type": "record",
                    "name": "Gauge",
                    "doc": "What measures.",
                    "fields": [
                        {
                            "name": "serial",
                            "type": "string",
                            "doc": "Number on the gauge.",
                            "sensitivity": "internal",
                        },
                        {
                            "name": "readings",
                            "type": {"type": "array", "items": "long"},
                            "doc": "Raw readings.",
                        },
                    ],
                },
                "doc": "What measured it.",
            },
            {
                "name": "spare",
                "type": ["null", "Gauge"],
                "default": None,
                "doc": "What would have.",
            },
            {
                "name": "flags",
                "type": {"type": "map", "values": "boolean"},
                "default": {},
                "doc": "Flags by name.",
            },
        ],
    }


def test_state_has_a_namespace_of_its_own() -> None:
    assert avro_schema(Gauge)["namespace"] == "state"


def test_keys_of_a_schema_have_one_order() -> None:
    head = ["type", "name", "namespace", "doc", "key", "event_time", "owner", "fields"]
    assert list(avro_schema(Tide)) == head
    assert avsc_text(Tide) == avsc_text(Tide)


@pytest.mark.parametrize("record", STREAMS, ids=lambda record: str(record.stream.topic))
def test_fastavro_takes_every_schema(record: type[Record]) -> None:
    parsed: Any = fastavro.parse_schema(avro_schema(record))
    assert parsed["name"] == f"{record.stream.domain}.{record.stream.stage}.{record.__name__}"  # type: ignore[union-attr]


@seed(7)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data())
def test_record_returns_from_avro_as_it_went(data: st.DataObject) -> None:
    record = data.draw(
        st.builds(
            Tide,
            harbour=st.text(),
            measured_ms=st.integers(0, 2**62),
            wait_ms=st.integers(0, 60_000_000_000),
            height=st.floats(allow_nan=False, allow_infinity=False),
            gauge=st.builds(Gauge, serial=st.text(), readings=st.lists(st.integers(-9, 2**62))),
            spare=st.none() | st.builds(Gauge, serial=st.text(), readings=st.just([])),
            flags=st.dictionaries(st.text(), st.booleans()),
        )
    )
    schema = json.loads(avsc_text(Tide).replace('"logicalType"', '"carries"'))
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), record.model_dump())
    buffer.seek(0)
    assert Tide(**fastavro.schemaless_reader(buffer, schema, None)) == record  # type: ignore[arg-type]


def test_streams_are_sorted_by_topic_and_listed_once() -> None:
    topics = [record.stream.topic for record in STREAMS if record.stream]
    assert topics == sorted(set(topics))
    module = ModuleType("other")
    vars(module).update(Tide=Tide, Again=Tide, Gauge=Gauge)
    assert streams_in([module]) == [Tide]


def test_committed_schemas_are_those_of_the_records() -> None:
    assert check([record for record in STREAMS], FOLDER) == []


def test_written_schemas_pass_and_orphans_go(tmp_path: Path) -> None:
    orphan = tmp_path / "harbour.event.gone.avsc"
    orphan.write_text("{}")
    written = tmp_path / "harbour.event.tide.avsc"
    assert write_avsc([Tide], tmp_path) == [orphan, written]
    assert write_avsc([Tide], tmp_path) == []
    assert check([Tide], tmp_path) == []


def test_missing_stale_and_orphan_files_are_named(tmp_path: Path) -> None:
    assert check([Tide], tmp_path) == ["harbour.event.tide.avsc is missing; run: doa schemas write"]
    write_avsc([Tide], tmp_path)
    path = tmp_path / "harbour.event.tide.avsc"
    path.write_text(path.read_text().replace("Where.", "There."))
    assert check([Tide], tmp_path) == [
        "harbour.event.tide.avsc is stale: Tide has changed; run: doa schemas write"
    ]
    assert check([], tmp_path) == [
        "harbour.event.tide.avsc belongs to no stream; run: doa schemas write"
    ]


def test_incompatible_change_is_judged_against_what_git_has(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    path = write_avsc([Tide], tmp_path)[0]
    before = json.loads(path.read_text())
    before["fields"] = [f for f in before["fields"] if f["name"] != "height"]
    path.write_text(json.dumps(before))
    git("init")
    git("add", ".")
    git("commit", "-m", "before")
    write_avsc([Tide], tmp_path)
    assert check([Tide], tmp_path) == [
        "harbour.event.tide: field 'height' was added without a default: old records cannot be read"
    ]
    git("commit", "-am", "the people have agreed")
    assert check([Tide], tmp_path) == []


def test_schema_that_nothing_may_be_decoded_by_is_named(tmp_path: Path) -> None:
    class Verbose(Record, stream=Stream("toy.event.verbose", "key", "at_ms", "me")):
        key: str = field("x" * 70_000)
        at_ms: int = field("When.", unit="ms")

    Verbose.__doc__ = "It says too much."
    write_avsc([Verbose], tmp_path)
    [problem] = check([Verbose], tmp_path)
    assert problem.startswith("toy.event.verbose: the schema has 70")
    assert problem.endswith("characters; at most 65536 are taken")
