"""What is too large, or cannot be written, is said when it is made: nobody could read it later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams.codec import LARGE_BYTES_MAX, VALUE_BYTES_MAX
from streams.dead_letter import COPIED_BYTES_MAX
from streams.driver import Driver
from streams.errors import Unwritable
from streams.processor import Processor, fold, transform
from streams.topology import Flow


class Tick(Record, stream=Stream("toy.event.tick", "place", "at_ms", "me")):
    """Something happens at a place."""

    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    size: int = field("Characters of what comes of it.", default=1)


class Note(Record, stream=Stream("toy.feature.note", "place", "at_ms", "me")):
    """What came of it."""

    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    text: str = field("As many characters as were asked for.")


class Kept(Record):
    """What is remembered of a place."""

    at_ms: int = field("When.")
    text: str = field("A text.")


@transform(reads=Tick, writes=Note)
def notes(record: Tick) -> Iterable[Note]:
    """Write as much as was asked for."""
    yield Note(place=record.place, at_ms=record.at_ms, text="a" * record.size)


def driver(processor: Processor) -> Driver:
    return Driver(Flow("toy", (processor,)))


def tick(at_ms: int, size: int = 1) -> Tick:
    return Tick(place="x", at_ms=at_ms, size=size)


def test_letter_of_a_value_that_is_too_large_to_copy_says_where_it_lies() -> None:
    ran = driver(notes)
    ran.publish_raw("toy.event.tick", b"x", bytes(COPIED_BYTES_MAX))
    ran.publish_raw("toy.event.tick", b"x", bytes(COPIED_BYTES_MAX - 1))
    ran.run([tick(0)])
    left, copied = ran.letters
    assert [(letter.error, letter.cause.origin) for letter in (left, copied)] == [
        ("TOO_LARGE", "toy.event.tick[0]@0"),
        ("TOO_LARGE", "toy.event.tick[0]@1"),
    ]
    assert (left.key, left.value) == (None, None)
    assert left.text.startswith(
        "its 8,000,001 bytes are too many for a letter and left at toy.event.tick[0]@0: "
    )
    assert (copied.key, len(copied.value or b"")) == (b"x", COPIED_BYTES_MAX - 1)


def test_output_that_no_reader_would_take_is_the_dead_letter_of_its_record() -> None:
    ran = driver(notes).run([tick(0, 10), tick(1, VALUE_BYTES_MAX), tick(2, 20)])
    assert [len(note.text) for note in ran.read(Note)] == [10, 20]
    [letter] = ran.letters
    assert (letter.error, letter.cause.origin) == ("TOO_LARGE", "toy.event.tick[0]@1")
    assert letter.text == ("notes wrote 1,000,011 bytes to toy.feature.note; at most 1,000,000 fit")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"text": 7}, "TypeError"),
        ({"at_ms": 1 << 64}, "OverflowError"),
        ({"text": "a" * LARGE_BYTES_MAX}, "has 8,000,010 bytes; at most 8,000,000 fit"),
    ],
)
def test_state_that_the_changelog_does_not_take_is_named(state: dict[str, Any], why: str) -> None:
    @fold(reads=Tick, writes=Note, state=Kept, key="place")
    def spoils(before: Kept | None, record: Tick) -> tuple[Kept, list[Note]]:
        return Kept(at_ms=0, text="").model_copy(update=state), [Note(at_ms=0, place="x", text="")]

    ran = driver(spoils)
    with pytest.raises(Unwritable, match=f"^spoils/.*/x.*{why}"):
        ran.run([tick(0)])
    assert ran.read(Note) == [], "nothing of a transaction that cannot end"
