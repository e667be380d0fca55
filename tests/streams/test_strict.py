"""Open topics are decoded strictly, whoever wrote, by whichever schema; derived ones are fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams import codec as codecs
from streams.codec import Codec, MemoryRegistry, decode_any
from streams.errors import (
    DataError,
    OutOfBounds,
    TooLarge,
    TrailingBytes,
    Truncated,
    Undecodable,
    UnknownSchema,
    UnsafeSchema,
)
from streams.exact import VALUES_MAX
from streams.varint import encode_long

SUBJECT = "toy.event.hop-value"


class Hop(Record, stream=Stream("toy.event.hop", "key", "at_ms", "me")):
    """An event that anybody may write."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    far: bool = field("Far.", default=False)
    high: float | None = field("Height.", unit="m", default=None)
    stops: list[int] = field("Stops.", default=[])


class Landing(Record, stream=Stream("toy.feature.landing", "key", "at_ms", "me")):
    """A record that only a processor writes."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    far: bool = field("Far.", default=False)
    high: float | None = field("Height.", unit="m", default=None)
    stops: list[int] = field("Stops.", default=[])


def codec_of(record: type[Record], registry: MemoryRegistry | None = None) -> Codec:
    codec = Codec(record, f"{record.stream.topic}-value", registry or MemoryRegistry())  # type: ignore[union-attr]
    codec.register()
    return codec


HEAD = b"\x02a\x02"  # key a, at 1 ms
GOOD = HEAD + b"\x00\x00\x04\x02\x04\x00"


@pytest.mark.parametrize("record", [Hop, Landing])
@pytest.mark.parametrize(
    "body",
    [GOOD, HEAD + b"\x00\x00\x03\x04\x02\x04\x00", HEAD + b"\x00\x00\x02\x02\x02\x04\x00"],
    ids=["one block", "a block with its size", "two blocks"],
)
def test_every_legal_form_of_a_record_is_taken(record: type[Record], body: bytes) -> None:
    codec = codec_of(record)
    assert codec.decode(codec.prefix + body) == record(key="a", at_ms=1, stops=[1, 2])


@pytest.mark.parametrize(
    ("body", "error", "text", "as_derived"),
    [
        (HEAD + b"\x07\x00\x00", Undecodable, "byte 8: a boolean of 7; 0 or 1 was expected", None),
        (HEAD + b"\x00\x01" + b"\x00" * 9, Undecodable, "byte 9: branch -1 of 2", None),
        (HEAD + b"\x00\x00\x02\x80\x00\x00", Undecodable,
         "byte 11: a number that is longer than it need be, or than 64 bits", None),
        (HEAD + b"\x00\x00\x02" + b"\xff" * 9 + b"\x02\x00", Undecodable,
         "byte 11: a number that is longer than it need be, or than 64 bits", None),
        (HEAD + b"\x00\x00\x01\x06\x02\x00", Undecodable,
         "byte 12: a block of 3 bytes that takes 1", None),
        (b"\x02\xff" + GOOD[2:], Undecodable, "byte 5: a text that is no UTF-8: 'utf-8' codec "
         "can't decode byte 0xff in position 0: invalid start byte", Undecodable),
        (b"\x01a" + GOOD[2:], Undecodable, "byte 5: a length of -1", Undecodable),
        (GOOD[:-1], Truncated, "a number begins at 13; the value ends at 13", Truncated),
        (GOOD + b"\x00", TrailingBytes, "it ends at byte 14, the value at 15", TrailingBytes),
        (HEAD + b"\x00\x00" + encode_long(1 << 40) + b"\x00" * 9, Truncated,
         "1099511627776 items are announced at 16; the value is shorter", Truncated),
    ],
)  # fmt: skip
def test_what_avro_forbids_is_refused_of_strangers(
    body: bytes, error: type[DataError], text: str, as_derived: type[DataError] | None
) -> None:
    hop, landing = codec_of(Hop), codec_of(Landing)
    with pytest.raises(error) as caught:
        hop.decode(hop.prefix + body)
    assert (type(caught.value), str(caught.value)) == (error, f"not an Avro Hop: {text}")
    if as_derived is None:  # what only a strict decoder sees; nobody else writes there
        landing.decode(landing.prefix + body)
    else:
        with pytest.raises(as_derived):
            landing.decode(landing.prefix + body)


def test_what_avro_forbids_is_named_before_what_the_record_forbids() -> None:
    codec = codec_of(Hop)
    wrapped = b"\x02a" + b"\xff" * 9 + b"\x02" + GOOD[3:]  # fastavro reads a negative time
    with pytest.raises(Undecodable, match="byte 7: a number that is longer"):
        codec.decode(codec.prefix + wrapped)
    with pytest.raises(OutOfBounds, match="field at_ms"):
        codec.decode(codec.prefix + b"\x02a\x01" + GOOD[3:])


def test_a_large_value_is_counted_before_anything_is_built_from_it() -> None:
    codec = codec_of(Hop)
    full = VALUES_MAX - 5
    for count, body in ((full, True), (full + 1, False), (900_000, False)):
        value = codec.prefix + HEAD + b"\x00\x00" + encode_long(count) + b"\x02" * count + b"\x00"
        if body:
            assert len(codec.decode(value).stops) == count
        else:
            with pytest.raises(TooLarge, match="it holds more than 8192 values"):
                codec.decode(value)


def foreign(registry: MemoryRegistry, *fields: dict[str, Any], **more: Any) -> bytes:
    """The head of a value of another writer of the same subject."""
    schema = {"type": "record", "name": "Hop", "namespace": "toy.event", **more}
    schema["fields"] = list(fields)
    return b"\x00" + registry.schema_id(SUBJECT, schema).to_bytes(4, "big")


def test_an_old_writer_is_read_by_todays_class_and_as_strictly() -> None:
    registry = MemoryRegistry()
    codec = codec_of(Hop, registry)
    head = foreign(
        registry,
        {"name": "gone", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "key", "type": "string"},
        {"name": "at_ms", "type": "int"},  # promoted to long
        {"name": "high", "type": "float"},  # promoted to a nullable double
    )
    uuid = b"\x48" + b"12345678-1234-1234-1234-1234567890ab"
    tail = b"\x02a" + b"\x02" + b"\x00\x00\xc0\x3f"
    assert codec.decode(head + uuid + tail) == Hop(key="a", at_ms=1, high=1.5)
    with pytest.raises(Undecodable, match="an int of 1099511627776, which 32 bits do not hold"):
        codec.decode(head + uuid + b"\x02a" + encode_long(1 << 40) + tail[3:])
    with pytest.raises(OutOfBounds, match="a uuid of 'b'"):
        codec.decode(head + b"\x02b" + tail)


def test_what_is_skipped_of_an_old_writer_is_counted_no_further_than_the_value() -> None:
    registry = MemoryRegistry()
    codec = codec_of(Hop, registry)
    gone = {"name": "gone", "type": {"type": "array", "items": "double"}}
    head = foreign(registry, *codec.schema["fields"][:2], gone)
    assert codec.decode(head + HEAD[:3] + b"\x00").stops == []
    with pytest.raises(Truncated, match="1152921504606846976 items are announced"):
        codec.decode(head + HEAD[:3] + encode_long(1 << 60))  # fastavro would count to the end


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (["null", "Hop"], "Hop holds itself"),
        ({"type": "array", "items": "null"}, "take no byte"),
        ("Missing", "it names Missing"),
    ],
)
def test_an_unsafe_writers_schema_is_a_dead_letter_and_no_crash(kind: Any, text: str) -> None:
    registry = MemoryRegistry()
    codec = codec_of(Hop, registry)
    head = foreign(registry, {"name": "evil", "type": kind})
    value = head + b"\x02" * 100_000
    with pytest.raises(UnsafeSchema, match=text):
        codec.decode(value)
    with pytest.raises(UnsafeSchema, match=text):
        decode_any(registry, value)


class Counting(MemoryRegistry):
    """Counts what it is asked for."""

    asked = 0

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        self.asked += 1
        return super().writer_schema(subject, schema_id)


def test_a_refused_id_is_asked_for_again_after_a_while_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Counting()
    codec = codec_of(Hop, registry)
    now = [1_000.0]
    monkeypatch.setattr(codecs.time, "monotonic", lambda: now[0])
    value = b"\x00\x00\x00\x00\x02" + GOOD

    def refused() -> int:
        with pytest.raises(UnknownSchema):
            codec.decode(value)
        return registry.asked

    assert [refused(), refused()] == [1, 1]
    foreign(registry, *codec.schema["fields"], doc="registered since")
    assert refused() == 1
    now[0] += codecs.REFUSED_S
    assert codec.decode(value) == Hop(key="a", at_ms=1, stops=[1, 2])
    assert registry.asked == 2


def test_lack_of_memory_is_not_the_records_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codec_of(Hop)
    good = codec.encode(Hop(key="a", at_ms=1))
    assert codec.decode(good)

    def exhausted(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(codecs, "_read", exhausted)
    with pytest.raises(MemoryError):
        codec.decode(good)


def mutants() -> list[Callable[[Codec], None]]:
    """Ways to break strictness; each must let something pass that the tests above refuse."""

    def fast(codec: Codec) -> None:
        codec.decode = codec.decode_fast

    def blind(codec: Codec) -> None:
        codec._check = lambda value: None  # type: ignore[method-assign]

    return [fast, blind]


@pytest.mark.parametrize("breaks", mutants(), ids=lambda breaks: breaks.__name__)
def test_a_broken_strict_decoder_is_found(breaks: Callable[[Codec], None]) -> None:
    codec = codec_of(Hop)
    breaks(codec)
    assert codec.decode(codec.prefix + HEAD + b"\x07\x00\x00").far is True
