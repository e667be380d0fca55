"""Finding a record by its id.

An offset is a place. The number n of a derived record is none, as transactions and aborts consume
offsets; but within a partition both grow together, and so does the version of a model that answers
there. So a number is searched: by interpolation between places that are known, and by halves where
that does not lead there soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from streams.errors import NotFound, StreamsError
from streams.lineage import DERIVED, FOREIGN, HEADER, Reference, header_number
from streams.merge import Stored
from streams.restore import Log

BLOCK_OFFSETS = 64  # read at once, and kept
BLOCKS_MAX = 4_096
SKIPPED_MAX = 256  # blocks in which nothing is numbered, before the rest is taken to be so
INTERPOLATED_MAX = 6  # guesses, before the rest is halved
ID = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]+)\[(?P<partition>\d{1,9})\](?P<mark>[@#])(?P<n>\d{1,18})"
)

Numbering = Callable[[Stored], int | None]


class BadId(StreamsError):
    """A text that is no id."""


class BoundedLog(Log, Protocol):
    """A log that says where its partitions begin and end."""

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that retention has left, and the one after the last; NotFound."""


def parse_id(text: str, prefix: str = "") -> Reference:
    """Read an id; a namespace before it may stay.

    >>> parse_id("flights.event.arrival[0]@17").number
    17
    """
    match = ID.fullmatch(text.strip())
    if match is None:
        raise BadId(
            f"{text!r} is no id: topic[partition]#n or topic[partition]@offset was expected"
        )
    kind = DERIVED if match["mark"] == "#" else FOREIGN
    topic = match["topic"].removeprefix(prefix)
    return Reference(topic, int(match["partition"]), kind, int(match["n"]))


def number_of(stored: Stored) -> int | None:
    """The n of a derived record; None for one of somebody else, as is a number that is larger than
    the offset.
    """
    try:
        n = header_number(stored.headers.get(HEADER, b""))
    except ValueError:
        return None
    return n if n <= stored.offset else None


class Finder:
    """Finds records in a log as it was when the finder first looked at a partition."""

    def __init__(self, log: BoundedLog, prefix: str = "") -> None:
        self._prefix = prefix
        self._bounds = lru_cache(None)(log.bounds)

        def block(topic: str, partition: int, number: int) -> list[Stored]:
            first, end = self._bounds(topic, partition)
            start = max(number * BLOCK_OFFSETS, first)
            stop = min((number + 1) * BLOCK_OFFSETS, end)
            return list(log.records(topic, partition, start, stop))

        self._block = lru_cache(BLOCKS_MAX)(block)

    def find(self, reference: Reference) -> Stored:
        """The record of an id. NotFound says what is there instead."""
        topic, partition, wanted = reference.topic, reference.partition, reference.number
        first, end = self._bounds(self._prefix + topic, partition)
        if reference.kind == DERIVED:
            found = self.first(topic, partition, number_of, wanted)
            if found is not None and number_of(found) == wanted:
                return found
        elif first <= wanted < end:
            block = self._block(self._prefix + topic, partition, wanted // BLOCK_OFFSETS)
            for stored in block:
                if stored.offset == wanted:
                    return stored
        raise NotFound(f"{reference} is not there: {self._instead(reference, first, end)}")

    def first(self, topic: str, partition: int, number: Numbering, least: int) -> Stored | None:
        """The first record whose number is at least so high; numbers must not fall on the way."""
        name = self._prefix + topic
        first, end = self._bounds(name, partition)
        low, high = first // BLOCK_OFFSETS, (end - 1) // BLOCK_OFFSETS
        below: tuple[int, int] | None = None  # a block, and a number in it that is too low
        above: tuple[int, int] | None = None
        found: Stored | None = None
        tries = 0
        while low <= high:
            at = _guess(low, high, below, above, least, tries)
            tries += 1
            last, numbered = at, self._numbered(name, partition, at, number)
            while not numbered and last < min(high, at + SKIPPED_MAX):  # ends of transactions
                last += 1
                numbered = self._numbered(name, partition, last, number)
            if not numbered:
                high = at - 1
            elif (most := max(n for n, _ in numbered)) < least:
                low, below = last + 1, (last, most)
            else:
                found = next(stored for n, stored in numbered if n >= least)
                if numbered[0][0] < least:
                    break
                high, above = at - 1, (at, numbered[0][0])
        return found

    def _numbered(
        self, name: str, partition: int, block: int, number: Numbering
    ) -> list[tuple[int, Stored]]:
        records = self._block(name, partition, block)
        return [(n, stored) for stored in records if (n := number(stored)) is not None]

    def _instead(self, reference: Reference, first: int, end: int) -> str:
        place = f"{reference.topic}[{reference.partition}]"
        if first >= end:
            return f"{place} is empty"
        if reference.kind == DERIVED:
            return self._other_number(reference, place)
        if reference.number < first:
            return f"retention has left {place} from @{first} on"
        if reference.number >= end:
            return f"{place} ends before @{end}"
        return "that offset holds the end of a transaction, or its record was compacted away"

    def _other_number(self, reference: Reference, place: str) -> str:
        oldest = self.first(reference.topic, reference.partition, number_of, 0)
        if oldest is None:
            return f"no record of {place} has a number; those of others are called {place}@OFFSET"
        lowest = number_of(oldest)
        assert lowest is not None, "a record that was found by its number has one"
        if reference.number < lowest:
            return f"retention has left {place} from #{lowest} on"
        if self.first(reference.topic, reference.partition, number_of, reference.number) is None:
            return f"{place} has not come so far yet"
        return "it was compacted away"


def _guess(
    low: int,
    high: int,
    below: tuple[int, int] | None,
    above: tuple[int, int] | None,
    least: int,
    tries: int,
) -> int:
    """The block to look at next: both ends first, whose numbers are kept for the next search."""
    if below is None:
        return low
    if above is None:
        return high
    if tries > INTERPOLATED_MAX:
        return (low + high) // 2
    (left, fewer), (right, more) = below, above
    guess = left + (least - fewer) * (right - left) // max(more - fewer, 1)
    return min(max(guess, low), high)
