"""The fast path leaves what the plain way leaves, and lets go of whatever is odd."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams import moment, straight, unit
from streams.codec import MemoryRegistry
from streams.errors import ProcessorFault
from streams.intake import intake
from streams.lineage import HEADER, pack_header
from streams.merge import Merge, Stored
from streams.moment import take_for_a_moment
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import fold, transform
from streams.topology import Flow
from streams.unit import NO_LIMIT, Unit
from streams.varint import varint

PARTITION, PARTITIONS = 0, 2
APPENDED_MS = 1_000_000_000
HOURS_24 = 24 * 3_600_000
TOLD = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HERE = [f"k{n}" for n in range(40) if partition_of(f"k{n}", PARTITIONS) == PARTITION]
ELSEWHERE = next(f"k{n}" for n in range(40) if partition_of(f"k{n}", PARTITIONS) != PARTITION)


class Hop(Record, stream=Stream("toy.event.hop", "key", "at_ms", "me")):
    """An event; what it asks for is what comes of it."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")
    asks: str = field("What the transform does.")


class Other(Hop, stream=Stream("toy.event.other", "key", "at_ms", "me")):
    """An event of a second input."""


class Out(Record, stream=Stream("toy.feature.out", "key", "at_ms", "me")):
    """What comes of it."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")


@transform(reads=Hop, writes=Out)
def hop(event: Hop) -> Iterator[Out]:
    if event.asks == "raise":
        raise ValueError("asked to")
    for _ in range({"none": 0, "two": 2}.get(event.asks, 1)):
        key = ELSEWHERE if event.asks == "elsewhere" else event.key
        yield Out(key=key, at_ms=event.at_ms)
    if event.asks == "late":
        raise ValueError("after one was written")


@transform(reads=Hop, writes=Other)
def twice(event: Hop) -> list[Other]:
    return []


class Last(Record):
    """The last that was seen."""

    at_ms: int = field("When.", unit="ms")


@fold(reads=Other, writes=Out, state=Last, key="key", expires=500)
def remember(state: Last | None, event: Other) -> tuple[Last, list[Out]]:
    return Last(at_ms=event.at_ms), []


@remember.expired
def forget(state: Last, deadline_ms: int) -> list[Out]:
    return [Out(key=HERE[0], at_ms=deadline_ms)]


PLAN = Plan(Flow("toy", (hop, remember)), MemoryRegistry())
HOPS, OTHERS = PLAN.codec(Hop), PLAN.codec(Other)


def stored(offset: int, event: Hop, **changed: Any) -> Stored:
    codec = OTHERS if isinstance(event, Other) else HOPS
    return Stored(offset, event.key.encode(), codec.encode(event), {}, APPENDED_MS)._replace(
        **changed
    )


def plain(offset: int, at_ms: int = 5, **said: str) -> Hop:
    return Hop(**{"key": HERE[offset % 3], "at_ms": at_ms, "asks": "one", **said})


ODD: dict[str, Any] = {
    "garbage": lambda n: stored(n, plain(n), value=b"\0garbage"),
    "null": lambda n: stored(n, plain(n), value=None),
    "trailing": lambda n: stored(n, plain(n), value=HOPS.encode(plain(n)) + b"\0"),
    "no key": lambda n: stored(n, plain(n), key=None),
    "other key": lambda n: stored(n, plain(n), key=HERE[5].encode()),
    "other partition": lambda n: stored(n, plain(n, key=ELSEWHERE)),
    "other partition, writes none": lambda n: stored(n, plain(n, key=ELSEWHERE, asks="none")),
    "before 1970": lambda n: stored(n, plain(n, -1)),
    "far ahead": lambda n: stored(n, plain(n, APPENDED_MS + HOURS_24 + 1)),
    "raises": lambda n: stored(n, plain(n, asks="raise")),
    "raises late": lambda n: stored(n, plain(n, asks="late")),
    "writes elsewhere": lambda n: stored(n, plain(n, asks="elsewhere")),
}
USUAL: dict[str, Any] = {
    "one": lambda n: stored(n, plain(n)),
    "none": lambda n: stored(n, plain(n, asks="none")),
    "two": lambda n: stored(n, plain(n, asks="two")),
    "later": lambda n: stored(n, plain(n, APPENDED_MS + HOURS_24)),
    "header": lambda n: stored(
        n, plain(n), headers={HEADER: pack_header(7 * n, bytes(8), b"\0", 0, b"")}
    ),
    "traced": lambda n: stored(n, plain(n, asks="two"), headers={"traceparent": TOLD}),
    "traced, derived": lambda n: stored(
        n,
        plain(n),
        headers={HEADER: pack_header(7 * n, bytes(8), b"\0", 0, b""), "traceparent": TOLD},
    ),
    "header of another": lambda n: stored(n, plain(n), headers={HEADER: b"?", "x": b""}),
}


class Fed:
    """A unit and its merge, after logs of the two event streams; with its fast path or without."""

    def __init__(self, hops: list[Stored], others: list[Stored], *, straight: bool) -> None:
        logs = [hops, others] if PLAN.inputs[0].record is Hop else [others, hops]
        self.unit = Unit(PLAN, PARTITION, PARTITIONS)
        ways = [vars(way) for way in self.unit.straight.values()]
        assert [way["_input"].record for way in ways] == [Hop], "folds have no such way"
        self.runs: list[int] = []
        if straight:
            for way in self.unit.straight.values():
                self._count(way)
        else:
            self.unit.straight = {}
        ends = [max((s.offset + 1 for s in log), default=0) for log in logs] + [0, 0]
        self.merge = Merge(ends, [0] * 4, partial(intake, PLAN, PARTITION, PARTITIONS))
        for source, log in enumerate(logs):
            for one in log:
                self.merge.push(source, one)

    def _count(self, way: Any) -> None:
        take = way.take

        def counted(*arguments: Any) -> int:
            self.runs.append(take(*arguments))
            return self.runs[-1]

        way.take = counted

    def all(self, most: int = NO_LIMIT) -> Any:
        """What all records leave behind, taken so many at a time."""
        while take_for_a_moment(self.unit, self.merge, most, NO_LIMIT):
            pass
        assert not self.merge.queued
        assert not any(self.merge.waiting_bytes)
        unit = self.unit
        counts = [(s.records_in, s.records_out, s.dead_letters) for s in unit.steps]
        left = unit.time_ms, unit.records_in, unit.records_out, unit.bytes_out, counts
        return left, unit.taken.reached, list(unit.flush())


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no moment end before its records are taken, however slow the machine."""
    monkeypatch.setattr(moment, "LOOK_NS", 60_000_000_000)


def same(hops: list[Stored], others: list[Stored] | None = None, most: int = NO_LIMIT) -> Fed:
    fast = Fed(hops, others or [], straight=True)
    assert fast.all(most) == Fed(hops, others or [], straight=False).all()
    return fast


def test_usual_records_are_taken_in_one_run() -> None:
    hops = [make(n) for n, make in enumerate([USUAL["one"], *USUAL.values(), USUAL["one"]])]
    assert same(hops).runs == [9]


@pytest.mark.parametrize("name", ODD)
def test_run_ends_before_an_odd_record(name: str) -> None:
    usual = USUAL["one"]
    hops = [make(n) for n, make in enumerate([usual, usual, ODD[name], usual, usual])]
    assert same(hops).runs == [1, 2], "what is odd becomes the head, from which the next run begins"


def test_offsets_with_gaps_are_told_as_they_are() -> None:
    assert same([USUAL["one"](n * n) for n in range(9)]).runs == [8]


def test_run_ends_before_what_expires_first_and_where_another_input_has_records() -> None:
    first = Other(key=HERE[0], at_ms=3, asks="")
    hops = [stored(n, plain(n, at_ms)) for n, at_ms in enumerate([4, 5, 503, 504, 505])]
    assert same(hops, [stored(0, first)]).runs == [2, 1]
    later = Other(key=HERE[0], at_ms=504, asks="")
    assert same(hops, [stored(0, first), stored(1, later)]).runs == [0]


def test_limits_hold_within_a_run() -> None:
    hops = [USUAL["two"](n) for n in range(9)]
    fed = Fed(hops, [], straight=True)
    assert take_for_a_moment(fed.unit, fed.merge, 4, NO_LIMIT) == 4
    assert take_for_a_moment(fed.unit, fed.merge, NO_LIMIT, fed.unit.bytes_out + 1) == 1
    size = fed.unit.bytes_out // 10
    assert take_for_a_moment(fed.unit, fed.merge, NO_LIMIT, fed.unit.bytes_out + 3 * size) == 2


def test_moment_ends_within_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "LOOK_NS", 0)
    fed = Fed([USUAL["one"](n) for n in range(3)], [], straight=True)
    assert take_for_a_moment(fed.unit, fed.merge, NO_LIMIT, NO_LIMIT) == 1
    assert fed.runs == [0]


@pytest.mark.parametrize(
    ("fast", "runs", "nanoseconds"), [(40, [39], 40_000), (9, [10], 9_000 + 2 * 5_000_000)]
)
def test_slow_records_end_a_moment_soon_and_time_is_told_for_all(
    fast: int, runs: list[int], nanoseconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0
    for module in (moment, straight, unit):
        monkeypatch.setattr(module, "perf_counter_ns", lambda: now)
    monkeypatch.setattr(moment, "LOOK_NS", 10_000_000)
    fed = Fed([USUAL["one"](n) for n in range(40)], [], straight=True)
    step: Any = fed.unit.steps[0]
    function = step.function
    spans = chain(repeat(1_000, fast), repeat(5_000_000))

    def slowly(record: Any) -> Any:
        nonlocal now
        now += next(spans)
        return function(record)

    step.function = slowly
    take_for_a_moment(fed.unit, fed.merge, NO_LIMIT, NO_LIMIT)
    assert (fed.runs, step.nanoseconds) == (runs, nanoseconds)


def test_record_that_was_refused_once_goes_the_plain_way() -> None:
    def left(straight: bool) -> Any:
        fed = Fed([USUAL["one"](n) for n in range(3)], [], straight=straight)
        place = fed.unit.plan.single_place("toy.event.hop", PARTITION, derived=False)
        fed.unit.refused = {("hop", place + varint(1)): ProcessorFault("as before")}
        return fed.all()

    assert left(straight=True) == left(straight=False)
    assert left(straight=True)[0][-1] == [(3, 2, 1), (0, 0, 0)]


@transform(reads=Out, writes=Other)
def back(out: Out) -> list[Other]:
    return []


class Once(Hop, stream=Stream("toy.event.once", "key", "at_ms", "me", unique="asks")):
    """An event that is refused when it comes again."""


@transform(reads=Once, writes=Out)
def once(event: Once) -> list[Out]:
    return []


@pytest.mark.parametrize("processors", [(once,), (hop, back), (hop, twice)])
def test_inputs_that_take_more_than_a_transform_have_no_such_way(processors: Any) -> None:
    plan = Plan(Flow("toy", processors), MemoryRegistry())
    assert Unit(plan, PARTITION, PARTITIONS).straight == {}


@pytest.mark.parametrize("seed", range(40))
def test_any_mixture_leaves_the_same(seed: int) -> None:
    chosen = random.Random(seed)
    makers = [*ODD.values(), *USUAL.values()] + 30 * [USUAL["one"], USUAL["two"]]
    hops = [chosen.choice(makers)(n) for n in range(300)]
    others = [
        stored(n, Other(key=chosen.choice(HERE), at_ms=chosen.randrange(1_000), asks=""))
        for n in range(chosen.choice([0, 3, 20]))
    ]
    fed = same(hops, others, chosen.choice([1, 7, NO_LIMIT]))
    assert fed.runs or others, "one input alone has such a way"
