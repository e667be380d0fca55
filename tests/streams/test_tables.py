"""What a table promises of its keys and of the ids that its entries keep."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.record import Record, Stream, field
from streams.codec import Codec, MemoryRegistry
from streams.driver import CRASH, Driver
from streams.lineage import DERIVED, FOREIGN, pack_range, place
from streams.processor import Clock, Table, fold, table
from streams.tables import (
    PARENTS_MAX,
    SEPARATOR,
    STATE_HEADER,
    Entry,
    TableStore,
    Touched,
    parents_of,
    split_references,
)
from streams.topology import Flow
from streams.varint import varint


class Visit(Record, stream=Stream("shop.event.visit", "town", "at_ms", "me")):
    """Somebody comes in."""

    town: str = field("Town.")
    at_ms: int = field("When.", unit="ms", ge=0)
    street: str = field("Street.", default="")
    shop: str = field("Shop.", default="")


class Crowd(Record, stream=Stream("shop.feature.crowd", "town", "at_ms", "me")):
    """How many came."""

    town: str = field("Town.")
    at_ms: int = field("When.", unit="ms", ge=0)
    count: int = field("How many.")


class Guests(Record):
    """Who is in a shop."""

    town: str = field("Town.")
    count: int = field("How many.")


def counting(**options: Any) -> Any:
    """A fold that counts silently, and says its count when the entry expires."""

    @fold(reads=Visit, writes=Crowd, state=Guests, expires=1_000, **options)
    def counts(state: Guests | None, record: Visit) -> tuple[Guests, list[Crowd]]:
        return Guests(town=record.town, count=1 + (state.count if state else 0)), []

    @counts.expired
    def say(state: Guests, at_ms: int) -> list[Crowd]:
        return [Crowd(town=state.town, at_ms=at_ms, count=state.count)]

    return counts


def store(**options: Any) -> TableStore:
    entry: Table = table("guests", state=Guests, **options)
    return TableStore("counts", entry, Codec(Guests, "guests", MemoryRegistry()))


@example([(verb, "a") for verb in ("set", "flush", "forget", "set", "forget")])
@given(st.lists(st.tuples(st.sampled_from(["set", "forget", "flush"]), st.sampled_from("ab"))))
def test_changelog_hears_once_of_each_key_that_it_has_to(steps: list[tuple[str, str]]) -> None:
    guests = store(key=("town",))
    heard: dict[str, bytes] = {}
    for n, (verb, key) in enumerate([*steps, ("flush", "")]):
        trigger = (b"here" + varint(n), b"here", n)
        entry = guests.entries.get(key)
        if verb == "flush":
            told = list(guests.flush("changelog"))
            assert len({one for _, one, _, _ in told}) == len(told)
            for _, name, value, headers in told:
                one = str(name).removeprefix("counts/guests/")
                if value is None:
                    del heard[one]  # it was there: a tombstone of nothing is not owed
                else:
                    heard[one] = value
                    assert headers[0][0] == STATE_HEADER
            assert not list(guests.flush("changelog"))
            found = {one: guests.codec.decode(value) for one, value in heard.items()}
            assert found == {one: entry.value for one, entry in guests.entries.items()}
        elif verb == "forget":
            if entry is not None:
                guests.delete(key)
        elif entry is None:
            guests.create(key, Guests(town=key, count=n), 0, trigger)
        else:
            guests.update(entry, Guests(town=key, count=n), 0, trigger)


def test_latest_parent_is_the_last_that_is_restored() -> None:
    guests = store(key=("town",), parents="latest")
    here = place("here", 0, FOREIGN)
    head = varint(0) + b"".join(here + varint(n) for n in (7, 8))  # of before it was `latest`
    entry = guests.restore("a", guests.codec.encode(Guests(town="a", count=1)), head)
    assert guests.value_of(entry).count == 1
    assert guests.references(entry) == (here + varint(8),)


texts = st.text(st.sampled_from(f'a"[\\{SEPARATOR}'), max_size=4)


@given(texts, texts, texts, texts)
def test_two_keys_are_equal_only_if_all_their_parts_are(a: str, b: str, c: str, d: str) -> None:
    key_of = store(key=("street", "shop")).key_of
    parts = [(a, b), (c, d), (a, f"{b}{SEPARATOR}{c}"), (f"{a}{SEPARATOR}{b}", c)]
    keys = [
        key_of(vars(Visit(town="x", at_ms=0, street=street, shop=shop))) for street, shop in parts
    ]
    pairs = combinations(range(len(parts)), 2)
    assert all((keys[m] == keys[n]) is (parts[m] == parts[n]) for m, n in pairs)


def test_no_plain_key_looks_like_a_quoted_one() -> None:
    key_of = store(key=("street", "shop")).key_of
    quoted = key_of(vars(Visit(town="x", at_ms=0, street=f"a{SEPARATOR}", shop="b")))
    assert quoted == SEPARATOR * 2 + '["a\\u001f", "b"]'
    assert key_of(vars(Visit(town="x", at_ms=0, shop='["a\\u001f", "b"]'))) != quoted


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_parts_that_contain_the_separator_do_not_share_an_entry(between: list[object]) -> None:
    first = Visit(town="x", at_ms=0, street=f"a{SEPARATOR}", shop="b")
    other = Visit(town="x", at_ms=1, street="a", shop=f"{SEPARATOR}b")
    again = Visit(town="x", at_ms=2, street=f"a{SEPARATOR}", shop="b")
    flow = Flow("shop", (counting(key=("street", "shop")),))
    items = [first, *between, other, *between, again, Clock(5_000)]
    ran = Driver(flow, batch_records=1).run(items)
    assert [c.count for c in ran.read(Crowd)] == [2, 1]


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_entry_with_more_parents_than_it_can_list_names_them_all_by_ranges(
    between: list[object],
) -> None:
    visits = [Visit(town="x", at_ms=n) for n in range(PARENTS_MAX + 3)]
    items = [*visits[:-2], *between, *visits[-2:], Clock(5_000)]
    ran = Driver(Flow("shop", (counting(key="town"),)), batch_records=10).run(items)
    (origin,) = ran.origins(Crowd)
    assert [str(parent) for parent in origin.parents] == [
        "shop.event.visit[0]@0..@63",
        "shop.event.visit[0]@64",
        "shop.event.visit[0]@65",
        "shop.event.visit[0]@66",
    ]


def test_ranges_are_made_by_place_and_joined_again() -> None:
    note = store(key="town").note
    places = [place("shop.event.visit", 0, FOREIGN), place("shop.feature.crowd", 0, DERIVED)]
    parents: Any = None
    for n in range(10 * PARENTS_MAX):
        where = places[n % 2]
        parents = note(parents, (where + varint(n), where, n))
        assert len(parents) <= PARENTS_MAX
    assert split_references(b"".join(parents), 0) == list(parents)
    assert {reference[:4] for reference in parents[:2]} == {p[:4] for p in places}
    one = place("shop.event.gift", 0, FOREIGN)
    parents = (one + varint(300), *(places[0] + varint(n) for n in range(PARENTS_MAX - 1)))
    assert note(parents, (places[0] + varint(99), places[0], 99))[0] == one + varint(300)


@pytest.mark.parametrize("between", [[], [CRASH]])
@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ("range", ["shop.event.visit[0]@4", "shop.event.visit[0]@0..@3"]),
        ("latest", ["shop.event.visit[0]@4", "shop.event.visit[0]@3", "shop.event.visit[0]@1"]),
    ],
)
def test_parents_that_several_tables_remember_are_named_once(
    parents: Any, expected: list[str], between: list[object]
) -> None:
    keys = ("town", ("town", "street"), ("town", "shop"))
    tables = tuple(
        table(f"by_{n}", state=Guests, key=key, parents=parents) for n, key in enumerate(keys)
    )

    @fold(reads=Visit, writes=Crowd, tables=tables)
    def counts(states: Any, record: Visit) -> tuple[Any, list[Crowd]]:
        count = sum(state.count for state in states if state is not None)
        written = [Crowd(town=record.town, at_ms=record.at_ms, count=count)]
        return (Guests(town=record.town, count=1),) * len(tables), written

    visits = [
        Visit(town="x", at_ms=n, street=street, shop=shop)
        for n, (street, shop) in enumerate(["ab", "aa", "bb", "bb", "ba"])
    ]
    ran = Driver(Flow("shop", (counts,)), batch_records=1).run([*visits[:4], *between, visits[4]])
    assert [str(parent) for parent in ran.origins(Crowd)[-1].parents] == expected


def test_ranges_of_several_tables_are_joined_and_left_as_they_are() -> None:
    one, other = place("shop.event.visit", 0, FOREIGN), place("shop.event.gift", 0, FOREIGN)
    remembered: list[Any] = [{one: [3, 5]}, {one: [1, 4], other: [2, 2]}]
    ranged = store(key="town", parents="range")
    touched: list[Touched] = [
        (n, ranged, "x", Entry("x", None, None, ranges, stored=False))
        for n, ranges in enumerate(remembered)
    ]
    trigger = one + varint(9)
    assert parents_of(trigger, touched) == [
        trigger,
        pack_range(one, 1, 5),
        pack_range(other, 2, 2),
    ]
    assert parents_of(trigger, touched[:1]) == [trigger, pack_range(one, 3, 5)]
    assert remembered == [{one: [3, 5]}, {one: [1, 4], other: [2, 2]}]


def test_range_that_one_table_lists_and_another_keeps_is_named_once() -> None:
    visits = place("shop.event.visit", 0, FOREIGN)
    listed, kept = store(key="town"), store(key="street", parents="range")
    parents: Any = None
    for n in range(PARENTS_MAX + 1):
        parents = listed.note(parents, (visits + varint(n), visits, n))
    touched: list[Touched] = [
        (0, listed, "x", Entry("x", None, None, parents, stored=False)),
        (1, kept, "a", Entry("a", None, None, {visits: [0, PARENTS_MAX - 1]}, stored=False)),
    ]
    assert parents_of(visits + varint(65), touched) == [
        visits + varint(65),
        pack_range(visits, 0, PARENTS_MAX - 1),
        visits + varint(PARENTS_MAX),
    ]
