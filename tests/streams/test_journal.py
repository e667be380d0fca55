from __future__ import annotations

import pytest

from schemas.compatibility import unreadable
from schemas.derive import avro_schema
from schemas.internal import JournalEntry
from schemas.record import Record, Stream, field
from streams.codec import Codec, MemoryRegistry
from streams.driver import CRASH, Driver
from streams.journal import InputGone, replay_journal
from streams.processor import fold, table
from streams.topology import Flow
from tests.streams.replayed import held, redone


class Event(Record, stream=Stream("tape.event.thing", "key", "at_ms", "me")):
    """An amount; a negative one cannot be added."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("The amount.")


class Total(Event, stream=Stream("tape.signal.total", "key", "at_ms", "me")):
    """The sum of all amounts so far."""


class Sum(Record):
    """The sum, changed in place."""

    amounts: list[int] = field("What was added.")


@fold(
    reads=Event,
    writes=Total,
    tables=(table("sum", state=Sum, key="key", touched_by=(Event,), in_place=True),),
)
def add(tables: tuple[Sum | None, ...], event: Event) -> tuple[tuple[Sum | None, ...], list[Total]]:
    """Add, and fail half way with a negative amount."""
    state = tables[0] or Sum(amounts=[])
    state.amounts.append(event.amount)
    if event.amount < 0:
        raise ValueError("half added")
    return (state,), [Total(key=event.key, at_ms=event.at_ms, amount=sum(state.amounts))]


def ran(batch_records: int = 2) -> Driver:
    driver = Driver(Flow("tape", (add,)), batch_records=batch_records)
    amounts = [1, 2, -1, 3, -1, 4, 5]
    items = [Event(key="x", at_ms=n, amount=amount) for n, amount in enumerate(amounts)]
    return driver.run([*items[:4], CRASH, *items[4:]])


@pytest.mark.parametrize("batch_records", [1, 2, 100])
def test_replay_gives_what_the_topics_hold_though_records_raised(batch_records: int) -> None:
    driver = ran(batch_records)
    assert [total.amount for total in driver.read(Total)] == [1, 3, 6, 10, 15]
    assert len(driver.dead_letters) == 2
    assert redone(driver) == held(driver)


def test_replay_says_what_each_transaction_took() -> None:
    taken = [(entry.starts, entry.runs) for entry, _ in replay_journal(ran().plan, ran(), 0, 1)]
    assert taken == [
        ([start, -1, -1], [0, count]) for start, count in ((0, 2), (2, 2), (4, 2), (6, 1))
    ]


def test_settings_of_a_run_stand_in_its_first_entry_and_a_replay_writes_them_too() -> None:
    driver = Driver(Flow("tape", (add,)), batch_records=1)
    for at_ms, said in enumerate(({}, {"batch_records_max": "1"})):
        driver.units[0].taken.settings = said
        driver.run([Event(key="x", at_ms=2 * at_ms + n, amount=1) for n in range(2)])
        driver.crash()
    told = [entry.settings for entry, _ in replay_journal(driver.plan, driver, 0, 1)]
    assert told == [{}, None, {"batch_records_max": "1"}, None]
    assert redone(driver) == held(driver)


def test_entry_of_an_older_version_says_nothing_of_settings() -> None:
    registry = MemoryRegistry()
    now = avro_schema(JournalEntry)
    before = {**now, "fields": [f for f in now["fields"] if f["name"] != "settings"]}
    number = registry.schema_id("tape-journal-value", before)
    value = b"\0" + number.to_bytes(4, "big") + b"\x02a\0\0\0\x0a"
    codec = Codec(JournalEntry, "tape-journal-value", registry)
    assert codec.decode(value) == JournalEntry(
        code_version="a", inputs=[], starts=[], runs=[], time_ms=5
    )
    assert unreadable(reader=now, writer=before) == []


def test_input_that_is_gone_is_named() -> None:
    driver = ran()
    del driver.logs[("tape.event.thing", 0)][0]
    with pytest.raises(InputGone, match=r"tape\.event\.thing\[0\].* offset 0, .* at offset 1"):
        list(replay_journal(driver.plan, driver, 0, 1))
