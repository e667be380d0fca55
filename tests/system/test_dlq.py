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
from click.testing import CliRunner

import streams.letters
from ops import cli, dead_letters
from ops.apply import apply, plan_changes
from ops.connect import Connection
from ops.demo import watch
from schemas.internal import ClockTick
from streams.dead_letter import Letter
from streams.driver import Driver
from streams.errors import Fenced, ProcessorFault, StreamsError
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
FOLDER = str(Path(__file__).parent)
TRACED = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


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
            headers = {"traceparent": TRACED}
            producer.produce(topic, codec.encode(event), event.purse, partition, headers=headers)
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

    def traces(self, kind: Any) -> Counter[bytes]:
        """How many records of a stream are of which trace."""
        log, topic = self.connection.cluster.log(), self.plan.topic(stream_of(kind).topic)
        found = Counter(
            stored.headers.get("traceparent", b"")[3:35]
            for partition in range(PARTITIONS)
            for stored in log.records(topic, partition)
        )
        log.close()
        return found

    def letters(self) -> list[Letter]:
        return list(read_letters(self.connection.cluster, self.flow.dead_letter))

    def asked(self) -> int:
        """How many redrives were committed."""
        topic = self.plan.inputs[self.plan.redrive].topic
        log = self.connection.cluster.log()
        count = sum(1 for p in range(PARTITIONS) for _ in log.records(topic, p))
        log.close()
        return count

    def refuse(self, monkeypatch: pytest.MonkeyPatch, **changed: bytes) -> list[Letter]:
        """Write the letters of a quarter of the coins, as a worker would have."""
        monkeypatch.setattr(self.module, "BROKEN", True)
        broken = Driver(self.flow, partitions=PARTITIONS).run(self.events)
        topic, producer = self.plan.topic(self.flow.dead_letter), self.connection.cluster.producer()
        head = self.plan.codec(self.module.Coin).encode(self.events[0])[:5]  # of this registry
        for partition in range(PARTITIONS):
            for stored in broken.records(self.flow.dead_letter, partition):
                headers = list((stored.headers | changed).items())
                value = head + (stored.value or b"")[5:]
                producer.produce(topic, value, stored.key, partition, headers=headers)
        assert producer.flush(20) == 0
        return self.letters()

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
def coins(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Coins]:
    """The flow in the package beside this file, and so many coins."""
    monkeypatch.syspath_prepend(FOLDER)
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
    except AssertionError as error:
        raise AssertionError(f"{error}; the loop: {hosted.state()} {hosted.fault()}") from error
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
    return start("--app", "coins", "worker", "coins", "--slot", "0", PYTHONPATH=FOLDER)


def call(system: Coins, start: Callable[..., Any], *words: str, **environment: str) -> Any:
    return start("--app", "coins", "dlq", *words, PYTHONPATH=FOLDER, **environment)


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
        assert system.traces(system.module.Entry) == {TRACED[3:35]: 400}, "redriven ones, too"

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
    letters = system.refuse(monkeypatch)
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


def test_letters_are_listed_shown_parked_redriven_and_dropped(
    coins: Callable[[int], Coins], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = coins(40)
    letters = system.refuse(monkeypatch)
    parked = system.refuse(monkeypatch, **{"error.attempt": b"3"})[10:]
    monkeypatch.setattr("ops.commands.dlq.connect", lambda: system.connection)

    def doa(*words: str) -> tuple[int, Any]:
        result = CliRunner().invoke(cli.doa, ["--app", "coins", "dlq", *words, "-o", "json"])
        known = (None, SystemExit, StreamsError)
        assert isinstance(result.exception, known[1:]) or result.exception is None
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.exception

    code, listed = doa("ls")
    first, last = letters[0], parked[-1]
    group = {"class": "PROCESSOR_FAULT", "flow": "coins", "processor": "enters"}
    counted = {"waiting": 10, "parked": 10, "redriven": 0, "dropped": 0}
    times = {"first_ms": first.written_ms, "last_ms": last.written_ms}
    expected = {**group, "topic": "coins.event.coin", **counted, **times, "example": first.id}
    assert (code, listed) == (0, {"groups": [expected]})

    code, shown = doa("show", first.id)
    assert (code, shown["state"], shown["error"]) == (0, "waiting", "PROCESSOR_FAULT")
    assert shown["value"] == (first.value or b"").hex()
    assert shown["origin"].startswith("coins.event.coin[")

    assert doa("drop", first.id)[0] == 2  # nobody can be asked
    assert doa("drop", first.id, "--yes")[1]["flows"]["coins"]["dropped"] == [first.id]
    code, told = doa("redrive", first.id)
    assert (code, told["flows"]["coins"]["left"]) == (1, {first.id: "it was dropped"})
    gone = "coins.dead_letter[0]@99999"
    assert doa("redrive", first.id, gone)[1]["missing"] == [gone]
    assert system.asked() == 1

    code, planned = doa("redrive", "--class", "PROCESSOR_FAULT", "--dry-run")
    assert (code, len(planned["flows"]["coins"]["redriven"]), system.asked()) == (0, 9, 1)
    assert doa("redrive", "--processor", "-")[1]["flows"]["coins"]["redriven"] == []
    reason = "it is parked after 3 attempts; --force tries it once more"
    code, told = doa("redrive", last.id, letters[1].id)
    assert (code, told["flows"]["coins"]) == (
        1, {"redriven": [letters[1].id], "before": [], "left": {last.id: reason}}
    )  # fmt: skip
    assert doa("redrive", last.id, "--force")[0] == 0
    counted = {"waiting": 8, "parked": 9, "redriven": 2, "dropped": 1}
    assert [{k: g[k] for k in counted} for g in doa("ls", "coins", "--all")[1]["groups"]] == [
        counted
    ]
    assert doa("ls", "nowhere")[0] == 1
    dead_letters.forget(system.connection, system.topology, system.flow)  # as a reset does
    assert doa("ls", "coins")[1] == {"groups": []}
