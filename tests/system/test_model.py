"""Models on the real broker: restored from parts, from older snapshots, from the examples alone;
listed, shown, rebuilt and forgotten by command.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from platform import python_version
from typing import Any

import pytest
from click.testing import CliRunner, Result

import streams.restore
from ops.apply import apply, plan_changes
from ops.cli import doa
from streams.flow import FlowLoop
from streams.plan import Plan
from streams.snapshot import Keys, seal_model
from streams.topology import Flow, Topology, stream_of
from tests.streams.toy import Adder, Event, Guess, Model, driver, events, guesses, learner, sort

pytestmark = pytest.mark.broker

EVERY = 4
SNAPSHOTS = stream_of(Model).topic


class Toy:
    """The toy flow in one namespace, run by a loop of its own as often as asked."""

    def __init__(self, connection: Any, until: Callable[..., Any]) -> None:
        self.connection, self.until = connection, until
        self.flow = Flow("toy", (sort, learner(snapshot_every=EVERY)))
        self.topology = Topology({"toy": self.flow})
        changes = plan_changes(self.topology, connection.cluster, connection.registry)
        apply(self.topology, connection.cluster, connection.registry, changes, None)
        self.sent: list[Any] = []

    def plan(self) -> Plan:
        namespace = self.connection.settings.namespace
        return Plan(self.flow, self.connection.registry, namespace, self.connection.keys)

    def produce(self, topic: str, records: list[tuple[Any, Any]]) -> None:
        """Write keys and values as somebody else would."""
        producer = self.connection.cluster.producer()
        for key, value in records:
            producer.produce(self.plan().topic(topic), value, key, 0)
        assert producer.flush(20) == 0

    @contextmanager
    def running(self) -> Iterator[FlowLoop]:
        loop = FlowLoop(self.plan(), self.connection.cluster, 0)
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            self.until("partitions", lambda: loop.units)
            yield loop
        finally:
            loop.stop()
            thread.join(30)
            assert not thread.is_alive()

    def run(self, *answers: int | None) -> list[tuple[int | None, int]]:
        """Start, take these events, stop: all that was guessed so far."""
        codec, before = self.plan().codec(Event), len(self.sent)
        items = events(*([None] * before), *answers)[before:]
        self.sent += items
        with self.running() as loop:
            self.produce(stream_of(Event).topic, [(i.key, codec.encode(i)) for i in items])
            self.until(
                "all taken", lambda: loop.records_in >= len(items) and not any(loop.lags().values())
            )
        return [(g.answer, g.version) for g in self.read(Guess)]

    def read(self, kind: Any) -> list[Any]:
        codec = self.plan().codec(kind)
        return [codec.decode(s.value) for s in self.stored(stream_of(kind).topic) if s.value]

    def stored(self, topic: str) -> list[Any]:
        with closing(self.connection.cluster.log()) as log:
            return list(log.records(self.plan().topic(topic), 0))

    def expected(self) -> list[int | None]:
        """The answers of a flow that never saw what raised."""
        seen = [i for i in self.sent if (i.answer or 0) >= 0]
        return [answer for answer, _ in guesses(driver(sort, learner()).run(seen))]


@pytest.fixture
def toy(connection: Any, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr("streams.snapshot.PART_BYTES_MAX", 25)
    return Toy(connection, until)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Generations that were opened."""
    reached: list[int] = []

    def open_model(parts: Any, *rest: Any) -> Any:
        model = really_open(parts, *rest)
        reached.append(parts[0].generation)
        return model

    really_open = streams.restore.open_model
    monkeypatch.setattr("streams.restore.open_model", open_model)
    return reached


def test_model_is_the_same_whatever_becomes_of_its_snapshots(
    toy: Toy, opened: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an example that raises half way nothing is left, before and after every restart."""
    toy.run(1, 2, None, -7, 3, 4, 5, None)
    assert [p.key for p in toy.read(Model)] == [f"adder@0/1/{n}" for n in range(3)]
    old = [(s.key, s.value) for s in toy.stored(SNAPSHOTS)]
    toy.run(None, 6, -9, 7, 8, 9, 10, None)
    assert opened == [1, 1], "the rollback restores too"

    opened.clear()
    with monkeypatch.context() as other:
        other.setattr("streams.snapshot.versions", lambda: (python_version(), "0.99.1"))
        toy.run(None, 11, 12, 13, 14, None)
    assert opened == [], "another river: all is folded again"
    assert "river 0.26; here are 3.11, 0.99" in caplog.text

    toy.produce(SNAPSHOTS, old)
    toy.run(None, *range(15, 23), None)
    assert opened == [2], "neither that of another river nor an old one that was written again"
    assert "generation 1 is neither the last one, 3, nor the one before" in caplog.text

    opened.clear()
    last = toy.read(Model)[-1]
    toy.produce(SNAPSHOTS, [(last.key, None)])
    found = toy.run(None, 23, None)
    assert (last.generation, opened) == (5, [4]), "torn: the one before is opened"
    assert [answer for answer, _ in found] == toy.expected()
    letters = [s.headers["error.message"] for s in toy.stored("toy.dead_letter")]
    assert letters == [b"ValueError: half learned"] * 2


@pytest.fixture
def run(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command of ours on the toy flow, in this process."""
    monkeypatch.setattr("ops.commands.model.connect", lambda: toy.connection)
    monkeypatch.setattr("ops.commands.model.discover", lambda packages: toy.topology)
    monkeypatch.setenv("DOA_HOME", str(toy.connection.settings.home))
    return lambda *words: CliRunner().invoke(doa, ["model", *words], catch_exceptions=True)


def test_models_are_listed_shown_rebuilt_and_forgotten(
    toy: Toy, run: Callable[..., Result], opened: list[int]
) -> None:
    def listed() -> dict[str, Any]:
        (found,) = json.loads(run("ls", "-o", "json").stdout)["models"]
        return dict(found)

    assert (listed()["model"], listed()["state"], listed()["version"]) == (
        "adder@0",
        "none yet",
        None,
    )
    assert "has no snapshot yet" in str(run("rebuild", "adder").exception)
    assert "there is no model 'other'; there are: adder" in str(run("show", "other").exception)

    toy.run(1, 2, None, -7, 3, 4, 5, None, 6, 7, 8, 9)
    found = listed()
    assert {k: found[k] for k in ("version", "behind", "generation", "parts", "frozen")} == {
        "version": 8,
        "behind": 2,
        "generation": 2,
        "parts": 3,
        "frozen": False,
    }
    assert (found["position"], found["state"]) == ("toy.example.thing[0]#8", "ok")
    assert found["key"] in toy.connection.keys.keys
    (shown,) = json.loads(run("show", "adder@0", "-o", "json").stdout)["models"]
    assert shown["covers"] == "8 examples, the last is toy.example.thing[0]#7"
    assert run("show", "adder").stdout.count(shown["state_sha256"]) == 1

    for _ in range(2):
        result = run("rebuild", "adder", "-o", "json")
        assert result.exit_code == 0
        (rebuilt,) = json.loads(result.stdout)["rebuilt"]
        assert (rebuilt["version"], rebuilt["equal"], rebuilt["difference"]) == (8, True, None)

    with toy.running():
        assert "flow toy is running" in str(run("rebuild", "adder", "--forget").exception)
    assert listed()["state"] == "ok"
    group = toy.plan().topic("toy")
    toy.until("no member", lambda: not toy.connection.cluster.members(group))
    assert run("rebuild", "adder", "--forget").exit_code == 0
    assert (listed()["state"], listed()["version"]) == ("forgotten", None)
    opened.clear()
    assert [a for a, _ in toy.run(None, 10, 11, None)] == toy.expected()
    assert opened == []
    assert (listed()["state"], listed()["generation"]) == ("ok", 3)


def test_rebuild_says_no_to_a_model_that_its_examples_do_not_make(
    toy: Toy, run: Callable[..., Result]
) -> None:
    toy.run(1, 2, 3, 4, 5)
    (first, *_) = toy.read(Model)
    wrong = Adder()
    wrong.total = 11
    names = ("learner", "partition", "time_ms", "generation", "version", "offset_hint")
    fields = {name: getattr(first, name) for name in names}
    parts = seal_model(
        Model, toy.connection.keys, wrong, **fields, code_version="c0de", factory=Adder
    )
    codec = toy.plan().codec(Model)
    toy.produce(SNAPSHOTS, [(p.key, codec.encode(p)) for p in parts])
    result = run("rebuild", "adder", "-o", "json")
    assert result.exit_code == 1
    (rebuilt,) = json.loads(result.stdout)["rebuilt"]
    assert (rebuilt["equal"], rebuilt["difference"]) == (False, "model.total: 10 and 11")


def test_no_command_shows_a_key(toy: Toy, run: Callable[..., Result]) -> None:
    toy.run(1, 2, 3, 4, None)
    path = toy.connection.settings.home / "keys.json"
    shown = [run("rotate-key"), run("rotate-key", "-o", "json"), run("rotate-key")]
    rotated = json.loads(shown[1].stdout)
    assert list(Keys.load(path).keys)[1:] == [rotated["signs"]]
    assert rotated["forgotten"] == [next(iter(toy.connection.keys.keys))]
    secrets = {*toy.connection.keys.keys.values(), *Keys.load(path).keys.values()}
    object.__setattr__(toy.connection, "keys", Keys.load(path))
    shown += [run("ls"), run("show", "adder"), run("rebuild", "adder"), run("ls", "-o", "json")]
    assert "unknown key" in str(shown[-2].exception)
    text = "".join(r.output + str(r.exception) for r in shown)
    assert not [s for s in secrets if s.hex() in text or repr(s) in text]


def test_command_says_what_it_needs(start: Callable[..., Any]) -> None:
    code, out, error = start("model", "ls").wait()
    assert (code, out) == (1, "")
    assert "run: doa apply" in error
