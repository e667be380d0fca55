"""Dead letters taken again, in memory: who gets them, what comes of them, how often."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.record import Record, State, Stream, field
from streams.dead_letter import Letter
from streams.driver import CRASH, Driver
from streams.errors import Refusal
from streams.lineage import FOREIGN, Reference
from streams.partition import partition_of
from streams.processor import Clock, Processor, fold, transform
from streams.topology import Flow
from tests.streams.replayed import held, redone


class Tick(Record, stream=Stream("toy.event.tick", "place", "at_ms", "me", unique="name")):
    """Something happens at a place."""

    name: str = field("Name.")
    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.", le=100)


class Total(Record, stream=Stream("toy.feature.total", "place", "at_ms", "me")):
    """What has been added up."""

    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.")


class Other(Total, stream=Stream("toy.feature.other", "place", "at_ms", "me")):
    """Something else."""


class Sum(Record):
    """What a place has so far."""

    place: str = field("Place.")
    amount: int = field("How much.")


class Heap(State):
    """What a place has so far, changed in place."""

    amount: int = field("How much.")


class Bug:
    """A fault of a processor, which can be mended between two runs."""

    def __init__(self) -> None:
        self.mended = False

    def bites(self, amount: int) -> None:
        if amount < 0 and not self.mended:
            raise ValueError("negative")


def tick(name: str, at_ms: int, amount: int = 1, place: str = "x") -> Tick:
    return Tick(name=name, place=place, at_ms=at_ms, amount=amount)


def total(at_ms: int, amount: int, place: str = "x") -> Total:
    return Total(place=place, at_ms=at_ms, amount=amount)


def other(at_ms: int, amount: int, place: str = "x") -> Other:
    return Other(place=place, at_ms=at_ms, amount=amount)


def adding(bug: Bug) -> Processor:
    """A fold that adds up silently, and says its sum when the entry expires."""

    @fold(reads=Tick, writes=Total, state=Sum, key="place", expires=10)
    def adds(state: Sum | None, record: Tick) -> tuple[Sum, list[Total]]:
        bug.bites(record.amount)
        return Sum(place=record.place, amount=record.amount + (state.amount if state else 0)), []

    @adds.expired
    def say(state: Sum, at_ms: int) -> list[Total]:
        return [total(at_ms, state.amount, state.place)]

    return adds


@transform(reads=Tick, writes=Other)
def counts(record: Tick) -> Iterable[Other]:
    """Another reader of ticks."""
    yield other(record.at_ms, 1, record.place)


def driver(*processors: Any, **options: Any) -> Driver:
    return Driver(Flow("toy", processors), **options)


def told(ran: Driver) -> list[tuple[str, str, str, int]]:
    """Of each dead letter: error class, processor, coordinate of the record, attempts."""
    return [(s.error, s.processor, s.cause.origin, s.cause.attempts) for s in ran.letters]


def parents(ran: Driver, kind: type[Record] = Total) -> list[list[str]]:
    return [[str(p) for p in origin.parents] for origin in ran.origins(kind)]


EVENTS = [tick("1", 0, 1), tick("2", 1, -2), tick("3", 2, 4), tick("4", 3, -8)]


@pytest.mark.parametrize("between", [[], [CRASH]])
@pytest.mark.parametrize("batch_records", [1, 1_000])
def test_letters_taken_again_after_a_fault_was_mended_leave_no_trace_of_it(
    batch_records: int, between: list[object]
) -> None:
    bug, never = Bug(), Bug()
    never.mended = True
    sound = driver(adding(never), counts).run([*EVENTS, Clock(100)])
    ran = driver(adding(bug), counts, batch_records=batch_records).run(EVENTS)
    assert told(ran) == [
        ("PROCESSOR_FAULT", "adds", "toy.event.tick[0]@1", 1),
        ("PROCESSOR_FAULT", "adds", "toy.event.tick[0]@3", 1),
    ]
    bug.mended = True
    ran.run(between).redrive(*ran.letters).run([*between, Clock(100)])
    assert ran.read(Total) == sound.read(Total) == [total(10, -5)]
    assert [sorted(p) for p in parents(ran)] == parents(sound)
    assert ran.read(Other) == sound.read(Other) == [other(at, 1) for at in range(4)]
    assert len(ran.letters) == 2


def test_redriven_record_is_late_and_time_stays() -> None:
    bug = Bug()
    ran = driver(adding(bug)).run([tick("1", 5, -1, "a"), tick("2", 20, 1, "b")])
    bug.mended = True
    ran.redrive(*ran.letters).run([Clock(30)])
    assert ran.read(Total) == []  # both entries were made at 20
    assert ran.run([Clock(31)]).read(Total) == [total(30, -1, "a"), total(30, 1, "b")]


def test_refused_again_it_is_one_letter_more_with_one_attempt_more() -> None:
    ran = driver(adding(Bug()), counts).run([tick("1", 0, -1)])
    first = ran.letters[0]
    ran.redrive(ran.letters[0]).redrive(ran.letters[1])
    assert told(ran) == [
        ("PROCESSOR_FAULT", "adds", "toy.event.tick[0]@0", attempts) for attempts in (1, 2, 3)
    ]
    for letter in ran.letters:
        assert (letter.key, letter.value) == (first.key, first.value)
        assert letter.cause.parent == Reference("toy.event.tick", 0, FOREIGN, 0).packed()
        assert letter.cause.appended_ms == first.cause.appended_ms
    assert ran.read(Other) == [other(0, 1)]


def test_order_within_a_key_is_that_of_the_letters() -> None:
    bug = Bug()

    @transform(reads=Tick, writes=Total)
    def copies(record: Tick) -> Iterable[Total]:
        bug.bites(record.amount)
        yield total(record.at_ms, record.amount, record.place)

    ran = driver(copies).run([tick("1", 9, -1), tick("2", 3, -2), tick("3", 3, -3, "y")])
    bug.mended = True
    ran.redrive(*ran.letters)
    assert ran.read(Total) == [total(9, -1), total(3, -2), total(3, -3, "y")]


def test_derived_record_goes_to_its_reader_alone() -> None:
    bug = Bug()

    @transform(reads=Tick, writes=Total)
    def copies(record: Tick) -> Iterable[Total]:
        yield total(record.at_ms, record.amount)

    @transform(reads=Total, writes=Other)
    def refuses(record: Total) -> Iterable[Other]:
        bug.bites(record.amount)
        yield Other(**dict(record))

    ran = driver(copies, refuses).run([tick("1", 0, 1), tick("2", 1, -2), CRASH])
    assert told(ran) == [("PROCESSOR_FAULT", "refuses", "toy.feature.total[0]#1", 1)]
    ran.redrive(ran.letters[0])
    bug.mended = True
    ran.redrive(ran.letters[1])
    assert told(ran)[1:] == [("PROCESSOR_FAULT", "refuses", "toy.feature.total[0]#1", 2)]
    assert ran.read(Total) == [total(0, 1), total(1, -2)]
    assert ran.read(Other) == [other(0, 1), other(1, -2)]
    assert parents(ran, Other) == [["toy.feature.total[0]#0"], ["toy.feature.total[0]#1"]]


def test_entry_that_could_not_be_closed_is_closed() -> None:
    bug = Bug()
    adds = adding(Bug())

    @adds.expired
    def say(state: Sum, at_ms: int) -> list[Total]:
        bug.bites(-1)
        return [total(at_ms, state.amount, state.place)]

    ran = driver(adds).run([tick("1", 0, 5), tick("2", 1, 6), Clock(100)])
    ran.redrive(ran.letters[0])
    assert told(ran) == [
        ("PROCESSOR_FAULT", "adds", "toy-changelog[0]/adds/state/x", attempts)
        for attempts in (1, 2)
    ]
    bug.mended = True
    ran.redrive(ran.letters[1])
    assert ran.read(Total) == [total(10, 11)]
    assert parents(ran) == [["toy.event.tick[0]@0", "toy.event.tick[0]@1"]]


def test_fold_in_place_that_raised_takes_the_record_when_it_is_mended() -> None:
    bug = Bug()

    @fold(reads=Tick, writes=Total, state=Heap, key="place", in_place=True)
    def heaps(state: Heap | None, record: Tick) -> tuple[Heap, list[Total]]:
        state = state or Heap(amount=0)
        state.amount += record.amount
        bug.bites(record.amount)
        return state, [total(record.at_ms, state.amount)]

    ran = driver(heaps).run([tick("1", 0, 1), tick("2", 1, -2)])
    ran.redrive(ran.letters[0])
    assert [attempts for *_, attempts in told(ran)] == [1, 2]
    bug.mended = True
    ran.redrive(ran.letters[1]).run([tick("3", 2, 8)])
    assert ran.read(Total) == [total(0, 1), total(1, -1), total(2, 7)]


# --- what no processor had seen


def test_record_in_the_wrong_partition_finds_the_right_one() -> None:
    assert [partition_of(place, 4) for place in ("EWR", "JFK")] == [3, 1]
    never = Bug()
    ran = driver(adding(never), counts, partitions=4).run([tick("1", 0, 1, "EWR")])
    value = ran.plan.codec(Tick).encode(tick("2", 1, 2, "EWR"))
    ran.publish_raw("toy.event.tick", b"EWR", value, 0)
    ran.process()
    assert told(ran) == [("WRONG_PARTITION", "", "toy.event.tick[0]@0", 1)]
    ran.redrive(*ran.letters).run([Clock(100)])
    assert ran.read(Other) == [other(0, 1, "EWR"), other(1, 1, "EWR")]
    assert ran.read(Total) == [total(10, 3, "EWR")]
    assert parents(ran) == [["toy.event.tick[3]@0", "toy.event.tick[0]@0"]]


def test_record_that_is_still_wrong_is_refused_again() -> None:
    ran = driver(counts)
    codec = ran.plan.codec(Tick)
    good = codec.encode(tick("1", 0))
    for value in (b"{}", good[:-1], codec.encode(tick("2", 0).model_copy(update={"amount": 101}))):
        ran.publish_raw("toy.event.tick", b"x", value)
    ran.publish_raw("toy.event.tick", b"x", good)
    ran.publish_raw("toy.event.tick", b"x", good)
    ran.process()
    ran.redrive(*ran.letters)
    expected = ["WIRE_FORMAT", "TRUNCATED", "OUT_OF_BOUNDS", "DUPLICATE"]
    offsets = (0, 1, 2, 4)
    assert told(ran) == [
        (error, "", f"toy.event.tick[0]@{offset}", attempts)
        for attempts in (1, 2)
        for error, offset in zip(expected, offsets, strict=True)
    ]
    assert ran.read(Other) == [other(0, 1)]


def test_twin_of_a_redriven_record_is_a_duplicate() -> None:
    ran = driver(counts, partitions=4)
    value = ran.plan.codec(Tick).encode(tick("1", 1, 2, "EWR"))
    ran.publish_raw("toy.event.tick", b"EWR", value, 0)
    ran.process()
    ran.redrive(*ran.letters).run([tick("1", 1, 2, "EWR")])
    assert [error for error, *_ in told(ran)] == ["WRONG_PARTITION", "DUPLICATE"]
    assert ran.read(Other) == [other(1, 1, "EWR")]


# --- what is not taken again


def test_dropped_letter_is_taken_by_nobody() -> None:
    bug = Bug()
    ran = driver(adding(bug), counts).run(EVENTS)
    bug.mended = True
    ran.redrive(*ran.letters, verb="drop").run([Clock(100)])
    assert ran.read(Total) == [total(10, 5)]
    assert len(ran.letters) == 2


def forged(ran: Driver, **changes: Any) -> Letter:
    """A letter of a tick, with some fields of its redrive changed."""
    asked = ran.letters[0].redrive("redrive", 0).model_copy(update=changes)
    ran.publish_raw("toy-redrive", b"x", ran.plan.inputs[ran.plan.redrive].codec.encode(asked))
    ran.process()
    return ran.letters[-1]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"processor": "gone"}, "REFUSED",
         "flow toy has no processor 'gone' that reads toy.event.tick"),
        ({"origin": "toy.event.else[0]@1"}, "REFUSED",
         "toy.event.else is no stream that flow toy reads or writes"),
        ({"origin": "nowhere"}, "REFUSED", "its origin is no coordinate of a record"),
        ({"origin": "toy-changelog[0]/adds/else/x"}, "REFUSED",
         "flow toy has no fold 'adds' that closes entries of else"),
        ({"parent": b"\x01"}, "WIRE_FORMAT",
         "its `parent` is no reference to a record: varint cut short or too long"),
    ],
)  # fmt: skip
def test_letter_that_nobody_can_take_is_refused_again(
    changes: dict[str, Any], error: str, text: str
) -> None:
    ran = driver(adding(Bug())).run([tick("1", 0, -1)])
    letter = forged(ran, **changes)
    assert len(ran.letters) == 2
    assert (letter.error, letter.text) == (error, text)


def test_record_that_is_no_redrive_is_a_dead_letter() -> None:
    ran = driver(counts)
    ran.publish_raw("toy-redrive", b"x", b"garbage")
    ran.process()
    assert told(ran) == [("WIRE_FORMAT", "", "toy-redrive[0]@0", 1)]
    ran.redrive(*ran.letters)
    assert told(ran)[1:] == [("REFUSED", "", "toy-redrive[0]@0", 2)]


# --- doing it all again


@pytest.mark.parametrize("batch_records", [1, 3, 100])
def test_replay_of_the_journal_takes_letters_again(batch_records: int) -> None:
    states: list[int] = []

    @fold(reads=Tick, writes=Total, state=Heap, key="place", in_place=True)
    def heaps(state: Heap | None, record: Tick) -> tuple[Heap, list[Total]]:
        """Can subtract only what there is: what is refused at first may be taken later."""
        state = state or Heap(amount=0)
        state.amount += record.amount
        if state.amount < 0:
            raise Refusal("there is not so much")
        states.append(state.amount)
        return state, [total(record.at_ms, state.amount)]

    ran = driver(heaps, counts, batch_records=batch_records)
    ran.run([tick("1", 0, 1), tick("2", 1, -4), tick("3", 2, 2), CRASH])
    ran.redrive(*ran.letters)
    ran.run([tick("4", 3, 6)]).redrive(ran.letters[-1])
    assert [attempts for *_, attempts in told(ran)] == [1, 2]
    assert ran.read(Total) == [total(0, 1), total(2, 3), total(3, 9), total(1, 5)]
    assert redone(ran) == held(ran)
