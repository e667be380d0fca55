from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.derive import avro_schema
from schemas.record import Record, Stream, field
from streams.codec import Codec, MemoryRegistry, decode_any
from streams.errors import (
    DataError,
    EmptyValue,
    OutOfBounds,
    SubjectMismatch,
    TooLarge,
    TrailingBytes,
    Truncated,
    Undecodable,
    UnknownSchema,
    WireFormat,
)
from streams.topology import discover, stream_of

LONG_MAX = 2**63 - 1


class Part(Record):
    """A part of a whole."""

    name: str = field("Name.")
    weight: float | None = field("Weight.", unit="kg", default=None)


class Whole(Record, stream=Stream("toy.event.whole", "key", "at_ms", "me")):
    """One of everything that Avro holds."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")
    share: float = field("Share.", ge=0, le=1, default=0.5)
    good: bool = field("Good.", default=True)
    raw: bytes = field("Raw.", default=b"")
    mood: Literal["calm", "cross"] = field("Mood.", default="calm")
    maybe: str | None = field("Maybe.", default=None)
    part: Part | None = field("A part.", default=None)
    counts: list[int] = field("Counts.", default=[])
    grid: list[list[float]] = field("A grid.", unit="1", default=[])
    parts: dict[str, Part] = field("Parts.", default={})
    names: dict[str, list[str]] = field("Names.", default={})
    holes: list[int | None] = field("Holes.", default=[])


def streams() -> list[type[Record]]:
    topology = discover(["processors", "ops.examples"])
    return [*topology.records.values(), Whole]


def records(kind: type[Record]) -> st.SearchStrategy[Any]:
    """Any record of a class, within its bounds."""
    return st.builds(kind, **{n: values(i.annotation, i) for n, i in kind.model_fields.items()})


def values(kind: Any, info: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotated type within the bounds of its field."""
    parts = get_args(kind)
    bounds = {n: getattr(m, n) for m in info.metadata for n in ("ge", "le") if hasattr(m, n)}
    low, high = bounds.get("ge"), bounds.get("le")
    if get_origin(kind) is Literal:
        return st.sampled_from(parts)
    if get_origin(kind) is list:
        return st.lists(values(parts[0], info), max_size=3)
    if get_origin(kind) is dict:
        return st.dictionaries(st.text(max_size=3), values(parts[1], info), max_size=3)
    if type(None) in parts:
        some = next(part for part in parts if part is not type(None))
        return st.none() | values(some, info)
    if issubclass(kind, Record):
        return records(kind)
    if kind is int:
        return st.integers(
            -LONG_MAX - 1 if low is None else low, LONG_MAX if high is None else high
        )
    if kind is float:
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if kind is str:
        pattern = next((m.pattern for m in info.metadata if getattr(m, "pattern", None)), None)
        if pattern is None:
            return st.text(max_size=20)
        return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(max_codepoint=126))
    return {bool: st.booleans(), bytes: st.binary(max_size=20)}[kind]


def codec_of(kind: type[Record], registry: MemoryRegistry | None = None) -> Codec:
    codec = Codec(kind, stream_of(kind).subject, registry or MemoryRegistry())
    codec.register()
    return codec


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("kind", streams(), ids=lambda kind: kind.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_compiled_encoder_writes_what_fastavro_writes(
    kind: type[Record], data: st.DataObject
) -> None:
    codec = codec_of(kind)
    record = data.draw(records(kind))
    value = codec.encode(record)
    assert value == codec.encode_plainly(record)
    assert codec.decode(value) == record


def test_wire_format_is_a_zero_byte_the_schema_id_and_avro() -> None:
    part = Part(name="b", weight=1.0)
    whole = Whole(key="a", at_ms=-1, part=part, counts=[1], mood="cross")
    value = codec_of(Whole).encode(whole)
    assert value.hex(" ") == (
        "00 00 00 00 01 "  # magic byte, schema id
        "02 61 "  # key
        "01 "  # at_ms
        "00 00 00 00 00 00 e0 3f "  # share
        "01 "  # good
        "00 "  # raw
        "0a 63 72 6f 73 73 "  # mood
        "00 "  # maybe
        "02 02 62 02 00 00 00 00 00 00 f0 3f "  # part
        "02 02 00 "  # counts
        "00 00 00 00"  # grid, parts, names, holes
    )
    assert codec_of(Whole).decode(value) == whole


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (None, EmptyValue, "the value is empty; a record was expected"),
        (b"", EmptyValue, "the value is empty; a record was expected"),
        (b"\x00\x00", WireFormat, "the value begins with 0000; 00 and a schema id were expected"),
        (b'{"a":1}', WireFormat,
         "the value begins with 7b2261223a; 00 and a schema id were expected"),
        (b"\x00" * 1_000_001, TooLarge, "the value has 1000001 bytes; at most 1000000 are taken"),
        (b"\x00\x00\x00\x00\x09a", UnknownSchema, "no schema has the id 9"),
        (b"\x00\x00\x00\x00\x02a", SubjectMismatch,
         "schema id 2 belongs to other-value, not to toy.event.whole-value"),
    ],
)  # fmt: skip
def test_value_that_is_none_of_ours_is_refused(
    value: bytes | None, error: type[DataError], text: str
) -> None:
    registry = MemoryRegistry()
    codec = codec_of(Whole, registry)
    registry.schema_id("other-value", avro_schema(Part))
    with pytest.raises(error) as caught:
        codec.decode(value)
    assert type(caught.value) is error
    assert str(caught.value) == text


def test_every_cut_and_every_tail_is_refused() -> None:
    codec = codec_of(Whole)
    value = codec.encode(Whole(key="a", at_ms=1, counts=[1, 2], maybe="x"))
    for length in range(5, len(value)):
        with pytest.raises(Truncated, match="not an Avro Whole: "):
            codec.decode(value[:length])
    with pytest.raises(TrailingBytes, match="it ends at byte 35, the value at 37"):
        codec.decode(value + b"\x00\x00")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_data_error(body: bytes) -> None:
    codec = codec_of(Whole)
    with suppress(DataError):  # one of those that become a dead letter, whichever it is
        assert isinstance(codec.decode(codec.prefix + body), Whole)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"share": 1.5}, "field share: Input should be less than or equal to 1; it is '1.5'"),
        ({"mood": "sad"}, "field mood: Input should be 'calm' or 'cross'; it is 'sad'"),
    ],
)
def test_broken_bound_is_named(fields: dict[str, Any], text: str) -> None:
    codec = codec_of(Whole)
    broken = Whole.model_construct(**{**dict(Whole(key="a", at_ms=1)), **fields})
    with pytest.raises(OutOfBounds) as caught:
        codec.decode(codec.encode(broken))
    assert str(caught.value) == text


def test_record_of_an_old_schema_is_read_as_one_of_today() -> None:
    declared = Stream("toy.event.thing", "key", "at_ms", "me")

    def of_old() -> Any:
        class Thing(Record, stream=declared):
            """As it was."""

            key: str = field("Key.")
            at_ms: int = field("When.", unit="ms")
            gone: str = field("Dropped since.")

        return Thing

    class Thing(Record, stream=declared):
        """As it is."""

        at_ms: int = field("When.", unit="ms")
        key: str = field("Key.")
        new: float | None = field("Added since.", unit="1", default=None)

    registry = MemoryRegistry()
    before = of_old()
    old, today = codec_of(before, registry), codec_of(Thing, registry)
    value = old.encode(before(key="a", at_ms=7, gone="x"))
    assert value[:5].hex() == "0000000001"
    assert today.decode(value) == Thing(key="a", at_ms=7, new=None)
    assert today.encode(Thing(key="a", at_ms=7))[:5].hex() == "0000000002"


def test_view_decodes_by_the_writers_schema_of_any_subject() -> None:
    registry = MemoryRegistry()
    value = codec_of(Whole, registry).encode(Whole(key="a", at_ms=7))
    assert decode_any(registry, value)["at_ms"] == 7
    with pytest.raises(UnknownSchema):
        decode_any(registry, b"\x00\x00\x00\x00\x07")
    with pytest.raises(Undecodable):
        decode_any(registry, value[:6])
