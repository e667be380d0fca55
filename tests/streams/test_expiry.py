"""Many deadlines at once: what expires before one record may take more than one transaction."""

from __future__ import annotations

import pytest

from schemas.record import Record, Stream, field
from streams.driver import APPENDED_MS, CRASH, Driver
from streams.plan import INTERNAL_AHEAD_MS
from streams.processor import Clock, Processor, fold
from streams.timers import NEVER
from streams.topology import Flow
from tests.streams.replayed import held, redone

OPEN_MS = 100


class Visit(Record, stream=Stream("shop.event.visit", "town", "at_ms", "me", unique="name")):
    """Somebody comes in."""

    name: str = field("Name.")
    town: str = field("Town.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Left(Record, stream=Stream("shop.feature.left", "town", "at_ms", "me")):
    """Somebody has left."""

    town: str = field("Town.")
    name: str = field("Name.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Tally(Record, stream=Stream("shop.signal.tally", "town", "at_ms", "me")):
    """How many have left within a while."""

    town: str = field("Town.")
    at_ms: int = field("When.", unit="ms", ge=0)
    count: int = field("How many.", ge=0)


class Guest(Record):
    """Who is in."""

    town: str = field("Town.")
    name: str = field("Name.")


class Count(Record):
    """How many have left."""

    town: str = field("Town.")
    count: int = field("How many.", ge=0)


def processors() -> tuple[Processor, Processor]:
    @fold(reads=Visit, writes=Left, state=Guest, key="name", expires=OPEN_MS)
    def guests(state: Guest | None, visit: Visit) -> tuple[Guest, list[Left]]:
        return Guest(town=visit.town, name=visit.name), []

    @guests.expired
    def leave(state: Guest, at_ms: int) -> list[Left]:
        return [Left(town=state.town, name=state.name, at_ms=at_ms)]

    @fold(reads=Left, writes=Tally, state=Count, key="town", expires=2)
    def tallies(state: Count | None, left: Left) -> tuple[Count, list[Tally]]:
        return Count(town=left.town, count=1 + (state.count if state else 0)), []

    @tallies.expired
    def tell(state: Count, at_ms: int) -> list[Tally]:
        return [Tally(town=state.town, at_ms=at_ms, count=state.count)]

    return guests, tallies


def ran(batch_records: int, crash: bool = False) -> Driver:
    """Ten guests, of whom some leave at once; then a visit long after, a second time as well."""
    items: list[object] = [
        Visit(name=f"n{n}", town="x", at_ms=at)
        for n, at in enumerate([0, 0, 0, 0, 0, 1, 1, 4, 6, 9])
    ]
    late = Visit(name="late", town="x", at_ms=10_000)
    items += [CRASH] * crash + [late] + [CRASH] * crash + [late, Clock(30_000)]
    return Driver(Flow("shop", processors()), batch_records=batch_records).run(items)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("batch_records", [1, 4, 1_000])
@pytest.mark.parametrize("expired_max", [1, 2, 3, 7])
def test_cut_expiry_writes_what_an_uncut_one_does(
    monkeypatch: pytest.MonkeyPatch, expired_max: int, batch_records: int, crash: bool
) -> None:
    uncut = ran(1_000)
    assert [(t.at_ms, t.count) for t in uncut.read(Tally)] == [
        (102, 7),
        (106, 2),
        (111, 1),
        (10_102, 1),
    ]
    monkeypatch.setattr("streams.unit.EXPIRED_MAX", expired_max)
    cut = ran(batch_records, crash)
    for record in (Left, Tally):
        assert cut.read(record) == uncut.read(record)
        assert cut.origins(record) == uncut.origins(record)
    assert [letter.error for letter in cut.letters] == ["DUPLICATE"]


@pytest.mark.parametrize(("expired_max", "transactions"), [(100, 1), (7, 2), (2, 5)])
def test_transaction_may_end_before_all_has_expired(
    monkeypatch: pytest.MonkeyPatch, expired_max: int, transactions: int
) -> None:
    monkeypatch.setattr("streams.unit.EXPIRED_MAX", expired_max)
    assert len(held(ran(1_000))["shop-journal"]) == transactions


@pytest.mark.parametrize("batch_records", [1, 4])
def test_replay_of_the_journal_cuts_where_it_was_cut(
    monkeypatch: pytest.MonkeyPatch, batch_records: int
) -> None:
    monkeypatch.setattr("streams.unit.EXPIRED_MAX", 2)
    driver = ran(batch_records)
    assert redone(driver) == held(driver)


class Far(Record, stream=Stream("shop.event.far", "town", "at_ms", "me", ahead_hours_max=1 << 62)):
    """Somebody comes in, at any time that a long can hold."""

    town: str = field("Town.")
    at_ms: int = field("When.", unit="ms", ge=0)


@pytest.mark.parametrize("at_ms", [NEVER - 1, NEVER, NEVER + 1, (1 << 63) - 1])
def test_time_may_be_moved_beyond_all_deadlines(at_ms: int) -> None:
    @fold(reads=Far, writes=(), state=Guest, key="town", expires=OPEN_MS)
    def fars(state: Guest | None, far: Far) -> tuple[Guest, list[Record]]:
        return Guest(town=far.town, name=""), []

    visit, far = Visit(name="a", town="x", at_ms=0), Far(town="x", at_ms=at_ms)
    ran = Driver(Flow("shop", (*processors(), fars)), batch_records=1).run([visit, far])
    ran.crash()
    ran.run([Visit(name="b", town="x", at_ms=0), far])
    assert [(tally.at_ms, tally.count) for tally in ran.read(Tally)] == [(102, 1)]
    assert ran.letters == []


def test_clock_may_be_moved_beyond_all_deadlines() -> None:
    ran = Driver(Flow("shop", processors()))
    last = APPENDED_MS + INTERNAL_AHEAD_MS
    ran.run([Visit(name="a", town="x", at_ms=0), Clock(last), Clock(last + 1)])
    assert [(tally.at_ms, tally.count) for tally in ran.read(Tally)] == [(102, 1)]
    assert [letter.error for letter in ran.letters] == ["FUTURE_EVENT"]
