"""Columns of records of several schemas: what one of them hides, has not, or has otherwise."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from schemas.derive import avro_schema
from schemas.record import Record, Stream, field
from streams.codec import MemoryRegistry
from streams.columns import frames as module
from streams.columns.fetched import Fetched
from streams.columns.frames import Frames
from streams.columns.types import NoSuchColumn, Wanted, wanted_columns
from streams.errors import Undecodable
from streams.masking import EVERYTHING
from tests.streams.test_columns import Bed, Snail, codec_of, snail

SUBJECT = "garden.event.snail-value"
OPEN = ["bed", "seen_ms", "slime"]
LATE = b"\xfe" + b"\xff" * 7 + b"\x7f"  # ms, far beyond the year 9999


class Whorl(Record):
    """A shell that was seen on its own."""

    turns: int = field("How often it winds.")
    seen_ms: int = field("When.", unit="ms")


class Slug(Record, stream=Stream("garden.event.slug", "bed", "seen_ms", "me")):
    """A slug was seen, which others wrote."""

    bed: str = field("Where.", default="a")
    seen_ms: int = field("When.", unit="ms", default=0)
    turns: int = field("How often it turned.", default=0)
    slime: float = field("Length of its trail.", unit="m", default=0.0)
    heights: list[int] = field("How high it was.", default=[])
    counts: dict[str, int] = field("What it ate.", default={})
    shell: Whorl | None = field("Found beside it.", default=None)


def whorl(turns: str) -> dict[str, Any]:
    """A shell as others write it."""
    fields = [{"name": "turns", "type": turns}, {"name": "seen_ms", "type": "long"}]
    return {"type": "record", "name": "Whorl", "fields": fields}


SHELL_OF_FLOATS, SHELL_OF_LONGS = whorl("double"), whorl("long")


def altered(record: Any, **changes: dict[str, Any]) -> dict[str, Any]:
    """The schema of a record, some of its fields being otherwise."""
    schema = avro_schema(record)
    fields = [one | changes.get(one["name"], {}) for one in schema["fields"]]
    return {**schema, "fields": fields}


def reading(record: Any, registry: Any, wanted: Wanted) -> Frames:
    return Frames(record, registry, f"{wanted.topic}-value", wanted)


class Garden:
    """Snails that were written by our schema and by one of somebody else."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.registry = MemoryRegistry()
        self._codec = codec_of(Snail, self.registry)
        self.schema_id = self.registry.schema_id(SUBJECT, schema)

    def ours(self, number: int) -> bytes:
        return self._codec.encode(snail(number))

    def theirs(self, number: int) -> bytes:
        return b"\0" + self.schema_id.to_bytes(4, "big") + self.ours(number)[5:]


STRICTER = altered(Snail, bed={"sensitivity": "personal"}, slime={"sensitivity": "internal"})


@pytest.mark.parametrize("names", [OPEN, [*OPEN, "_key"]])
def test_what_a_writer_marks_is_null_in_its_records_alone(names: list[str]) -> None:
    garden = Garden(STRICTER)
    wanted = wanted_columns(Snail, names)
    frames = reading(Snail, garden.registry, wanted)
    batch, refused = frames.decode([garden.ours(1), garden.theirs(2), garden.ours(4)])
    assert refused == []
    assert batch.column("bed").to_pylist() == ["r", None, "röst"]
    assert batch.column("slime").to_pylist() == [1 / 7, None, 4 / 7]
    assert [one.microsecond for one in batch.column("seen_ms").to_pylist()] == [1_000, 2_000, 4_000]
    marks = {"bed": "personal", "slime": "internal"}
    marks |= {"_key": "personal"} if "_key" in names else {}
    assert wanted.hidden(garden.schema_id, STRICTER) == marks
    assert wanted.hidden(0, avro_schema(Snail)) == {}


def test_what_a_writer_marks_is_read_by_who_may_see_it() -> None:
    garden = Garden(STRICTER)
    wanted = wanted_columns(Snail, OPEN, may_see=frozenset({"internal"}))
    batch, _ = reading(Snail, garden.registry, wanted).decode([garden.theirs(2)])
    assert batch.select(["bed", "slime"]).to_pylist() == [{"bed": None, "slime": 2 / 7}]
    wanted = wanted_columns(Snail, OPEN, may_see=EVERYTHING)
    batch, _ = reading(Snail, garden.registry, wanted).decode([garden.theirs(2)])
    assert batch.select(["bed", "slime"]).to_pylist() == [{"bed": "rö", "slime": 2 / 7}]


def test_what_a_writer_marks_is_null_where_values_are_decoded_one_by_one() -> None:
    registry = MemoryRegistry()
    value = codec_of(Bed, registry).encode(Bed(bed="a", seen_ms=1, heights=[3], counts={"leek": 2}))
    schema = altered(Bed, heights={"sensitivity": "internal"})
    theirs = b"\0" + registry.schema_id("garden.event.bed-value", schema).to_bytes(4, "big")
    frames = reading(Bed, registry, wanted_columns(Bed, ["bed", "heights", "counts"]))
    batch, refused = frames.decode([value, theirs + value[5:]])
    assert refused == []
    assert batch.to_pylist() == [
        {"bed": "a", "heights": [3], "counts": [("leek", 2)]},
        {"bed": "a", "heights": None, "counts": [("leek", 2)]},
    ]


def test_what_a_writer_marks_within_a_record_hides_the_whole_of_it() -> None:
    shell = next(f for f in avro_schema(Snail)["fields"] if f["name"] == "shell")
    inner = shell["type"][1]
    fields = [f | {"sensitivity": "internal"} for f in inner["fields"]]
    schema = altered(Snail, shell={"type": ["null", inner | {"fields": fields}]})
    garden = Garden(schema)
    wanted = wanted_columns(Snail, ["shell"], may_see=frozenset({"personal"}))
    batch, _ = reading(Snail, garden.registry, wanted).decode([garden.ours(1), garden.theirs(2)])
    assert batch.to_pylist() == [
        {"shell": {"turns": 300, "colour": "yellow", "owner": None}},
        {"shell": None},
    ]
    assert wanted.hidden(garden.schema_id, schema) == {"shell": "internal"}


def test_key_that_a_writer_marks_is_null_in_its_records_alone() -> None:
    garden = Garden(STRICTER)
    frames = reading(Snail, garden.registry, wanted_columns(Snail, ["_key", "seen_ms"]))
    fetched = Fetched([garden.ours(1), garden.theirs(2)], [7, 8], [b"r", b"r\xc3\xb6"])
    frames.decode(fetched.values)
    frames.hide_keys(fetched)
    assert fetched.keys == [b"r", None]


def test_reason_that_may_quote_what_a_writer_marks_is_hidden() -> None:
    registry = MemoryRegistry()
    ours = codec_of(Bed, registry).encode(Bed(bed="a", seen_ms=1, heights=[3]))[:-1]
    schema = altered(Bed, heights={"sensitivity": "internal"})
    schema_id = registry.schema_id("garden.event.bed-value", schema)
    theirs = b"\0" + schema_id.to_bytes(4, "big") + ours[5:]
    told = []
    for may_see in (frozenset[str](), EVERYTHING):
        frames = reading(Bed, registry, wanted_columns(Bed, ["bed"], may_see=may_see))
        for value in (ours, theirs, b"no avro"):
            [(_, fault)] = frames.decode([value])[1]
            told.append(frames.reason(value, fault))
    torn = "a number begins at 11; the value ends at 11"
    head = "the value begins with 6e6f206176; 00 and a schema id were expected"
    assert told == [torn, "‹internal›", head, torn, torn, head]


def test_batch_of_several_schemas_of_which_no_field_is_wanted() -> None:
    garden = Garden(STRICTER)
    frames = reading(Snail, garden.registry, wanted_columns(Snail, ["_offset"]))
    values = [garden.ours(1), garden.theirs(2), garden.ours(3)[:-1], b"no avro"]
    batch, refused = frames.decode(values)
    assert batch.schema.names == []
    assert [(row, error.code) for row, error in refused] == [(2, "TRUNCATED"), (3, "WIRE_FORMAT")]


def test_batch_of_several_schemas_of_which_all_is_refused() -> None:
    garden = Garden(STRICTER)
    frames = reading(Snail, garden.registry, wanted_columns(Snail, OPEN))
    batch, refused = frames.decode([garden.ours(1)[:-1], b"no avro", garden.theirs(2)[:-1], None])
    assert (batch.num_rows, batch.schema.names) == (0, OPEN)
    assert [row for row, _ in refused] == [0, 1, 2, 3]
    assert frames.decode([])[0].num_rows == 0


def test_field_that_a_writer_has_of_another_type_refuses_the_record_that_holds_it() -> None:
    garden = Garden(altered(Snail, slime={"type": ["null", "string"]}))
    frames = reading(Snail, garden.registry, wanted_columns(Snail, OPEN))
    without = garden.theirs(0)
    at = without.index(b"\0", 5 + len(b"\0") + 6)  # of the branch of slime, after bed and seen_ms
    holding = without[:at] + b"\x02\x06wet" + without[at + 1 :]
    batch, refused = frames.decode([garden.ours(1), holding, without])
    assert batch.column("slime").to_pylist() == [1 / 7, None]
    [(row, fault)] = refused
    assert (row, type(fault)) == (1, Undecodable)
    assert str(fault).startswith("slime is no double: ")


GUESTS: list[tuple[str, Any, bytes, str]] = [  # field, its type and value elsewhere, the reason
    ("turns", "double", struct.pack("<d", 1.5), "int64: a value of type float stands there"),
    ("turns", "boolean", b"\1", "int64: a value of type bool stands there"),
    ("slime", "boolean", b"\1", "double: a value of type bool stands there"),
    ("seen_ms", "double", struct.pack("<d", 1.5), "timestamp[ms, tz=UTC]: a value of type float"),
    ("heights", {"type": "array", "items": "double"}, b"\2" + struct.pack("<d", 1.5) + b"\0",
     "list<item: int64>: a value of type float stands there"),
    ("heights", "bytes", b"\4ab", "list<item: int64>: a value of type bytes stands there"),
    ("counts", {"type": "map", "values": "double"}, b"\2\2a" + struct.pack("<d", 1.5) + b"\0",
     "map<string, int64>: a value of type float stands there"),
    ("counts", {"type": "array", "items": "long"}, b"\0",
     "map<string, int64>: a value of type list stands there"),
    ("shell", {"type": "array", "items": "long"}, b"\0",
     "struct<turns: int64, seen_ms: timestamp[ms, tz=UTC]>: a value of type list stands there"),
    ("shell", SHELL_OF_FLOATS, struct.pack("<d", 1.5) + b"\0",
     "struct<turns: int64, seen_ms: timestamp[ms, tz=UTC]>: a value of type float stands there"),
    ("shell", SHELL_OF_LONGS, b"\2" + LATE,
     "struct<turns: int64, seen_ms: timestamp[ms, tz=UTC]>: an instant lies before the year 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "body", "expected"), GUESTS)
def test_what_arrow_would_change_is_refused(
    name: str, kind: Any, body: bytes, expected: str
) -> None:
    registry = MemoryRegistry()
    schema = {"type": "record", "name": "Slug", "fields": [{"name": name, "type": kind}]}
    schema_id = registry.schema_id("garden.event.slug-value", schema)
    frames = reading(Slug, registry, wanted_columns(Slug, [name]))
    batch, refused = frames.decode([b"\0" + schema_id.to_bytes(4, "big") + body])
    assert batch.num_rows == 0
    [(_, fault)] = refused
    assert type(fault) is Undecodable
    assert str(fault).startswith(f"{name} is no {expected}")


def test_instant_that_a_writer_has_as_a_number_may_be_none() -> None:
    garden = Garden(altered(Snail, seen_ms={"type": "long"}))
    frames = reading(Snail, garden.registry, wanted_columns(Snail, ["seen_ms"]))
    value = garden.theirs(0)
    batch, refused = frames.decode([value, value[:6] + LATE + value[12:]])
    assert [str(one) for one in batch.column("seen_ms").to_pylist()] == [
        "2013-01-01 00:26:40+00:00"
    ]
    assert [row for row, _ in refused] == [1]
    assert str(refused[0][1]).startswith("seen_ms is no timestamp[ms, tz=UTC]: ")


def test_key_of_a_schema_that_is_no_name_hides_nothing() -> None:
    garden = Garden({**avro_schema(Snail), "key": ["bed"]})
    frames = reading(Snail, garden.registry, wanted_columns(Snail, ["bed"]))
    assert frames.decode([garden.theirs(2)])[0].to_pylist() == [{"bed": "rö"}]


def test_heads_of_garbage_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITERS_MAX", 3)
    garden = Garden(STRICTER)
    frames = reading(Snail, garden.registry, wanted_columns(Snail, OPEN))
    values = [garden.theirs(2), *(bytes([9]) + bytes([n]) * 4 for n in range(9)), garden.theirs(2)]
    batch, refused = frames.decode(values)
    assert (batch.num_rows, len(refused)) == (2, 9)
    assert len(frames._writers) <= 3


def test_columns_of_nothing_are_refused() -> None:
    with pytest.raises(NoSuchColumn, match=r"no column of garden\.event\.snail was asked for"):
        wanted_columns(Snail, [])
