"""What only others write, or raise: it may not end a worker."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from schemas.record import Record, Stream, field
from streams.clients import stored_of
from streams.codec import Codec, MemoryRegistry
from streams.dead_letter import letter_of
from streams.errors import OutOfBounds
from streams.merge import Stored


class Share(Record, stream=Stream("toy.event.share", "key", "at_ms", "me")):
    """A share; its validator divides by what may be nought."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    parts: int = field("Of how many.")

    @pydantic.field_validator("parts")
    @classmethod
    def _divides(cls, parts: int) -> int:
        return int(parts * (1 / parts) * parts)


class Fetched:
    """A record that was fetched."""

    def headers(self) -> Any:
        return [("none", None), ("some", b"x")]

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000


class Odd(Fetched):
    """One whose header has a name that is no text."""

    def headers(self) -> Any:
        raise SystemError from UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_header_whose_name_is_no_text_is_left_out() -> None:
    assert stored_of(Odd()) == Stored(7, b"k", b"v", {}, 1_000)


def test_header_that_is_null_is_empty() -> None:
    assert stored_of(Fetched()) == Stored(7, b"k", b"v", {"none": b"", "some": b"x"}, 1_000)


def test_attempts_that_are_no_number_of_ours_are_none() -> None:
    headers = {"error.attempt": b"9" * 5_000, "error.record": b"toy.event.share[0]@5"}
    letter = letter_of("toy.dead_letter", 0, Stored(3, None, b"v", headers, 1_000))
    assert (letter.id, letter.cause.attempts) == ("toy.dead_letter[0]@3", 1)


def test_what_a_validator_raises_is_the_records_fault() -> None:
    codec = Codec(Share, "toy.event.share-value", MemoryRegistry())
    good = codec.encode(Share(key="k", at_ms=1, parts=2))
    with pytest.raises(OutOfBounds, match="ZeroDivisionError"):
        codec.decode(good[:-1] + b"\x00")
