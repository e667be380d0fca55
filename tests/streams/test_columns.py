"""Columns hold what the exact decoder says of each value, and nothing that it refuses."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pytest

from schemas.derive import avro_schema
from schemas.flights_delay import PlannedExample, PlannedFeature
from schemas.record import Record, Stream, field
from streams.codec import VIEW_VALUES_MAX, Codec, MemoryRegistry
from streams.columns import fetched
from streams.columns.coordinates import coordinates
from streams.columns.fetched import Fetched
from streams.columns.frames import Frames
from streams.columns.types import INSTANT, NoSuchColumn, inlined, wanted_columns
from streams.columns.vector import Decoder
from streams.errors import DataError, TrailingBytes
from streams.exact import compile_exact
from streams.lineage import DERIVED, HEADER, Reference, names_of, pack_header, pack_stamp
from streams.masking import EVERYTHING
from streams.topology import stream_of


class Shell(Record):
    """What a snail carries."""

    turns: int = field("How often it winds.")
    colour: Literal["brown", "yellow"] = field("Its colour.")
    owner: str | None = field("Who painted it.", sensitivity="personal", default=None)


class Snail(Record, stream=Stream("garden.event.snail", "bed", "seen_ms", "me")):
    """A snail was seen."""

    bed: str = field("Where.")
    seen_ms: int = field("When.", unit="ms", ge=0)
    slime: float | None = field("Length of its trail.", unit="m", default=None)
    hungry: bool | None = field("Whether it ate.", default=None)
    photo: bytes | None = field("A picture.", sensitivity="personal", default=None)
    shell: Shell | None = field("Its shell.", default=None)
    colour: Literal["brown", "yellow"] | None = field("Of the body.", default=None)


class Bed(Record, stream=Stream("garden.event.bed", "bed", "seen_ms", "me", compacted=True)):
    """What grows in a bed."""

    bed: str = field("Where.")
    seen_ms: int = field("When.", unit="ms", ge=0)
    heights: list[int] = field("How high.")
    counts: dict[str, int] = field("How many.", default={})


def snail(number: int) -> Snail:
    shell = Shell(turns=number * 300, colour="yellow" if number % 2 else "brown")
    return Snail(
        bed="rösti"[: number % 6],
        seen_ms=1_357_000_000_000 + number,
        slime=None if number % 3 == 0 else number / 7,
        hungry=[None, True, False][number % 3],
        photo=b"\xff" * (number % 4) or None,
        shell=shell if number % 4 else None,
        colour="brown" if number % 5 else None,
    )


def frames(record: Any, registry: Any, names: list[str] | None = None) -> Frames:
    wanted = wanted_columns(record, names or list(record.model_fields), may_see=EVERYTHING)
    return Frames(record, registry, f"{stream_of(record).topic}-value", wanted)


def codec_of(record: Any, registry: Any) -> Codec:
    return Codec(record, f"{stream_of(record).topic}-value", registry)


def plain(value: Any) -> Any:
    """Instants as they are written."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return value


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be decoded one by one."""

    def fail(*_: object) -> None:
        pytest.fail("it is decoded one by one")

    monkeypatch.setattr(Frames, "_one_by_one", fail)


@pytest.mark.usefixtures("at_once")
def test_records_of_all_plain_types_become_columns_at_once() -> None:
    registry = MemoryRegistry()
    codec, snails = codec_of(Snail, registry), [snail(n) for n in range(500)]
    batch, refused = frames(Snail, registry).decode([codec.encode(one) for one in snails])
    assert refused == []
    assert batch.to_pylist()[1] == {
        "bed": "r",
        "seen_ms": datetime(2013, 1, 1, 0, 26, 40, 1_000, UTC),
        "slime": 1 / 7,
        "hungry": True,
        "photo": b"\xff",
        "shell": {"turns": 300, "colour": "yellow", "owner": None},
        "colour": "brown",
    }
    assert [plain(one) for one in batch.to_pylist()] == [one.model_dump() for one in snails]
    assert batch.schema.field("seen_ms").type == INSTANT


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("record", [PlannedFeature, PlannedExample])
def test_streams_of_flights_are_decoded_at_once(record: Any) -> None:
    registry, found = MemoryRegistry(), example(record)
    batch, _ = frames(record, registry).decode([codec_of(record, registry).encode(found)] * 2)
    assert [plain(one) for one in batch.to_pylist()] == [found.model_dump()] * 2


@pytest.mark.usefixtures("at_once")
def test_values_of_a_former_schema_are_decoded_at_once() -> None:
    registry, today = MemoryRegistry(), avro_schema(Snail)
    former = today | {"fields": today["fields"][:-1]}
    old = registry.schema_id("garden.event.snail-value", former)
    value = codec_of(Snail, registry).encode(snail(5))
    assert value[-1] == 0  # the branch of colour
    values = [value, b"\0" + old.to_bytes(4, "big") + value[5:-1]]
    batch, _ = frames(Snail, registry).decode(values)
    assert [plain(one) for one in batch.to_pylist()] == [snail(5).model_dump()] * 2


def test_arrays_and_maps_are_decoded_one_by_one() -> None:
    registry = MemoryRegistry()
    codec = codec_of(Bed, registry)
    values = [
        codec.encode(Bed(bed="a", seen_ms=1, heights=[1, -2], counts={"leek": 3})),
        None,  # a tombstone: the stream is compacted
        codec.encode(Bed(bed="b", seen_ms=2, heights=[])),
    ]
    batch, refused = frames(Bed, registry, ["bed", "heights", "counts"]).decode(values)
    assert refused == []
    assert batch.to_pylist() == [
        {"bed": "a", "heights": [1, -2], "counts": [("leek", 3)]},
        {"bed": None, "heights": None, "counts": None},
        {"bed": "b", "heights": [], "counts": []},
    ]


def test_only_wanted_fields_are_kept_and_the_others_still_checked() -> None:
    registry = MemoryRegistry()
    codec = codec_of(Snail, registry)
    good, cut = codec.encode(snail(1)), codec.encode(snail(3))[:-1]
    batch, refused = frames(Snail, registry, ["slime"]).decode([good, cut, good])
    assert batch.to_pylist() == [{"slime": 1 / 7}, {"slime": 1 / 7}]
    assert [(row, error.code) for row, error in refused] == [(1, "TRUNCATED")]


@pytest.mark.parametrize("record", [PlannedFeature, PlannedExample, Snail])
def test_whatever_bytes_change_columns_say_what_the_exact_decoder_says(record: Any) -> None:
    registry, chance = MemoryRegistry(), random.Random(7)
    codec, exact = codec_of(record, registry), compile_exact(avro_schema(record), VIEW_VALUES_MAX)
    codec.register()
    whole = codec.encode_plainly(snail(1) if record is Snail else example(record))
    values = [whole]
    for at in range(5, len(whole)):
        for byte in (0, 0x7F, 0x80, 0xFF, chance.randrange(256)):
            values.append(whole[:at] + bytes((byte,)) + whole[at + 1 :])
        values += [whole[:at], whole[:at] + whole[at + 1 :], whole[:at] + b"\x80" + whole[at:]]
    expected: list[Any] = []
    faults: list[tuple[int, str]] = []
    for row, value in enumerate(values):
        try:
            expected.append(exact(value, 5))
        except DataError as error:
            faults.append((row, str(error)))
    batch, refused = frames(record, registry).decode(values)
    assert [(row, str(error)) for row, error in refused] == faults
    assert repr([plain(one) for one in batch.to_pylist()]) == repr(expected)  # NaN is NaN
    assert min(len(faults), len(expected)) > 50


def example(record: Any) -> Any:
    from processors.nycflights.replay import events
    from streams.driver import Driver
    from streams.topology import discover

    driver = Driver(discover().flow("flights"))
    for event in events(30):
        driver.publish(event)
    driver.process()
    return driver.read(record)[0]


def test_values_of_a_former_schema_get_its_defaults_and_others_are_refused() -> None:
    registry = MemoryRegistry()
    today = avro_schema(Snail)
    former = today | {"fields": [f for f in today["fields"] if f["name"] not in ("slime", "bed")]}
    former["fields"] += [{"name": "gone", "type": {"type": "array", "items": "long"}}]
    subject = "garden.event.snail-value"
    old = registry.schema_id(subject, former)
    foreign = registry.schema_id("somebody-value", {"type": "long"})
    codec = codec_of(Snail, registry)
    body = bytes.fromhex("80ade4f1fc4e") + b"\0\0\0\0" + b"\x02\x04\x00"
    values = [
        codec.encode(snail(2)),
        b"\0" + old.to_bytes(4, "big") + body,
        b"\0" + foreign.to_bytes(4, "big") + b"\x02",
        b"\0\0\0\0\x63nothing",
        b"no avro",
        b"",
        None,
    ]
    batch, refused = frames(Snail, registry, ["bed", "slime", "photo"]).decode(values)
    assert batch.to_pylist() == [
        {"bed": "rö", "slime": 2 / 7, "photo": b"\xff\xff"},
        {"bed": None, "slime": None, "photo": None},
    ]
    assert [(row, error.code) for row, error in refused] == [
        (2, "SUBJECT_MISMATCH"),
        (3, "UNKNOWN_SCHEMA"),
        (4, "WIRE_FORMAT"),
        (5, "EMPTY"),
        (6, "EMPTY"),
    ]


def test_fields_that_are_not_public_are_left_out_unless_they_are_asked_for() -> None:
    wanted = wanted_columns(Snail)
    assert wanted.masked == {"photo": "personal", "shell": "personal"}
    assert wanted.schema.names == [
        "_id", "_key", "_partition", "_offset", "_appended",
        "bed", "seen_ms", "slime", "hungry", "colour",
    ]  # fmt: skip
    assert "photo" in wanted_columns(Snail, may_see=EVERYTHING).schema.names
    with pytest.raises(NoSuchColumn, match=r"photo of garden\.event\.snail is personal"):
        wanted_columns(Snail, ["bed", "photo"])
    with pytest.raises(NoSuchColumn, match=r"has no column 'sex'; it has _id, _key"):
        wanted_columns(Snail, ["sex"])


def test_ids_are_those_of_headers_of_ours_and_offsets_elsewhere() -> None:
    parent = Reference("garden.event.bed", 3, DERIVED, 17)
    ours = pack_header(300, pack_stamp("sees", "0" * 8), b"\0", 1, parent.packed())
    names = names_of(["garden.event.bed", "sees"])
    of_each: list[list[tuple[str, bytes | None]] | None] = [
        [(HEADER, ours)],
        None,
        [(HEADER, b"\x07theirs"), ("other", b"")],
        [("other", None), (HEADER, ours)],
        [(HEADER, ours[:2])],
    ]
    lists = Fetched(
        [], [301, 302, 303, 299, 304], [b"a", None, b"\xff", b"", b"b"], [5] * 5, of_each
    )
    schema = pa.schema(
        [(n, pa.null()) for n in ("_id", "_key", "_offset", "_appended", "_parents")]
    )
    found = coordinates("garden.feature.seen[2]", 2, lists, schema, names)
    assert found["_id"].to_pylist() == [
        "garden.feature.seen[2]#300",
        "garden.feature.seen[2]@302",
        "garden.feature.seen[2]@303",
        "garden.feature.seen[2]@299",  # a number that is larger than the offset is none of ours
        "garden.feature.seen[2]@304",
    ]
    assert found["_key"].to_pylist() == ["a", None, "0xff", "", "b"]
    assert found["_parents"].to_pylist()[:3] == [["garden.event.bed[3]#17"], [], []]
    assert found["_appended"][0].as_py() == datetime(1970, 1, 1, 0, 0, 0, 5_000, UTC)


def test_batches_are_cut_by_records_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "BATCH_RECORDS", 3)
    monkeypatch.setattr(fetched, "BATCH_BYTES", 10)
    whole = fetched._whole_batch
    assert whole([b"a", b"b"]) == 0
    assert whole([b"a", None, b"b"]) == 3
    assert whole([b"a", b"123456789", b"b"]) == 2
    assert whole([b"12345678901"]) == 1
    assert whole([b"12345", b"123456"]) == 1


def test_decoder_goes_past_nothing_that_it_was_not_given() -> None:
    body = {"type": "record", "name": "One", "fields": [{"name": "n", "type": "bytes"}]}
    found, odd = Decoder(inlined(body), {"n"}).decode([b"head.\xfe\xff\xff\xff\x0f", b"head.\x02a"])
    assert (found["n"].to_pylist(), odd.tolist()) == ([b"", b"a"], [True, False])
    with pytest.raises(TrailingBytes):
        compile_exact(body)(b"head.\x02ab", 5)
