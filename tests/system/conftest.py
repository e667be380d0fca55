"""The real broker, started once for all tests that need one, and the flow `flights` on it.

Every test has a namespace and a home of its own, so that nothing needs to be cleaned or restarted
between two.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.apply import apply, plan_changes
from ops.cli import main
from ops.connect import Connection, connect
from ops.demo import watch
from ops.stack import Endpoints, Stack
from schemas.record import Record
from streams.driver import Driver
from streams.lineage import HEADER
from streams.merge import Stored
from streams.plan import Plan
from streams.reader import Reader
from streams.replay import SourceLoop
from streams.settings import Settings
from streams.topology import Topology, discover, outputs_of, stream_of
from streams.validation import checked

WAIT_S = 60.0
POLL_S = 0.02
ROOT = Path(__file__).parents[2]

# What a partition of a stream holds: (key, value after the schema id, lineage header) of each
# record, in order.
Contents = dict[tuple[str, int], list[tuple[bytes | None, bytes | None, bytes | None]]]

_driven: dict[tuple[Any, ...], Contents] = {}
_namespaces = (f"t{os.getpid()}_{n}" for n in itertools.count())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that lives as long as the tests do; DOA_TEST_HOME names one that is kept instead."""
    kept = os.environ.get("DOA_TEST_HOME")
    stack = Stack(Path(kept) if kept else tmp_path_factory.mktemp("stack"))
    stack.up()
    yield stack
    if not kept:
        stack.down()


@pytest.fixture(scope="session")
def endpoints(stack: Stack) -> Endpoints:
    """Where it can be reached."""
    return stack.up()


@pytest.fixture
def connection(endpoints: Endpoints, tmp_path: Path) -> Iterator[Connection]:
    """The cluster, seen through a namespace and a home that no other test uses."""
    connection = connect(
        Settings(
            bootstrap=endpoints.bootstrap,
            registry_url=endpoints.registry_url,
            namespace=next(_namespaces),
            home=tmp_path,
        )
    )
    yield connection
    connection.registry.close()


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition, by name."""
    return wait_until


def wait_until(what: str, check: Callable[[], Any], seconds: float = WAIT_S) -> Any:
    """What `check` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(POLL_S)
    return found


class Process:
    """A command of ours in a process of its own, told by its environment where everything is."""

    def __init__(
        self, connection: Connection, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> None:
        settings = connection.settings
        assert settings.home is not None
        self.home = settings.home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments],
            env={
                **os.environ,
                "DOA_BOOTSTRAP": str(settings.bootstrap),
                "DOA_REGISTRY_URL": str(settings.registry_url),
                "DOA_NAMESPACE": settings.namespace,
                "DOA_HOME": str(settings.home),
                "PYTHONHASHSEED": "0",
                **environment,
            },
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> bool:
        """Whether it has its partitions and takes records."""
        self.check()
        state = self.home / "workers" / f"{self.process.pid}.json"
        try:
            port = json.loads(state.read_text())["web_port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready/", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, ValueError):
            return False

    def check(self) -> None:
        """Fail with what it said if it has ended."""
        if self.process.poll() is not None:
            pytest.fail(f"ended with {self.process.returncode}: {self.process.communicate()}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.wait()[0]

    def wait(self, seconds: float = WAIT_S) -> tuple[int, str, str]:
        """Exit code, standard output and error."""
        out, error = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, error

    def clean_up(self) -> None:
        """Kill it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def start(connection: Connection) -> Iterator[Start]:
    """Start commands of ours (arguments, then environment variables by keyword); all are ended
    with the test."""
    started: list[Process] = []

    def begin(*arguments: str, **environment: object) -> Process:
        texts = {name: str(value) for name, value in environment.items()}
        started.append(Process(connection, arguments, texts))
        return started[-1]

    yield begin
    for one in started:
        one.clean_up()


Ask = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def ask(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Run a command in this process, as the console script does, over a connection that the test
    closes, and with what may be seen: its exit code, stdout, stderr.
    """

    def asked(*words: str, may_see: str = "") -> tuple[Any, str, str]:
        settings = connection.settings.model_copy(update={"may_see": may_see})
        for module in ("ops.frames", "ops.commands.sql"):
            monkeypatch.setattr(f"{module}.connect", lambda: replace(connection, settings=settings))
        monkeypatch.setattr(sys, "argv", ["doa", *words])
        with pytest.raises(SystemExit) as error:
            main()
        return (error.value.code, *capsys.readouterr())

    return asked


class Flights:
    """The flow `flights` in one namespace: its topics, its events, and what came of them."""

    def __init__(self, connection: Connection, partitions: int) -> None:
        self.connection = connection
        self.partitions = partitions
        self.topology: Topology = checked(discover())
        self.flow = self.topology.flow("flights")
        changes = plan_changes(self.topology, connection.cluster, connection.registry, partitions)
        apply(self.topology, connection.cluster, connection.registry, changes, None)
        self.plan = Plan(
            self.flow, connection.registry, connection.settings.namespace, connection.keys
        )
        written = [c for p in self.flow.processors for c in outputs_of(p)]
        self.outputs = list(dict.fromkeys(written))

    def load(self, flights: int) -> None:
        """Publish the events of the first flights, and the clock that closes them, as `doa demo`
        does."""
        source = self.topology.flow("nycflights")
        cluster, registry = self.connection.cluster, self.connection.registry
        SourceLoop(
            self.topology, source, source.sources[0], cluster, registry, flights=flights
        ).run()
        self.ends = watch.sealed_ends(self.flow, self.connection)

    def progress(self) -> float:
        """The share of the events loaded that was committed."""
        done = watch.committed(self.flow, self.connection)
        return sum(done.values()) / sum(self.ends.values())

    def finished(self) -> bool:
        """Whether every event loaded was committed."""
        done = watch.committed(self.flow, self.connection)
        return all(done.get(place, 0) >= end for place, end in self.ends.items())

    def stored(self, names: list[str]) -> dict[tuple[str, int], list[Stored]]:
        """The committed records of topics (names without namespace). No transaction may stay open;
        the broker ends one a moment after it has said so.
        """
        places = {(self.plan.topic(t), p): (t, p) for t in names for p in range(self.partitions)}
        cluster = self.connection.cluster
        wait_until(
            "no transaction is open",
            lambda: cluster.ends(places, committed=True) == cluster.ends(places),
        )
        ends = cluster.ends(places)
        found: dict[tuple[str, int], list[Stored]] = {place: [] for place in places.values()}
        reader = Reader(self.connection.cluster, "system-tests", dict.fromkeys(places, 0))
        left = {place for place, end in ends.items() if end > 0}
        deadline = time.monotonic() + WAIT_S
        while left:
            assert time.monotonic() < deadline, f"not read to the end: {sorted(left)[:3]}"
            for topic, partition, stored, reached in reader.fetch(5_000, 0.1):
                if stored is not None:
                    found[places[(topic, partition)]].append(stored)
                if reached >= ends[(topic, partition)]:
                    left.discard((topic, partition))
        reader.close()
        return found

    def contents(self) -> Contents:
        """What the flow wrote, as two runs are compared."""
        names = [stream_of(c).topic for c in self.outputs] + [self.flow.dead_letter]
        return {
            place: [comparable(place[0], s) for s in log]
            for place, log in self.stored(names).items()
        }

    def read(self, *kinds: type[Record]) -> dict[type[Record], list[Any]]:
        """The records of streams, partition by partition."""
        found = self.stored([stream_of(kind).topic for kind in kinds])
        return {
            kind: [
                self.plan.codec(kind).decode(stored.value)
                for partition in range(self.partitions)
                for stored in found[(stream_of(kind).topic, partition)]
            ]
            for kind in kinds
        }

    def undisturbed(self) -> Contents:
        """What the in-memory driver makes of the very events that the topics hold.

        Ids of schemas differ between registries and namespaces, so equal events are driven once.
        """
        driver = Driver(self.flow, partitions=self.partitions)
        inputs = {i.name: i.codec for i in driver.plan.inputs}
        events = {
            place: [(s.key, (s.value or b"")[5:], s.headers[HEADER]) for s in log]
            for place, log in self.stored(list(inputs)).items()
        }
        same_events = (self.partitions, *((place, *log) for place, log in events.items()))
        if same_events not in _driven:
            for (name, partition), log in events.items():
                inputs[name].register()
                for key, body, header in log:
                    value = inputs[name].prefix + body
                    driver.publish_raw(name, key, value, partition, **{HEADER: header})
            driver.process()
            names = [stream_of(c).topic for c in self.outputs] + [self.flow.dead_letter]
            _driven[same_events] = {
                (name, p): [comparable(name, s) for s in driver.records(name, p)]
                for name in names
                for p in range(self.partitions)
            }
        return _driven[same_events]


def comparable(name: str, stored: Stored) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Key, value and lineage. A model's pickle differs from run to run, and the id of a schema
    from registry to registry."""
    value = None if stored.value is None or ".model." in name else stored.value[5:]
    return stored.key, value, stored.headers.get(HEADER)


@pytest.fixture
def flights(connection: Connection) -> Callable[[int], Flights]:
    """Make the topics of the flow with so many partitions."""
    return lambda partitions: Flights(connection, partitions)


@pytest.fixture
def same() -> Callable[[Contents, Contents], None]:
    """Assert that two runs wrote the same, and say where they part."""
    return assert_same


def assert_same(found: Contents, expected: Contents) -> None:
    """Fail at the first record that differs; lists of thousands are no reading."""
    assert found.keys() == expected.keys()
    for place, records in expected.items():
        for n, (one, other) in enumerate(zip(found[place], records, strict=False)):
            assert one == other, f"{place[0]}[{place[1]}]: record {n} differs"
        assert len(found[place]) == len(records), f"{place[0]}[{place[1]}] has another length"
