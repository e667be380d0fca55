from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import NotFound
from streams.finder import BLOCK_OFFSETS, BadId, Finder, number_of, parse_id
from streams.lineage import DERIVED, FOREIGN, HEADER, Reference, pack_header
from streams.merge import Stored

TOPIC = "toy.feature.total"


class GappyLog:
    """A partition in which transactions have left gaps; it counts what is read of it."""

    def __init__(self, offsets: list[int], *, first_n: int = 0, end: int | None = None) -> None:
        self.stored = [
            Stored(offset, b"x", b"v", {HEADER: pack_header(n, bytes(8), b"\x00", 0, b"")})
            for n, offset in enumerate(offsets, first_n)
        ]
        self.first = offsets[0] if first_n else 0
        self.end = (offsets[-1] + 2 if offsets else 0) if end is None else end
        self.reads = 0

    def records(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        self.reads += 1
        end = self.end if stop is None else stop
        assert end <= self.end, "what lies beyond the end would be waited for"
        return (s for s in self.stored if start <= s.offset < end)

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        return reversed(self.stored)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self.first, self.end


def derived(n: int) -> Reference:
    return Reference(TOPIC, 0, DERIVED, n)


def foreign(offset: int) -> Reference:
    return Reference(TOPIC, 0, FOREIGN, offset)


@given(gaps=st.lists(st.sampled_from((1, 1, 1, 2, 3, BLOCK_OFFSETS, 900)), max_size=60))
def test_every_record_is_found_by_its_number_and_by_its_offset(gaps: list[int]) -> None:
    offsets = [sum(gaps[: i + 1]) - 1 for i in range(len(gaps))]
    finder = Finder(GappyLog(offsets))
    for n, offset in enumerate(offsets):
        assert finder.find(derived(n)).offset == offset
        assert number_of(finder.find(foreign(offset))) == n
    with pytest.raises(NotFound):
        finder.find(derived(len(offsets)))


def test_few_blocks_are_read_of_a_long_partition() -> None:
    batches = range(400)
    log = GappyLog([b * 600 + i for b in batches for i in range(100 + b)])
    finder = Finder(log)
    finder.find(derived(0))
    log.reads = 0
    assert finder.find(derived(60_000)).offset == log.stored[60_000].offset
    assert log.reads <= 14


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (derived(3), r"retention has left toy.feature.total\[0\] from #5 on"),
        (derived(9), r"toy.feature.total\[0\] has not come so far yet"),
        (foreign(3), r"retention has left toy.feature.total\[0\] from @100 on"),
        (foreign(102), "the end of a transaction, or its record was compacted away"),
        (foreign(500), r"toy.feature.total\[0\] ends before @106"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(reference: Reference, reason: str) -> None:
    log = GappyLog([100, 101, 103, 104], first_n=5)
    with pytest.raises(NotFound, match=reason):
        Finder(log).find(reference)


def test_number_that_was_compacted_away_is_told() -> None:
    log = GappyLog([0, 1, 2, 3])
    del log.stored[2]
    with pytest.raises(NotFound, match="#2 is not there: it was compacted away"):
        Finder(log).find(derived(2))


def test_empty_partition_is_told() -> None:
    with pytest.raises(NotFound, match="is empty"):
        Finder(GappyLog([])).find(derived(0))


def test_number_in_a_partition_of_foreign_records_is_told() -> None:
    log = GappyLog([0, 1])
    log.stored = [stored._replace(headers={}) for stored in log.stored]
    with pytest.raises(NotFound, match=r"no record of .* has a number; .*\[0\]@OFFSET"):
        Finder(log).find(derived(1))


def test_first_record_of_a_number_that_is_shared_is_found() -> None:
    log = GappyLog(list(range(300)))
    shared = Finder(log).first(TOPIC, 0, lambda stored: stored.offset // 100, 2)
    assert shared is not None
    assert shared.offset == 200


def test_id_is_read_with_and_without_a_namespace() -> None:
    assert parse_id("twin.toy.event.tick[3]@17", "twin.") == Reference(
        "toy.event.tick", 3, FOREIGN, 17
    )
    assert parse_id(" toy.event.tick[3]#17 ") == Reference("toy.event.tick", 3, DERIVED, 17)


@pytest.mark.parametrize("text", ["", "toy", "toy[0]", "toy[0]17", "toy[x]#1", "toy[0]#1..#2"])
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(BadId, match=r"topic\[partition\]#n or topic\[partition\]@offset"):
        parse_id(text)


def test_forged_number_hides_no_other_record() -> None:
    log = GappyLog([0, 1, 2, 3, 4, 5])
    forged = {HEADER: pack_header(16_383, bytes(8), b"\x00", 0, b"")}
    log.stored[2] = log.stored[2]._replace(headers=forged)
    finder = Finder(log)
    assert [finder.find(derived(n)).offset for n in (0, 1, 3, 4, 5)] == [0, 1, 3, 4, 5]


def test_few_blocks_are_read_where_nothing_is_numbered() -> None:
    log = GappyLog(list(range(100_000)))
    log.stored = [stored._replace(headers={}) for stored in log.stored]
    with pytest.raises(NotFound):
        Finder(log).find(derived(17))
    assert log.reads < 600
