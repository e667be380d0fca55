from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from schemas.record import Record, State, Stream, field
from streams.driver import Driver
from streams.errors import OutOfBounds, Refusal
from streams.processor import fold, transform
from streams.tolerance import Tolerance
from streams.topology import Flow, Topology
from streams.validation import validate


class Tick(Record, stream=Stream("toy.event.tick", "place", "at_ms", "me")):
    """Something happens at a place."""

    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.", le=9)


class Tock(Tick, stream=Stream("toy.feature.tock", "place", "at_ms", "me")):
    """It was heard."""


class Heap(State):
    """What was heard, changed in place."""

    amount: int = field("How much.")


@transform(reads=Tick, writes=Tock)
def hears(tick: Tick) -> Iterable[Tock]:
    """Refuse what is negative."""
    if tick.amount < 0:
        raise Refusal("a tick adds")
    yield Tock(**dict(tick))


def driver(*tolerances: Tolerance, batch_records: int = 1_000) -> Driver:
    flow = Flow("toy", (hears,), tolerances=tolerances)
    return Driver(flow, batch_records=batch_records)


def ticks(*amounts: int) -> list[Record]:
    return [
        Tick.model_construct(place="x", at_ms=at, amount=amount)
        for at, amount in enumerate(amounts)
    ]


def test_flow_that_declares_nothing_tolerates_all() -> None:
    assert len(driver().run(ticks(-1, 10, -1, 10)).letters) == 4


@pytest.mark.parametrize(
    ("tolerance", "amounts", "letters"),
    [
        (Tolerance(2, 5), (-1, 1, -1, 1, 1, -1, 1, -1), 4),
        (Tolerance(1, 3, Refusal), (10, -1, 10, 1, -1, 10), 5),
        (Tolerance(0, 9, processor="hears"), (10, 1, 10), 2),
        (Tolerance(0, 9, processor=""), (-1, 1, -1), 2),
        (Tolerance(0, 9, OutOfBounds), (-1, -1), 2),
    ],
)
def test_what_is_tolerated_goes_on(
    tolerance: Tolerance, amounts: tuple[int, ...], letters: int
) -> None:
    ran = driver(tolerance).run(ticks(*amounts))
    assert (ran.paused, len(ran.letters)) == (None, letters)


@pytest.mark.parametrize(
    ("tolerance", "amounts", "text"),
    [
        (Tolerance(2, 5), (-1, 1, 10, 1, -1),
         r"toy\.event\.tick\[0\]@4 \(REFUSED: a tick adds\) is number 3 among the last 5 records; "
         "at most 2 are tolerated"),
        (Tolerance(0, 9, OutOfBounds), (-1, 1, 10), r"toy\.event\.tick\[0\]@2 \(OUT_OF_BOUNDS: .*"),
        (Tolerance(1, 9, processor="hears"), (10, -1, 10, -1), r"toy\.event\.tick\[0\]@3 .*"),
    ],
)  # fmt: skip
def test_one_too_many_is_the_last_before_a_pause(
    tolerance: Tolerance, amounts: tuple[int, ...], text: str
) -> None:
    ran = driver(tolerance).run(ticks(*amounts, 5, -1, 5))
    assert ran.paused is not None
    assert re.fullmatch(f"dead letter of {text}", ran.paused)
    assert ran.committed == {0: [len(amounts), 0, 0]}
    ran.resume()
    assert [tock.amount for tock in ran.read(Tock)][-2:] == [5, 5]
    assert len(ran.letters) == sum(not 0 <= amount < 10 for amount in (*amounts, -1))


@pytest.mark.parametrize("batch_records", [1, 2, 1_000])
def test_letters_of_a_fold_in_place_count_though_each_rolls_its_batch_back(
    batch_records: int,
) -> None:
    @fold(reads=Tick, writes=(), state=Heap, key="place", in_place=True)
    def heaps(state: Heap | None, tick: Tick) -> tuple[Heap, list[Record]]:
        state = state or Heap(amount=0)
        state.amount += tick.amount
        if tick.amount < 0:
            raise Refusal("half done")
        return state, []

    def heaping() -> Driver:
        flow = Flow("toy", (heaps,), tolerances=(Tolerance(2, 9),))
        return Driver(flow, batch_records=batch_records)

    assert heaping().run(ticks(-1, 1, -1, 1)).paused is None
    ran = heaping().run(ticks(-1, 1, -1, 1, -1, 1))
    assert ran.paused is not None
    assert "[0]@4 (REFUSED: half done) is number 3 among the last 9" in ran.paused
    assert (len(ran.letters), ran.committed) == (3, {0: [5, 0, 0]})


def test_redriven_letters_do_not_count() -> None:
    ran = driver(Tolerance(3, 4)).run(ticks(-1, -1, -1))
    ran.redrive(*ran.letters)
    assert [letter.cause.attempts for letter in ran.letters] == [1, 1, 1, 2, 2, 2]


def test_tolerance_that_means_nothing_is_a_fault_of_the_topology() -> None:
    flow = Flow("toy", (hears,), tolerances=(Tolerance(1, 9, processor="sees"), Tolerance(9, 9)))
    assert validate(Topology({"toy": flow})) == [
        "flow toy tolerates letters of 'sees', which it lacks",
        "flow toy tolerates 9 letters among 9 records; fewer letters than records were expected",
    ]
