"""The compiled decoder takes nothing that the slow way refuses, and makes the same records."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pydantic
import pytest

from schemas.flights import Arrival, Departure, Weather
from schemas.record import Record, Stream, field
from streams import compiled_decoder
from streams.codec import Codec, MemoryRegistry
from streams.compiled_decoder import KNOWN_MAX, Unlike, unlike
from streams.errors import DataError
from streams.varint import encode_long

DEPARTURE = Departure(
    flight_id="2013-01-31.UA.1545.EWR",
    origin="EWR",
    departed_ms=1_359_637_020_000,
    delay_minutes=-3.0,
    destination="IAH",
    carrier="UA",
    tail="N14228",
    distance=1_400.0,
    scheduled_departure_ms=1_359_637_200_000,
    scheduled_arrival_ms=1_359_651_540_000,
    departure_minute=480,
    weekday=3,
    year_day=31,
)
ARRIVAL = Arrival(
    flight_id="2013-01-31.UA.1545.EWR",
    origin="EWR",
    arrived_ms=1_359_652_200_000,
    delay_minutes=None,
    diverted=True,
    destination="IAH",
    carrier="UA",
    departure_minute=59,
)
WEATHER = Weather(origin="JFK", observed_ms=1_357_020_000_000, temperature=-4.5, pressure=1_012.0)


class Late(Record, stream=Stream("toy.event.late", "key", "at_ms", "me")):
    """An instant at the very end, which may be short."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")


class Numbers(Record, stream=Stream("toy.event.numbers", "key", "at_ms", "me")):
    """Numbers with other bounds than flights have."""

    key: str = field("Key.", max_length=70)
    at_ms: int = field("When.", unit="ms")
    even: int = field("Even.", multiple_of=2)
    open: float = field("More than 1.", unit="1", gt=1)
    free: float = field("Anything finite.", unit="1")


NUMBERS = Numbers(key="k" * 63, at_ms=-(1 << 63), even=4, open=1.5, free=-0.0)


def codec_of(record: Record) -> Codec:
    assert record.stream is not None
    codec = Codec(type(record), record.stream.subject, MemoryRegistry())
    codec.register()
    return codec


def mutations(value: bytes) -> Iterator[bytes]:
    """The value cut at each byte, with each byte changed to each other one, and with more."""
    for at in range(len(value)):
        yield value[:at]
        for byte in range(256):
            yield value[:at] + bytes([byte]) + value[at + 1 :]
        yield value[:at] + b"\x80" + value[at:]
    yield value + b"\x00"


def outcome(decode: Callable[[bytes], Any], value: bytes) -> Any:
    """The record, or None if it is refused."""
    try:
        return decode(value)
    except Exception:
        return None


def mistakes(codec: Codec, value: bytes) -> int:
    """Values near to one that both ways take differently; there are some that both take."""
    wrong = taken = 0
    for mutation in mutations(value):
        found = outcome(codec.decode_compiled, mutation)
        if found is not None:
            taken += 1
            wrong += found != outcome(codec._decode_carefully, mutation)
    assert taken, "else nothing was compared"
    return wrong


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(
    "record", [DEPARTURE, ARRIVAL, WEATHER, NUMBERS], ids=lambda r: r.stream.topic
)
def test_nothing_near_a_record_is_taken_that_the_slow_way_refuses(record: Record) -> None:
    codec = codec_of(record)
    value = codec.encode(record)
    assert codec.decode_compiled(value) == record
    assert mistakes(codec, value) == 0


def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_decoder._Text, "_bounds", lambda *_: [])


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_decoder, "_TEXTS", {})
    monkeypatch.setattr(compiled_decoder, "text_checker", lambda *_: str)


def overlong(monkeypatch: pytest.MonkeyPatch) -> None:
    def long(value: bytes, at: int) -> tuple[int, int]:
        end = next(i for i in range(at, len(value)) if value[i] < 128) + 1
        left = sum((b & 127) << 7 * i for i, b in enumerate(value[at:end]))
        return left >> 1 ^ -(left & 1), end

    monkeypatch.setattr(compiled_decoder, "_long", long)


@pytest.mark.parametrize("breaks", [unbounded, unchecked, overlong])
def test_a_broken_compiled_decoder_is_found(
    breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    codec = codec_of(DEPARTURE)
    assert mistakes(codec, codec.encode(DEPARTURE)) > 0


def test_a_record_is_like_one_that_pydantic_made() -> None:
    codec = codec_of(ARRIVAL)
    found, made = (
        codec.decode_compiled(codec.encode(ARRIVAL)),
        codec._decode_carefully(codec.encode(ARRIVAL)),
    )
    assert (found, hash(found), repr(found)) == (made, hash(made), repr(made))
    assert (found.model_dump(), found.model_fields_set) == (
        made.model_dump(),
        made.model_fields_set,
    )
    assert pickle.loads(pickle.dumps(found)) == made  # our own bytes, made just now
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        found.diverted = False
    later = found.model_copy(update={"weekday": 1})
    assert codec.decode_compiled(codec.encode(ARRIVAL)).model_fields_set == made.model_fields_set
    assert later.model_fields_set == found.model_fields_set, "a record has all its fields"
    assert vars(Record)["_value"].__get__(found) == codec.encode(made)


def test_texts_and_instants_are_remembered_up_to_a_limit() -> None:
    codec = codec_of(ARRIVAL)
    for number in range(KNOWN_MAX + 10):
        changes = {
            "flight_id": f"2013-01-31.U{number % 10}.{number // 10}.EWR",
            "arrived_ms": ARRIVAL.arrived_ms + number,
        }
        record = ARRIVAL.model_copy(update=changes)
        assert codec.decode(codec.encode(record)) == record
    sizes = [len(known) for known, _ in compiled_decoder._TEXTS.values()]
    assert max(sizes) <= KNOWN_MAX


class Nested(Record, stream=Stream("toy.event.nested", "key", "at_ms", "me")):
    """A field that is not plain."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")
    counts: list[int] = field("Counts.", default=[])


class Validated(Record, stream=Stream("toy.event.validated", "key", "at_ms", "me")):
    """A class that checks more than its fields."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Validated:
        if self.key == "z":
            raise ValueError("not z")
        return self


class Marked(Record, stream=Stream("toy.event.annotated", "key", "at_ms", "me")):
    """A field that checks itself, also when it is null."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")
    mark: Annotated[int | None, pydantic.AfterValidator(lambda mark: mark or 7)] = field(
        "Mark.", default=7
    )


@pytest.mark.parametrize("kind", [Nested, Validated, Marked])
def test_what_is_not_plain_goes_the_slow_way(kind: type[Record]) -> None:
    record: Any = kind(key="a", at_ms=1)
    codec = codec_of(record)
    assert codec.decode_compiled is unlike
    assert codec.decode(codec.encode(record)) == record
    with pytest.raises(Unlike):
        unlike(b"")
    if isinstance(record, Validated):
        with pytest.raises(DataError, match="not z"):
            codec.decode(codec.prefix + b"\x02z" + encode_long(1))


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("at_ms", [0, -1, 63, 64, -65, 8_191, 8_192, 1 << 33, 1 << 34, 1 << 41])
def test_instant_of_any_length_is_read(at_ms: int) -> None:
    codec = codec_of(NUMBERS)
    record = NUMBERS.model_copy(update={"at_ms": at_ms})
    value = codec.encode(record)
    for _ in range(2):  # the second time it is known
        assert codec.decode_compiled(value) == record
    assert mistakes(codec, value) == 0
    late = Late(key="a", at_ms=at_ms)
    codec = codec_of(late)
    assert codec.decode_compiled(codec.encode(late)) == late
