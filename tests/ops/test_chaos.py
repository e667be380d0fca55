"""The campaign's own parts: the checker sees every kind of difference, the gates lose what they are
told to lose.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.chaos import clock
from ops.chaos.cases import CASES, plain
from ops.chaos.checker import Differences, Orders, compare, compare_orders, extend
from ops.chaos.gates import EndTxnGate, RegistryGate
from ops.chaos.ground import end_workers
from ops.chaos.proxy import Proxy
from ops.chaos.run import NothingLeft, Run
from ops.chaos.soak import Feed, Soak, judge, rounds
from ops.chaos.team import Team, WorkerDied
from ops.chaos.witness import Seen, seen
from ops.commands.chaos import Wishes, to_the_end
from ops.examples.tides.records import Reading
from schemas.internal import JournalEntry
from streams.errors import StreamsError
from streams.lineage import HEADER, pack_header
from streams.merge import Stored
from streams.topology import Topology

YEAR_MS = 31_557_600_000
NOW_MS = 56 * YEAR_MS
PLACE = ("chaos.tides.alert.flood", 0)


def records(*numbers: int, digest: bytes = b"same") -> list[Seen]:
    return [Seen(n, b"#%d" % n, digest) for n in numbers]


@pytest.mark.parametrize(
    ("found", "expected_counts"),
    [
        (records(0, 1, 2), {}),
        (records(0, 2), {"lost": 1}),
        (records(0, 1, 2, 3), {"duplicated": 1}),
        (records(0, 1, 1, 2), {"duplicated": 1, "zombie_records": 1}),
        (records(0, 2, 1), {"reordered": 1, "zombie_records": 1}),
        (records(0, 1) + records(2, digest=b"other"), {"changed": 1}),
        ([], {"lost": 3}),
    ],
)
def test_checker_names_each_difference(found: list[Seen], expected_counts: dict[str, int]) -> None:
    differences = compare({PLACE: found}, {PLACE: records(0, 1, 2)})
    assert {n: c for n, c in differences.counts().items() if c} == expected_counts
    assert bool(differences) is bool(expected_counts)


def test_differences_of_runs_add_up() -> None:
    total = Differences()
    for _ in range(2):
        total.add(compare({PLACE: records(0, 2)}, {PLACE: records(0, 1, 2)}))
    assert total.lost == 2
    assert total.told == ["chaos.tides.alert.flood[0]: #1 is lost"] * 2


def test_records_are_equal_by_key_value_and_lineage_not_by_a_models_bytes() -> None:
    def stored(value: bytes, number: int = 5, key: bytes = b"ABC", parent: bytes = b"") -> Stored:
        header = pack_header(number, b"12345678", b"\x00", 1 if parent else 0, parent)
        return Stored(9, key, value, {HEADER: header}, 1)

    one = seen(stored(b"value"), model=False)
    assert (one.number, one.identity) == (5, b"#5")
    assert one == seen(stored(b"value")._replace(offset=99, appended_ms=7), model=False)
    assert one != seen(stored(b"other"), model=False)
    assert one != seen(stored(b"value", key=b"XYZ"), model=False)
    assert one != seen(stored(b"value", parent=b"parent"), model=False)
    assert seen(stored(b"value"), model=True) == seen(stored(b"other"), model=True)


def test_dead_letters_are_known_by_what_they_refuse() -> None:
    headers = {"error.record": b"a.event.b[0]@7", "error.processor": b"", "error.class": b"EMPTY"}
    one = seen(Stored(1, b"ABC", b"", headers, 1), model=False)
    assert (one.number, one.identity) == (-1, b"a.event.b[0]@7||EMPTY")
    assert one != seen(Stored(1, b"ABC", b"", headers | {"error.parent": b"x"}, 1), model=False)


def test_rounds_of_a_soak_differ_by_whole_weeks_alone() -> None:
    first = [reading(1_000, "a"), reading(9_000, "b")]
    played = list(islice(rounds(first, 6, NOW_MS), 5))
    assert played[:2] == first
    weeks, rest = divmod(played[2].measured_ms - 1_000, 7 * 86_400_000)
    assert (weeks, rest) == (3, 0)
    assert played[3] == first[1].model_copy(update={"measured_ms": played[3].measured_ms})
    assert played[4].measured_ms - played[2].measured_ms == played[2].measured_ms - 1_000


@pytest.mark.parametrize(("most", "years"), [(2, 56), (200, 50), (1_800, 4)])
def test_rounds_of_a_soak_that_are_asked_for_lie_in_the_past(most: int, years: int) -> None:
    first = [reading(NOW_MS, "a"), reading(NOW_MS + 8_000, "b")]
    played = list(islice(rounds(first, most, NOW_MS + 10_000), most))
    assert played[0].measured_ms // YEAR_MS == years
    assert played[-1].measured_ms <= NOW_MS + 10_000
    with pytest.raises(StreamsError, match="reach back to before 1970; ask for fewer --minutes"):
        rounds(first, 2_000, NOW_MS)


def reading(measured_ms: int, name: str) -> Reading:
    return Reading(reading_id=name, gauge="ABC", measured_ms=measured_ms, level=1.0)


@pytest.mark.parametrize(("growth", "passed"), [(0.0, True), (0.04, True), (0.08, False)])
def test_soak_fails_when_memory_grows(growth: float, passed: bool) -> None:
    found = Soak(records=3_600_000, seconds=3_600.0, lags=[0] * 100)
    samples = range(0, 3_600, 36)
    found.rss[0] = [(float(t), 1e8 * (1 + growth * t / 3_600)) for t in samples]
    found.descriptors[0] = [50] * 100
    judge(found, 1_000)
    assert (not found.failures) is passed
    found.descriptors[0][-1] = 60
    found.lags[-1] = 10_001
    judge(found, 1_000)
    assert any("descriptors" in failure for failure in found.failures)
    assert any("lag" in failure for failure in found.failures)


@pytest.mark.parametrize(("refused", "passed"), [(1_000, True), (1_001, False)])
def test_soak_fails_when_it_plays_what_is_refused(refused: int, passed: bool) -> None:
    found = Soak(records=100_000, seconds=100.0, dead_letters=refused)
    judge(found, 1_000)
    assert (found.failures == []) is passed


@pytest.mark.parametrize(("fed", "passed"), [(96_000, True), (94_000, False)])
def test_soak_fails_when_less_is_fed_than_was_asked_for(fed: int, passed: bool) -> None:
    found = Soak(records=fed, seconds=100.0)
    judge(found, 1_000)
    assert (found.failures == []) is passed


def test_soak_fails_when_its_feed_dies() -> None:
    feed = Feed(cast(Any, None), iter(()), 1_000)
    feed.start()
    feed.stop()
    assert isinstance(feed.error, AttributeError)


def test_order_of_taking_is_the_same_however_it_is_cut_into_transactions() -> None:
    def order(*entries: list[int]) -> Orders:
        found: list[tuple[str, int]] = []
        for runs in entries:
            entry = JournalEntry(code_version="", inputs=["a", "b"], starts=[0, 0], runs=runs)
            extend(found, entry)
        return {0: found}

    whole = order([0, 3, 1, 2, 0, 1])
    for other, count in ((order([0, 1], [0, 2, 1, 1], [1, 1, 0, 1]), 0), (order([1, 2, 0, 4]), 1)):
        differences = Differences()
        compare_orders(other, whole, differences)
        assert differences.reordered == count


def test_recovery_waits_for_every_unit_that_has_something_left() -> None:
    """Unit 0 has written all that it had to; unit 2 is the last that moves."""
    saw = {0: None, 1: 104.0, 2: None}
    witness = SimpleNamespace(counts={0: 9, 1: 5, 2: 5}, saw=lambda unit, after: saw[unit])
    team = SimpleNamespace(check=lambda: saw.update({2: 111.0}) or True)
    totals = dict.fromkeys(range(3), 9)
    run = Run(cast(Any, None), cast(Any, team), cast(Any, witness), totals, Random(0))
    run.recovers({0, 1, 2}, since=100.0)
    assert run.recoveries_s == [11.0]
    with pytest.raises(NothingLeft):
        run.recovers({0}, since=100.0)


def test_next_campaign_ends_workers_that_were_left_behind(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import signal; signal.pause()", "worker"]
    ours, other = (
        subprocess.Popen(program, env={**os.environ, "DOA_HOME": str(tmp_path / name)})
        for name in ("ours", "other")
    )
    try:
        deadline = time.monotonic() + 10
        while ours.poll() is None and time.monotonic() < deadline:
            end_workers(tmp_path / "ours")
        assert (ours.wait(), other.poll()) == (-signal.SIGKILL, None)
    finally:
        other.kill()
        other.wait()


def test_scarce_tools_fail_a_case_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "COMPILER", "no-such-compiler")
    monkeypatch.setattr(clock, "_faketime", lambda: Path("libfaketime.so.1"))
    assert "apt-get install gcc" in str(CASES["clock_jump"].lacks())
    monkeypatch.setattr(clock, "_faketime", lambda: None)
    assert "apt-get install faketime" in str(CASES["clock_jump"].lacks())
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert "root" in str(CASES["disk_full"].lacks())


class Echo:
    """A server that sends back each frame's correlation id, as Kafka would."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            while head := connection.recv(4, socket.MSG_WAITALL):
                frame = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
                self.heard.append(frame)
                connection.sendall(struct.pack(">i", 4) + frame[4:8])


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


def request(api_key: int, correlation: int) -> bytes:
    body = (
        struct.pack(">hhih", api_key, 1, correlation, 3) + b"rdk" + struct.pack(">h", 4) + b"a.b7"
    )
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(("loss", "heard"), [("request", 2), ("response", 3)])
def test_gate_loses_one_end_of_a_transaction_and_nothing_else(
    echo: Echo, loss: Any, heard: int
) -> None:
    gate = EndTxnGate()
    proxy = Proxy(echo.listener.getsockname()[1], gate.relay)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        gate.lose_next(loss)
        client.sendall(request(24, 1) + request(26, 2) + request(26, 3))
        answers = [client.recv(8, socket.MSG_WAITALL) for _ in range(2)]
    proxy.close()
    assert [struct.unpack(">ii", a)[1] for a in answers] == [1, 3]
    assert len(echo.heard) == heard
    assert [name for _, name in gate.lost] == ["a.b7"]


def test_worker_counts_as_fenced_only_if_it_says_so(tmp_path: Path) -> None:
    settings = SimpleNamespace(bootstrap="", namespace="")
    ground = SimpleNamespace(
        folder=tmp_path, proxied_registry="", connection=SimpleNamespace(settings=settings),
        topology=SimpleNamespace(packages=("processors",)), flow=SimpleNamespace(name="flights"),
    )  # fmt: skip
    for text, fenced in (("another worker has taken over; this one ends", True), ("stuck", False)):
        program = [sys.executable, "-c", f"print({text!r}); raise SystemExit(1)"]
        team = Team(cast(Any, ground), program, {}, plain, text[:5])
        team.start(0)
        with contextlib.nullcontext() if fenced else pytest.raises(WorkerDied):
            team.fenced(team.running[0])


def test_signal_does_not_cut_a_clean_up_short() -> None:
    steps = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be switched off
    with pytest.raises(KeyboardInterrupt), to_the_end():
        signal.raise_signal(signal.SIGINT)
        steps.append("cleaned up")
    signal.signal(signal.SIGINT, before)
    assert steps == ["cleaned up"]


def test_command_that_plays_a_case_again_is_whole() -> None:
    options = {"names": (), "flow": "tides", "events": 1_000, "partitions": 4, "workers": 2}
    topology = Topology({}, "", ("processors", "ops.examples.tides"))
    wishes = Wishes(topology, 7, True, faults=3, minutes=1.0, rate=1, **options)
    assert wishes.again("zombie") == (
        "doa --app ops.examples.tides chaos --full --only zombie --seed 7 --flow tides "
        "--events 1000 --partitions 4 --workers 2 --faults 3"
    )


def test_registry_gate_plays_an_outage(echo: Echo) -> None:
    gate = RegistryGate()
    proxy = Proxy(echo.listener.getsockname()[1], gate.relay)

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
        try:
            connection.request("GET", "/subjects")
            return connection.getresponse().status
        finally:
            connection.close()

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as kept:
        kept.sendall(request(24, 1))
        assert kept.recv(8, socket.MSG_WAITALL)
        proxy.cut()
        assert kept.recv(1) == b""
    gate.mood = "503"
    assert ask() == 503
    gate.mood = "down"
    with pytest.raises((OSError, http.client.HTTPException)):
        ask()
    proxy.close()
    with pytest.raises(OSError):
        ask()
