"""What is checked of an event besides its bytes."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.record import Record, Stream, field
from streams.driver import APPENDED_MS, Driver
from streams.processor import transform
from streams.topology import Flow


class Hop(Record, stream=Stream("toy.event.hop", "key", "at_ms", "me")):
    """An event whose time has no bounds of its own."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")


class Seen(Record, stream=Stream("toy.feature.seen", "key", "at_ms", "me")):
    """A hop that was taken."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")


@transform(reads=Hop, writes=Seen)
def see(hop: Hop) -> Iterator[Seen]:
    yield Seen(key=hop.key, at_ms=hop.at_ms)


def test_event_time_begins_in_1970_and_ends_a_day_ahead_of_its_append() -> None:
    latest = APPENDED_MS + 24 * 3_600_000
    times = [-1, -(2**63), 0, latest, latest + 1, 2**63 - 1]
    ran = Driver(Flow("toy", (see,))).run([Hop(key="a", at_ms=at_ms) for at_ms in times])
    assert [seen.at_ms for seen in ran.read(Seen)] == [0, latest]
    refused = [letter.headers["error.class"].decode() for letter in ran.dead_letters]
    assert refused == ["OUT_OF_BOUNDS", "OUT_OF_BOUNDS", "FUTURE_EVENT", "FUTURE_EVENT"]
    text = b"at_ms is -1; event time begins in 1970"
    assert ran.dead_letters[0].headers["error.message"] == text
