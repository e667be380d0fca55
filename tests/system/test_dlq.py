"""What was refused is taken again once its fault is mended: each once, whatever is killed."""

from __future__ import annotations

import importlib
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import streams.letters
from ops import dead_letters
from ops.apply import apply, plan_changes
from ops.connect import Connection
from ops.demo import watch
from schemas.internal import ClockTick
from streams.dead_letter import Letter
from streams.driver import Driver
from streams.errors import Fenced, ProcessorFault
from streams.flow import FlowLoop
from streams.hosted import Hosted
from streams.letters import WAITING, Fates, read_letters, settle
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock
from streams.tolerance import Tolerance
from streams.topology import discover, stream_of

pytestmark = pytest.mark.broker

PARTITIONS, DAY_MS, WAIT_S = 2, 86_400_000, 60.0
FLOW = '''"""Coins are counted and entered in a book; some of them once it is mended."""

from schemas.record import Record, Stream, field
from streams.processor import fold, hours, transform

BROKEN = False


class Coin(Record, stream=Stream("coins.event.coin", "purse", "at_ms", "me", unique="name")):
    """A coin goes into a purse."""

    name: str = field("Name.")
    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.")


class Seen(Record, stream=Stream("coins.feature.seen", "purse", "at_ms", "me")):
    """A coin was seen."""

    name: str = field("Name.")
    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Entry(Seen, stream=Stream("coins.feature.entry", "purse", "at_ms", "me")):
    """A coin was entered."""


class Total(Record, stream=Stream("coins.feature.total", "purse", "at_ms", "me")):
    """What a purse holds."""

    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)
    coins: int = field("How many.")
    amount: int = field("How much.")


class Sum(Record):
    """What a purse holds so far."""

    purse: str = field("The purse.")
    coins: int = field("How many.")
    amount: int = field("How much.")


@transform(reads=Coin, writes=Seen)
def sees(coin):
    """See a coin."""
    yield Seen(name=coin.name, purse=coin.purse, at_ms=coin.at_ms)


@transform(reads=Coin, writes=Entry)
def enters(coin):
    """Enter a coin."""
    if BROKEN and coin.amount % 4 == 0:
        raise ZeroDivisionError("what a bug")
    yield Entry(name=coin.name, purse=coin.purse, at_ms=coin.at_ms)


@fold(reads=Entry, writes=Total, state=Sum, key="purse", expires=hours(1))
def adds(state, entry):
    """Add a coin."""
    coins, amount = (state.coins, state.amount) if state else (0, 0)
    worth = len(entry.name)
    return Sum(purse=entry.purse, coins=coins + 1, amount=amount + worth), []


@adds.expired
def close(state, at_ms):
    """Say what the purse holds."""
    return [Total(purse=state.purse, at_ms=at_ms, coins=state.coins, amount=state.amount)]
'''


class Coins:
    """The flow `coins` in one namespace: what is published, and what came of it."""

    def __init__(self, connection: Connection, module: ModuleType, count: int) -> None:
        self.connection = connection
        self.module = module
        self.topology = discover(["coins"])
        self.flow = self.topology.flow("coins")
        cluster, registry = connection.cluster, connection.registry
        changes = plan_changes(self.topology, cluster, registry, PARTITIONS)
        apply(self.topology, cluster, registry, changes, None)
        self.plan = Plan(self.flow, registry, connection.settings.namespace)
        self.events = [
            module.Coin(name=f"{n}", purse=f"purse {n % 7}", at_ms=n, amount=n)
            for n in range(count)
        ]

    def publish(self) -> None:
        codec = self.plan.codec(self.module.Coin)
        producer = self.connection.cluster.producer()
        for event in self.events:
            partition = partition_of(event.purse, PARTITIONS)
            topic = self.plan.inputs[0].topic
            producer.produce(topic, codec.encode(event), event.purse, partition)
        assert producer.flush(20) == 0

    def close(self) -> None:
        """Move time past every deadline."""
        clock = self.plan.inputs[-1]
        producer = self.connection.cluster.producer()
        for partition in range(PARTITIONS):
            producer.produce(
                clock.topic, clock.codec.encode(ClockTick(at_ms=DAY_MS)), None, partition
            )
        assert producer.flush(20) == 0

    def taken(self) -> bool:
        """Whether the flow has come to the end of all its inputs, transaction markers left out."""
        done = watch.committed(self.flow, self.connection)
        ends = watch.sealed_ends(self.flow, self.connection)
        return all(done.get(place, 0) >= end for place, end in ends.items())

    def read(self, kind: Any) -> list[Any]:
        """The records of a stream, partition by partition."""
        log, codec = self.connection.cluster.log(), self.plan.codec(kind)
        topic = self.plan.topic(stream_of(kind).topic)
        found = [codec.decode(s.value) for p in range(PARTITIONS) for s in log.records(topic, p)]
        log.close()
        return found

    def letters(self) -> list[Letter]:
        namespace = self.connection.settings.namespace
        return list(read_letters(self.connection.cluster, namespace, self.flow.dead_letter))

    def asked(self) -> int:
        """How many redrives were committed."""
        topic = self.plan.inputs[self.plan.redrive].topic
        log = self.connection.cluster.log()
        count = sum(1 for p in range(PARTITIONS) for _ in log.records(topic, p))
        log.close()
        return count

    def redrive(self, **choice: Any) -> Any:
        chosen = dead_letters.Choice(flow="coins", **choice)
        outcomes, missing = dead_letters.decide(self.connection, self.topology, chosen, "redrive")
        assert missing == []
        return outcomes["coins"]

    def check(self) -> None:
        """All is as if nothing had ever been refused: each letter was taken once, by who refused
        it, in the order of its key."""
        module = self.module
        sound = Driver(self.flow, partitions=PARTITIONS).run([*self.events, Clock(DAY_MS)])
        assert self.read(module.Seen) == sound.read(module.Seen)
        entries = self.read(module.Entry)
        assert Counter(e.name for e in entries) == Counter(e.name for e in self.events)
        assert totals(self.read(module.Total)) == totals(sound.read(module.Total))
        for purse in {e.purse for e in self.events}:
            late = [int(e.name) for e in entries if e.purse == purse and int(e.name) % 4 == 0]
            assert late == sorted(late)


def totals(records: list[Any]) -> list[tuple[str, int, int]]:
    """Without the deadline: an entry that begins with a redriven record begins later."""
    return sorted((total.purse, total.coins, total.amount) for total in records)


@pytest.fixture
def coins(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Coins]:
    """The flow in a package of its own, and so many coins."""
    package = tmp_path / "coins"
    package.mkdir()
    (package / "__init__.py").write_text('"""Coins."""\n')
    (package / "flow.py").write_text(FLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("coins", "coins.flow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("coins.flow")
    return lambda count: Coins(connection, module, count)


@contextmanager
def running(system: Coins, **declared: Any) -> Iterator[Hosted]:
    """A worker's loop on a thread of ours; it must not end by itself."""
    connection = system.connection
    flow = replace(system.flow, **declared)
    plan = Plan(flow, connection.registry, connection.settings.namespace)
    hosted = Hosted(FlowLoop(plan, connection.cluster, 0))
    hosted.start()
    try:
        yield hosted
        hosted.check()
    finally:
        hosted.stop()
        assert hosted.join(WAIT_S)


def refused(
    system: Coins, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> list[Letter]:
    """Have a quarter of the coins refused, for a fault that is then mended."""
    system.publish()
    with monkeypatch.context() as patch, running(system):
        patch.setattr(system.module, "BROKEN", True)
        until("all coins taken", system.taken)
    letters = system.letters()
    assert len(letters) == len(system.events) // 4
    return letters


def begin(system: Coins, start: Callable[..., Any]) -> Any:
    folder = str(system.connection.settings.home)
    return start("--app", "coins", "worker", "coins", "--slot", "0", PYTHONPATH=folder)


def call(system: Coins, start: Callable[..., Any], *words: str, **environment: str) -> Any:
    folder = str(system.connection.settings.home)
    return start("--app", "coins", "dlq", *words, PYTHONPATH=folder, **environment)


def test_letters_are_taken_again_once_and_a_checker_would_see_it_otherwise(
    coins: Callable[[int], Coins],
    start: Callable[..., Any],
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = coins(400)
    letters = refused(system, monkeypatch, until)
    ids = [letter.id for letter in letters]
    with running(system):
        code, out, error = call(system, start, "redrive", "--all", "-o", "json").wait()
        assert (code, error) == (0, "")
        assert json.loads(out) == {
            "flows": {"coins": {"redriven": ids, "before": [], "left": {}}},
            "missing": [],
            "dry_run": False,
        }
        again = system.redrive()
        assert (again.done, again.before, again.left) == ([], ids, {})
        until("all letters taken", system.taken)
        system.close()
        until("the clock", system.taken)
        system.check()
        assert len(system.letters()) == len(letters)

        monkeypatch.setattr(Fates, "of", lambda *_: WAITING)  # a redrive that does not look
        assert len(system.redrive(processor="enters").done) == len(letters)
        until("them taken twice", system.taken)
    with pytest.raises(AssertionError):
        system.check()


def test_flow_pauses_after_one_letter_more_than_it_tolerates(
    coins: Callable[[int], Coins], until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = coins(40)
    monkeypatch.setattr(system.module, "BROKEN", True)
    tolerance = Tolerance(letters=2, records=40, error=ProcessorFault, processor="enters")
    system.publish()
    with running(system, tolerances=(tolerance,)) as hosted:
        until("a pause", lambda: hosted.reason is not None and "tolerated" in hosted.reason)
        until("what was taken committed", lambda: len(system.letters()) == 3)
        third = system.letters()[-1]
        assert hosted.reason == (
            f"dead letter of {third.cause.origin} (PROCESSOR_FAULT: ZeroDivisionError: what a bug) "
            "is number 3 among the last 40 records; at most 2 are tolerated"
        )
        monkeypatch.setattr(system.module, "BROKEN", False)
        assert hosted.flow is not None
        hosted.flow.resume()
        until("the rest", system.taken)
        assert hosted.reason is None
    assert len(system.letters()) == 3


@pytest.mark.full
def test_redrive_that_is_killed_half_way_is_done_by_the_next(
    coins: Callable[[int], Coins],
    start: Callable[..., Any],
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = coins(4_000)
    letters = refused(system, monkeypatch, until)
    worker = begin(system, start)
    topic = system.plan.inputs[system.plan.redrive].topic
    places = [(topic, p) for p in range(PARTITIONS)]

    def size() -> int:
        return sum(system.connection.cluster.ends(places).values())

    for kill in range(5):
        wanted, asked = size() + 1 + kill * 37, system.asked()
        redriving = call(system, start, "redrive", "--all", DOA_REDRIVE_RECORDS_MAX="3")
        until("so much written", lambda wanted=wanted: size() >= wanted)
        redriving.end(signal.SIGKILL)
        if kill == 2:
            worker.end(signal.SIGKILL)
            worker = begin(system, start)
        print(f"killed after {system.asked() - asked} more")
    assert 0 < system.asked() < len(letters)
    system.redrive()
    assert system.asked() == len(letters)
    assert system.redrive().done == []
    until("all letters taken", lambda: worker.check() or system.taken())
    system.close()
    until("the clock", lambda: worker.check() or system.taken())
    assert worker.end() == 0
    system.check()


def test_two_who_redrive_at_once_write_each_letter_once(
    coins: Callable[[int], Coins], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = coins(40)
    monkeypatch.setattr(system.module, "BROKEN", True)
    broken = Driver(system.flow, partitions=PARTITIONS).run(system.events)
    producer = system.connection.cluster.producer()
    for partition in range(PARTITIONS):
        for stored in broken.records(system.flow.dead_letter, partition):
            topic = system.plan.topic(system.flow.dead_letter)
            headers = list(stored.headers.items())
            producer.produce(topic, stored.value, stored.key, partition, headers=headers)
    assert producer.flush(20) == 0
    letters = system.letters()
    assert len(letters) == 10
    cluster = system.connection.cluster
    first = settle(cluster, system.plan, letters[:4], "redrive")
    assert first.done == [letter.id for letter in letters[:4]]
    slow = streams.letters._Desk(cluster, system.plan)
    slow.write(letters[4], "redrive")
    second = settle(cluster, system.plan, letters, "redrive")
    assert (second.before, len(second.done)) == (first.done, 6)
    with pytest.raises(Fenced):
        slow.commit()
    assert system.asked() == len(letters)
