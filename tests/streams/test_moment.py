"""A batch must end by its age, however slow its records are."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from streams import moment
from streams.merge import Input, Merge, Stored
from streams.moment import LOOK_NS, take_for_a_moment

NO_LIMIT = 1_000_000


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a moment be as long as it takes."""
    monkeypatch.setattr(moment, "LOOK_NS", 60_000_000_000)


def merge_of(count: int) -> Merge:
    merge = Merge([count], [0], lambda source, s: Input(source, s.offset, 0, s, None, None, 0))
    for offset in range(count):
        merge.push(0, Stored(offset, None, None, {}))
    return merge


class Slow:
    """A unit whose every record takes some time and writes ten bytes."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.bytes_out = 0
        self.letters = SimpleNamespace(excess=None)
        self.straight: dict[int, Any] = {}
        self.seen: list[int] = []

    def take(self, item: Input) -> bool:
        time.sleep(self.seconds)
        self.bytes_out += 10
        self.seen.append(item.offset)
        return True


def take(unit: Any, merge: Merge, most: int = NO_LIMIT, bytes_max: int = NO_LIMIT) -> int:
    return take_for_a_moment(unit, merge, most, bytes_max)


def test_slow_records_are_taken_one_by_one() -> None:
    merge = merge_of(9)
    assert take(Slow(seconds=LOOK_NS / 1e9), merge) == 1
    assert merge.queued == 7, "one is taken, one is the head"


@pytest.mark.usefixtures("patient")
def test_records_are_taken_until_a_limit_is_reached() -> None:
    merge, unit = merge_of(9), Slow()
    assert take(unit, merge, most=3) == 3
    assert take(unit, merge, bytes_max=50) == 2
    unit.letters.excess = "too many dead letters"
    assert take(unit, merge) == 1
    unit.letters.excess = None
    assert take(unit, merge) == 3
    assert unit.seen == list(range(9))
    assert take(unit, merge) == 0


@pytest.mark.usefixtures("patient")
def test_record_that_is_to_be_given_again_stays() -> None:
    merge, unit = merge_of(2), Slow()
    unit.take = lambda item: False  # type: ignore[method-assign]
    assert take(unit, merge) == 0
    del unit.take
    assert take(unit, merge) == 2
    assert unit.seen == [0, 1]
