from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.record import Record, State, Stream, field
from streams.driver import CRASH, Driver
from streams.errors import Refusal
from streams.partition import partition_of
from streams.processor import Clock, Processor, fold, table, transform
from streams.topology import Flow


class Tick(Record, stream=Stream("toy.event.tick", "place", "at_ms", "me", unique="name")):
    """Something happens at a place."""

    name: str = field("Name.")
    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.", default=1)
    group: str | None = field("Which group, if any.", default=None)


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


def tick(
    name: str, at_ms: int, amount: int = 1, place: str = "x", group: str | None = None
) -> Tick:
    return Tick(name=name, place=place, at_ms=at_ms, amount=amount, group=group)


def total(at_ms: int, amount: int, place: str = "x") -> Total:
    return Total(place=place, at_ms=at_ms, amount=amount)


def adding(**options: Any) -> Processor:
    """A fold that adds up silently, and says its sum when the entry expires; 0 forgets."""

    @fold(reads=Tick, writes=Total, state=Sum, key="place", **options)
    def adds(state: Sum | None, record: Tick) -> tuple[Sum | None, list[Total]]:
        if record.amount == 0:
            return None, []
        amount = record.amount + (state.amount if state else 0)
        return Sum(place=record.place, amount=amount), []

    @adds.expired
    def say(state: Sum, at_ms: int) -> list[Total]:
        return [total(at_ms, state.amount, state.place)]

    return adds


def driver(*processors: Any, **options: Any) -> Driver:
    return Driver(Flow("toy", processors), **options)


def letters(ran: Driver) -> list[tuple[str, str]]:
    """Error class and text of each dead letter."""
    names = ("error.class", "error.message")
    found = [tuple(s.headers[name].decode() for name in names) for s in ran.dead_letters]
    return [(code, text) for code, text in found]


def parents(ran: Driver, kind: type[Record] = Total) -> list[list[str]]:
    return [[str(p) for p in origin.parents] for origin in ran.origins(kind)]


# --- time


def test_entries_expire_in_the_order_of_deadline_then_key() -> None:
    ran = driver(adding(expires=10)).run(
        [tick("1", 0, 1, "b"), tick("2", 0, 2, "a"), tick("3", 5, 4, "c"), Clock(100)]
    )
    assert ran.read(Total) == [total(10, 2, "a"), total(10, 1, "b"), total(15, 4, "c")]


def test_deadline_itself_is_not_past() -> None:
    ran = driver(adding(expires=10)).run([tick("1", 0), tick("2", 10), Clock(10)])
    assert ran.read(Total) == []
    assert ran.run([Clock(11)]).read(Total) == [total(10, 2)]


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_renewed_entry_expires_after_its_last_write(between: list[object]) -> None:
    ran = driver(adding(expires=10, renews=True)).run([tick("1", 0), tick("2", 8), *between])
    assert ran.run([Clock(18)]).read(Total) == []
    assert ran.run([Clock(19)]).read(Total) == [total(18, 2)]


@pytest.mark.parametrize("renews", [False, True])
def test_entry_that_was_made_anew_has_a_deadline_of_its_own(renews: bool) -> None:
    ran = driver(adding(expires=10, renews=renews)).run(
        [tick("1", 0), tick("2", 3, 0), tick("3", 5), Clock(14)]
    )
    assert ran.read(Total) == []
    assert ran.run([Clock(16)]).read(Total) == [total(15, 1)]


def test_late_record_is_processed_and_time_stays() -> None:
    ran = driver(adding(expires=10)).run([tick("1", 0), tick("2", 20), tick("3", 4), Clock(31)])
    assert ran.read(Total) == [total(10, 1), total(30, 2)]


def test_event_from_the_future_does_not_move_time() -> None:
    day_ms = 86_400_000
    ran = driver(adding(expires=10)).run([tick("1", 0), tick("2", 4_000_000_000_001 + day_ms)])
    assert ran.read(Total) == []
    assert [code for code, _ in letters(ran)] == ["FUTURE_EVENT"]


# --- state


def test_state_that_is_returned_as_it_came_is_not_written() -> None:
    @fold(reads=Tick, writes=(), state=Sum, key="place")
    def once(state: Sum | None, record: Tick) -> Any:
        return state or Sum(place=record.place, amount=record.amount), []

    ran = driver(once, batch_records=1).run([tick("1", 0, 5), tick("2", 1, 6)])
    keys = [s.key for s in ran.stored("toy-changelog")]
    assert keys.count(b"once/state/x") == 1
    assert keys.count(b"unit") == 2


def test_entry_that_came_and_went_in_a_batch_leaves_no_trace() -> None:
    ran = driver(adding(expires=10)).run([tick("1", 0), tick("2", 1, 0)])
    assert [s.key for s in ran.stored("toy-changelog")] == [
        b"seen/toy.event.tick/0/0",
        b"unit",
    ]


def test_tables_are_keyed_by_several_fields_and_not_touched_where_one_is_null() -> None:
    @fold(
        reads=Tick,
        writes=Total,
        tables=(
            table("places", state=Sum, key="place"),
            table("groups", state=Sum, key=("place", "group")),
        ),
    )
    def adds(
        tables: tuple[Sum | None, Sum | None], record: Tick
    ) -> tuple[tuple[Sum, Sum], list[Total]]:
        place, group = (
            Sum(place=record.place, amount=record.amount + (s.amount if s else 0)) for s in tables
        )
        return (place, group), [total(record.at_ms, place.amount * 100 + group.amount)]

    ran = driver(adds).run(
        [tick("1", 1, 1), tick("2", 2, 2, group="g"), tick("3", 3, 3, group="h"), CRASH,
         tick("4", 4, 4, group="g"), tick("5", 5, 5)]
    )  # fmt: skip
    assert [t.amount for t in ran.read(Total)] == [101, 302, 603, 1006, 1505]
    keys = {s.key for s in ran.stored("toy-changelog") if s.key and s.key.startswith(b"adds")}
    assert keys == {b"adds/places/x", b"adds/groups/x\x1fg", b"adds/groups/x\x1fh"}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ("all", ["toy.event.tick[0]@0", "toy.event.tick[0]@1", "toy.event.tick[0]@2"]),
        ("latest", ["toy.event.tick[0]@2"]),
        ("range", ["toy.event.tick[0]@0..@2"]),
    ],
)
@pytest.mark.parametrize("between", [[], [CRASH]])
def test_entry_names_the_records_that_made_it(
    kept: Any, expected: list[str], between: list[object]
) -> None:
    items = [tick("1", 0), *between, tick("2", 1), *between, tick("3", 2), Clock(100)]
    ran = driver(adding(expires=10, parents=kept), batch_records=2).run(items)
    assert parents(ran) == [expected]


def test_record_names_what_triggered_it_before_what_was_remembered() -> None:
    @fold(reads=Tick, writes=Total, state=Sum, key="place")
    def adds(state: Sum | None, record: Tick) -> tuple[Sum, list[Total]]:
        amount = record.amount + (state.amount if state else 0)
        return Sum(place=record.place, amount=amount), [total(record.at_ms, amount)]

    @transform(reads=Total, writes=Other)
    def copies(record: Total) -> Iterable[Other]:
        yield Other(**dict(record))

    ran = driver(adds, copies).run([tick("1", 0), tick("2", 1)])
    assert parents(ran) == [
        ["toy.event.tick[0]@0"],
        ["toy.event.tick[0]@1", "toy.event.tick[0]@0"],
    ]
    assert parents(ran, Other) == [["toy.feature.total[0]#0"], ["toy.feature.total[0]#1"]]


# --- what cannot be processed


def test_refusal_is_a_dead_letter_that_says_all_about_it() -> None:
    @transform(reads=Tick, writes=Total)
    def refuses(record: Tick) -> Iterable[Total]:
        if record.amount < 0:
            raise Refusal("a tick adds")
        yield total(record.at_ms, record.amount)

    ran = driver(refuses).run([tick("1", 0), tick("2", 1, -1), tick("3", 2)])
    assert ran.read(Total) == [total(0, 1), total(2, 1)]
    (letter,) = ran.dead_letters
    assert letter.key == b"x"
    assert letter.value == ran.stored("toy.event.tick")[1].value
    assert {k: v for k, v in letter.headers.items() if k != "error.parent"} == {
        "error.class": b"REFUSED",
        "error.message": b"a tick adds",
        "error.flow": b"toy",
        "error.processor": b"refuses",
        "error.code_version": b"00000000",
        "error.record": b"toy.event.tick[0]@1",
        "error.appended_ms": b"4000000000000",
        "error.schema_id": b"1",
        "error.attempt": b"1",
    }


def test_refusal_whose_text_is_no_unicode_is_a_dead_letter_too() -> None:
    @transform(reads=Tick, writes=Total)
    def refuses(record: Tick) -> Iterable[Total]:
        raise Refusal("a bad city: \ud800")

    (letter,) = driver(refuses).run([tick("1", 0)]).dead_letters
    assert letter.headers["error.message"] == b"a bad city: \\ud800"


def test_fault_of_a_processor_writes_nothing_and_changes_nothing() -> None:
    @fold(reads=Tick, writes=Total, state=Sum, key="place")
    def stumbles(state: Sum | None, record: Tick) -> Any:
        amount = record.amount + (state.amount if state else 0)
        outputs: list[Any] = [total(record.at_ms, amount)]
        if record.amount < 0:
            outputs.append(tick("not declared", 0))
        return Sum(place=record.place, amount=amount), outputs

    ran = driver(stumbles).run([tick("1", 0), tick("2", 1, -5), tick("3", 2)])
    assert ran.read(Total) == [total(0, 1), total(2, 2)]
    assert letters(ran) == [("PROCESSOR_FAULT", "stumbles wrote a Tick, which it does not declare")]


def test_record_for_another_partition_is_not_written() -> None:
    @transform(reads=Tick, writes=Total)
    def moves(record: Tick) -> Iterable[Total]:
        yield total(record.at_ms, 1, place="EWR")

    assert [partition_of(p, 4) for p in ("EWR", "JFK")] == [3, 1]
    ran = driver(moves, partitions=4).run([tick("1", 0, place="JFK")])
    assert letters(ran) == [
        ("PROCESSOR_FAULT", "moves wrote key 'EWR', which another partition holds")
    ]


def test_foreign_record_is_checked_before_any_processor_sees_it() -> None:
    ran = driver(adding(expires=10), partitions=4)
    value = ran.plan.codec(Tick).encode(tick("1", 0, place="EWR"))
    ran.publish_raw("toy.event.tick", b"EWR", value, 0)
    ran.publish_raw("toy.event.tick", b"JFK", value, 3)
    ran.publish_raw("toy.event.tick", None, value, 3)
    ran.publish_raw("toy.event.tick", b"EWR", b"{}", 3)
    ran.publish_raw("toy.event.tick", b"EWR", None, 3)
    assert letters(ran.run([Clock(100)])) == [
        ("WRONG_PARTITION", "key 'EWR' belongs to partition 3 of 4 (murmur2), not to 0"),
        ("WIRE_FORMAT", "the key is 'JFK'; the value's place 'EWR' was expected"),
        ("WIRE_FORMAT", "the key is None; the value's place 'EWR' was expected"),
        ("WIRE_FORMAT", "the value begins with 7b7d; 00 and a schema id were expected"),
        ("EMPTY", "the value is empty; a record was expected"),
    ]
    assert ran.read(Total) == []


@pytest.mark.parametrize("batch_records", [1, 1_000])
@pytest.mark.parametrize("between", [[], [CRASH]])
def test_second_event_of_a_name_is_refused(batch_records: int, between: list[object]) -> None:
    ran = driver(adding(expires=10), batch_records=batch_records).run(
        [tick("1", 0, 1), *between, tick("1", 1, 2), *between, tick("2", 2, 4), Clock(100)]
    )
    assert ran.read(Total) == [total(10, 5)]
    assert letters(ran) == [("DUPLICATE", "name '1' was seen before in toy.event.tick")]


@pytest.mark.parametrize("batch_records", [1, 2, 1_000])
def test_name_is_forgotten_after_its_days_whatever_the_batch(batch_records: int) -> None:
    hour_ms = 3_600_000
    items: list[Any] = [
        tick("a", 0),
        tick("a", 72 * hour_ms),
        tick("b", 73 * hour_ms),
        tick("a", 73 * hour_ms + 1),
        CRASH,
        tick("a", 2),  # late: what counts is when it was seen last
    ]
    ran = driver(adding(expires=10), batch_records=batch_records).run(items)
    assert letters(ran) == [("DUPLICATE", "name 'a' was seen before in toy.event.tick")] * 2


def test_entry_that_cannot_be_closed_is_a_dead_letter_once() -> None:
    adds = adding(expires=10)

    @adds.expired
    def stumble(state: Sum, at_ms: int) -> list[Total]:
        raise ValueError("no way to close it")

    ran = driver(adds).run([tick("1", 0, 5), tick("2", 1, 6), Clock(100), CRASH, tick("3", 200)])
    assert letters(ran) == [("PROCESSOR_FAULT", "ValueError: no way to close it")]
    (letter,) = ran.dead_letters
    assert letter.key == b"x"
    assert letter.headers["error.record"] == b"toy-changelog[0]/adds/state/x"
    assert ran.plan.state_codec(Sum).decode(letter.value) == Sum(place="x", amount=11)


def test_failed_assertion_of_a_processor_is_its_own_fault() -> None:
    @transform(reads=Tick, writes=Total)
    def asserts(record: Tick) -> Iterable[Total]:
        assert record.amount < 5, "too much"
        yield total(record.at_ms, record.amount)

    ran = driver(asserts).run([tick("1", 0, 9), tick("2", 1)])
    assert ran.read(Total) == [total(1, 1)]
    assert [code for code, _ in letters(ran)] == ["PROCESSOR_FAULT"]


def test_state_of_another_class_is_refused_before_anything_is_written() -> None:
    @fold(reads=Tick, writes=Total, state=Sum, key="place")
    def returns(state: Sum | None, record: Tick) -> Any:
        return record if record.amount > 5 else None, [total(record.at_ms, 1)]

    @fold(reads=Tick, writes=Other, tables=(table("sums", state=Sum, key="place"),))
    def forgets(states: Any, record: Tick) -> Any:
        return (), [Other(**dict(total(record.at_ms, 1)))]

    @fold(reads=Tick, writes=(), tables=(table("more", state=Sum, key="place"),), name="yields")
    def yields(states: Any, record: Tick) -> Any:
        return iter(states), []

    ran = driver(returns, forgets, yields, batch_records=1).run([tick("1", 0, 9), tick("2", 1)])
    assert ran.read(Total) == [total(1, 1)]
    assert ran.read(Other) == []
    assert letters(ran) == [
        ("PROCESSOR_FAULT", "returns/state/: a Tick was returned; a Sum or None was expected"),
        ("PROCESSOR_FAULT", "forgets returned 0 states; 1 were expected"),
        ("PROCESSOR_FAULT", "yields returned a tuple_iterator; its states were expected"),
        ("PROCESSOR_FAULT", "forgets returned 0 states; 1 were expected"),
        ("PROCESSOR_FAULT", "yields returned a tuple_iterator; its states were expected"),
    ]


# --- rollback


def heaping() -> Processor:
    @fold(reads=Tick, writes=Total, state=Heap, key="place", in_place=True)
    def heaps(state: Heap | None, record: Tick) -> tuple[Heap, list[Total]]:
        state = state or Heap(amount=0)
        state.amount += record.amount
        if record.amount < 0:
            raise ValueError("half done")
        return state, [total(record.at_ms, state.amount)]

    return heaps


@pytest.mark.parametrize("batch_records", [1, 3, 1_000])
def test_fold_that_raises_in_place_is_as_if_the_record_had_not_been(batch_records: int) -> None:
    good = [tick("1", 0), tick("2", 1, 2), tick("4", 3, 4), tick("6", 5, 8)]
    both = [*good[:2], tick("3", 2, -7), good[2], tick("5", 4, -9), good[3]]
    expected = driver(heaping()).run(good).read(Total)
    assert [t.amount for t in expected] == [1, 3, 7, 15]
    ran = driver(heaping(), batch_records=batch_records).run(both)
    assert ran.read(Total) == expected
    assert letters(ran) == [("PROCESSOR_FAULT", "ValueError: half done")] * 2
