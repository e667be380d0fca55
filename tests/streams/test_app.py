"""The Faust host without a broker: what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.exceptions import ImproperlyConfigured, KeyDecodeError, ValueDecodeError
from faust.serializers import codecs

from ops.examples.agents.desk.records import Delay, LateAlert, Rebooking
from schemas.record import Record
from streams.app import Host, bridge, build_app, run_app, seal_codecs
from streams.app.bridge import RecordSchema
from streams.codec import Codec, MemoryRegistry
from streams.errors import (
    BrokerError,
    Fenced,
    RegistryError,
    StreamsError,
    Stuck,
    TopologyError,
)
from streams.flow import FlowLoop
from streams.hosted import Hosted
from streams.merge import Merge, Stored
from streams.plan import Plan
from streams.settings import Settings
from streams.topology import discover
from tests.system.clinic.flow import Visit

TOPICS = {"desk.event.delay": 2, "desk.alert.late": 2, "desk-control": 1}
DESK = discover(("ops.examples.agents.desk",))
INPUTS = [one.name for one in Plan(DESK.flow("desk"), MemoryRegistry()).inputs]
DELAYS = INPUTS.index("desk.event.delay")


class Loop:
    """A loop that does what a test tells it to, where a FlowLoop would process."""

    reason = None

    def __init__(self, work: Callable[[Loop], None]) -> None:
        self.plan = SimpleNamespace(flow=SimpleNamespace(name="replay"))
        self.stopping = threading.Event()
        self.work = work

    def run(self) -> None:
        self.work(self)

    def stop(self) -> None:
        self.stopping.set()


def host(*loops: Any, **settings: Any) -> Host:
    cluster: Any = SimpleNamespace(bootstrap="127.0.0.1:1", partitions=lambda: TOPICS)
    return build_app("test", loops, cluster, MemoryRegistry(), DESK, Settings(**settings))


@pytest.fixture
def app() -> Iterator[Host]:
    app = host()
    yield app
    app.close()


@pytest.mark.parametrize("name", ["pickle", "pickle_restricted", "pickle_fickling", "raw|pickle"])
def test_pickle_is_refused_by_name(name: str) -> None:
    seal_codecs()
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        codecs.loads(name, b64encode(pickle.dumps(1)))
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        codecs.dumps(name, 1)


def test_pickle_is_refused_by_class() -> None:
    seal_codecs()
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        codecs.raw_pickle().loads(pickle.dumps(1))
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        codecs.pickle().loads(b64encode(pickle.dumps(1)))


@pytest.mark.parametrize("role", ["key_serializer", "value_serializer"])
def test_topic_with_pickle_is_refused_where_it_is_declared(app: Host, role: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        app.topic("desk.event.delay", **{role: "pickle"})
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        app.topic("desk.event.delay", **{role: codecs.pickle()})
    with pytest.raises(ImproperlyConfigured, match="pickle is refused"):
        faust.Schema(**{role: "pickle_restricted"})


def test_taken_web_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StreamsError, match=f"port {port} cannot be had .* set DOA_WEB_PORT"):
            host(web_port=port)


def test_web_binds_loopback_and_nothing_is_created_on_the_cluster(app: Host) -> None:
    conf = app.conf
    assert (conf.web_bind, conf.web_port) == ("127.0.0.1", app.bound_port)
    assert (conf.topic_disable_leader, conf.topic_allow_declare) == (True, False)
    assert (conf.reply_create_topic, str(conf.store)) == (False, "memory:")
    assert (conf.web_tables_enabled, conf.web_router_enabled) == (False, False)


def test_host_ends_in_peace_when_its_last_loop_has() -> None:
    done: list[str] = []
    run_app(host(Loop(lambda loop: done.append("short")), Loop(lambda loop: done.append("other"))))
    assert sorted(done) == ["other", "short"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_loop_that_dies_takes_the_host_and_the_other_loops_with_it() -> None:
    ended: list[str] = []

    def die(loop: Loop) -> None:
        raise Fenced("another worker has slot 0")

    def go_on(loop: Loop) -> None:
        assert loop.stopping.wait(10)
        ended.append("committed")

    with pytest.raises(Fenced, match="another worker has slot 0"):
        run_app(host(Loop(go_on), Loop(die)))
    assert ended == ["committed"]


def test_views_answer_while_a_loop_runs() -> None:
    answers: dict[str, Any] = {}

    def ask(loop: Loop) -> None:
        for path in ("/live/", "/ready/", "/metrics/", "/table/", "/graph/", "/stats/"):
            answers[path] = answer(app.bound_port, path)

    app = host(Loop(ask))
    run_app(app)
    assert answers["/live/"] == (200, '{"live":true,"faults":[]}')
    assert json.loads(answers["/ready/"][1]) == {
        "ready": True,
        "flows": {"replay": {"alive": True, "reason": None, "lag": 0, "units": []}},
    }
    assert answers["/metrics/"][1].splitlines()[-1].startswith("worker_rss_bytes ")
    assert [answers[path][0] for path in ("/table/", "/graph/", "/stats/")] == [404, 404, 404]


def waiting_flow(**ends: int) -> FlowLoop:
    """A loop that has been restored, of a cluster where its inputs end at `committed`, or with an
    open transaction at `uncommitted`."""
    committed = ends["committed"]
    uncommitted = ends.get("uncommitted", committed)

    def asked(places: list[tuple[str, int]], committed_only: bool) -> dict[tuple[str, int], int]:
        end = committed if committed_only else uncommitted
        return {(t, p): end if t == INPUTS[DELAYS] else 0 for t, p in places}

    cluster: Any = SimpleNamespace(
        settings=Settings(),
        answers=lambda: True,
        ends=lambda places, committed=False: asked(places, committed),
    )
    loop = FlowLoop(Plan(DESK.flow("desk"), MemoryRegistry()), cluster, 0)
    loop._waits = None
    return loop


def some_time_later(loop: FlowLoop) -> None:
    """After a minute of looking at units that did not move."""
    progress = loop._progress
    progress.all_moved(loop.merges)
    progress._look_at = progress._ask_at = 0
    progress.look(loop.merges)
    assert progress._asked is not None
    progress._asked.result(10)
    progress._look_at = 0
    progress.look(loop.merges)
    for number in progress._moved_at:
        progress._moved_at[number] -= 61
    progress._look_at = 0
    progress.look(loop.merges)


def merge(horizon: int = 0, position: int = 0, decode: Any = None) -> Merge:
    horizons, positions = [0] * len(INPUTS), [0] * len(INPUTS)
    horizons[DELAYS], positions[DELAYS] = horizon, position
    return Merge(horizons, positions, decode or (lambda source, stored: None))


def test_stuck_loop_is_a_fault_and_a_waiting_one_is_not(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = waiting_flow(committed=5)
    hosted = Hosted(loop)
    loop.merges = {0: merge(horizon=5)}
    loop._waits = "starting"
    some_time_later(loop)
    assert (hosted.reason, hosted.fault()) == ("starting", None)
    loop._waits = None
    assert hosted.fault() == "flow desk: 5 records wait, and none was taken for 60 s"
    with pytest.raises(Stuck, match="5 records wait"):
        hosted.check()
    assert "in check\n" in capfd.readouterr().err, "it says where the threads stand"
    monkeypatch.setattr(loop.cluster, "answers", lambda: False)
    assert hosted.fault() is None, "a broker that is away is no fault of the flow's"
    monkeypatch.undo()
    loop.pause("paused: by hand")
    assert (hosted.reason, hosted.fault()) == ("paused: by hand", None)
    loop.resume()
    assert (hosted.reason, hosted.fault()) == (None, None), "a pause counts for nothing"


def test_records_that_came_after_the_start_and_are_not_fetched_are_seen_to_wait() -> None:
    loop = waiting_flow(committed=7)
    loop.merges = {0: merge(horizon=5, position=5), 1: merge(horizon=7, position=7)}
    some_time_later(loop)
    assert loop.lags()[("desk.event.delay", 0)] == 2
    assert loop.stuck
    loop.merges[0].reached(DELAYS, 7)
    some_time_later(loop)
    assert not loop.stuck


def test_open_transaction_of_somebody_is_a_reason() -> None:
    loop = waiting_flow(committed=3, uncommitted=5)
    loop.merges = {0: merge(horizon=5, position=3)}
    some_time_later(loop)
    assert loop.reason == "waiting for the open transaction at desk.event.delay[0]@3"
    assert not loop.stuck


def test_unit_that_waits_for_the_registry_does_not_hide_one_that_is_stuck() -> None:
    def refuse(source: int, stored: Stored) -> Any:
        raise RegistryError("the registry is away")

    loop = waiting_flow(committed=5)
    hosted = Hosted(loop)
    waiting = merge(horizon=5, decode=refuse)
    waiting.push(DELAYS, Stored(0, None, b"", {}))
    loop.merges = {0: waiting}
    some_time_later(loop)
    assert (hosted.reason, hosted.fault()) == ("outage: the registry is away", None)
    loop.merges[1] = merge(horizon=5)
    some_time_later(loop)
    assert "none was taken for 60 s" in str(hosted.fault())


BLOCKED = """
import threading, mode
from tests.streams.test_app import Loop, host
from streams.app import leave, run_app

class Blocked(mode.Service):
    async def on_stop(self):
        threading.Event().wait()  # as mode waits for a thread of its own

leave.LOOPS_S, leave.FAUST_S = 0.3, 0.2
app = host(Loop(lambda loop: {work}))
app.service(Blocked)
run_app(app)
"""


@pytest.mark.parametrize(("work", "code"), [("None", 0), ("1 / 0", 1)])
def test_faust_that_does_not_end_is_left_behind(work: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(work=work)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code
    assert "the process ends without it" in ended.stderr
    assert "in on_stop" in ended.stderr, "it says where the threads stand"


def test_bridge_writes_no_stream_that_has_a_writer_and_no_other_record(app: Host) -> None:
    alert = LateAlert(airport="EWR", flight="UA1", announced_ms=0)
    with pytest.raises(TopologyError, match=r"desk\.alert\.late is written by late; a derived"):
        asyncio.run(bridge(app, LateAlert).send(value=alert))
    with pytest.raises(TopologyError, match=r"desk\.event\.delay holds Delay, not LateAlert"):
        asyncio.run(bridge(app, Delay).send(value=alert))
    with pytest.raises(TopologyError, match=r"await topic\.send"):
        bridge(app, Delay).send_soon(value=alert)


def test_bridge_to_a_topic_that_is_not_there_says_what_to_do(app: Host) -> None:
    with pytest.raises(BrokerError, match=r"no topic desk\.event\.rebooking; run: doa apply"):
        bridge(app, Rebooking)


def answer(port: int, path: str) -> tuple[int, str]:
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except urllib.error.URLError:
            threading.Event().wait(0.05)
    raise AssertionError(f"nobody answers at {path}")


def test_log_of_a_record_that_is_skipped_quotes_nothing_personal() -> None:
    def told(record: type[Record], **fields: Any) -> str:
        codec = Codec(record, "a-value", MemoryRegistry())
        value = codec.encode(record.model_construct(**fields))
        with pytest.raises(ValueDecodeError) as error:
            RecordSchema(codec, "person", 1, None).loads_value(None, SimpleNamespace(value=value))
        assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)
        return str(error.value)

    visit = {"person": "ada-1815", "ward": "north", "homes": [], "contacts": {}, "cost": None}
    assert told(Visit, **visit, at_ms=-5) == "OUT_OF_BOUNDS: ‹personal›"
    delay = {"airport": "EWR", "flight": "UA1", "announced_ms": -5, "minutes": 1}
    assert told(Delay, **delay).startswith("OUT_OF_BOUNDS: field announced_ms: ")
    schema = RecordSchema(Codec(Visit, "a-value", MemoryRegistry()), "person", 1, None)
    with pytest.raises(KeyDecodeError, match="‹personal›") as error:
        schema.loads_key(None, SimpleNamespace(key=b"ada-1815\xff"))
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)
