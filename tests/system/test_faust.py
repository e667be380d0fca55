"""A worker under Faust, and a plain Faust agent beside it, on the real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError

from ops.apply import apply, plan_changes
from ops.connect import Connection
from ops.examples.agents.desk.records import Delay, DeskLoad, LateAlert, Rebooking
from ops.stack import Stack
from schemas.record import Record
from streams.hosted import send_control
from streams.partition import partition_of
from streams.plan import Plan
from streams.topology import discover, stream_of
from streams.validation import checked

pytestmark = pytest.mark.broker

PACKAGE = "ops.examples.agents.desk"
WORKER = ("-m", "ops", "--app", PACKAGE, "worker", "desk")
PARTITIONS = 2
WAIT_S = 60.0


def until(what: str, check: Callable[[], Any], seconds: float = WAIT_S) -> Any:
    """What `check` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


class Process:
    """A command of ours in a process of its own, told by its environment where everything is."""

    def __init__(self, connection: Connection, *arguments: str) -> None:
        settings = connection.settings
        assert settings.home is not None
        self.home = settings.home
        names = ("bootstrap", "registry_url", "namespace", "home")
        told = {f"DOA_{name.upper()}": str(getattr(settings, name)) for name in names}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **told},
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a web view; (0, "") as long as nobody answers."""
        state = self.home / "workers" / f"{self.process.pid}.json"
        try:
            port = json.loads(state.read_text())["web_port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, ValueError):
            return 0, ""

    def ready(self) -> bool:
        """Whether it takes records."""
        assert self.process.poll() is None, self.process.communicate()[0]
        return self.get("/ready/")[0] == 200

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; exit code and all that was printed."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = WAIT_S) -> tuple[int, str]:
        """Exit code and all that was printed."""
        printed, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, printed


Start = Callable[..., Process]


class Desk:
    """The flow `desk` on a cluster: its events go in here, and its records come out."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.topology = checked(discover((PACKAGE,)))
        self.apply()
        flow, namespace = self.topology.flow("desk"), connection.settings.namespace
        self.plan = Plan(flow, connection.registry, namespace)
        self.count = 0

    def apply(self) -> None:
        """Make what it lacks."""
        cluster, registry = self.connection.cluster, self.connection.registry
        changes = plan_changes(self.topology, cluster, registry, PARTITIONS)
        apply(self.topology, cluster, registry, changes, None)

    def announce(self, *minutes: int) -> None:
        """Publish delays, at EWR and LGA in turn."""
        producer = self.connection.cluster.producer()
        for late in minutes:
            delay = Delay(
                airport=("EWR", "LGA")[self.count % 2],
                flight=f"UA{self.count}",
                announced_ms=1_000 * self.count,
                minutes=late,
            )
            self.count += 1
            topic, value = self.plan.topic("desk.event.delay"), self.plan.codec(Delay).encode(delay)
            producer.produce(topic, value, delay.airport, partition_of(delay.airport, PARTITIONS))
        producer.flush()

    def read(self, record: type[Record]) -> list[Any]:
        """The committed records of a stream, partition by partition."""
        log = self.connection.cluster.log()
        topic, codec = self.plan.topic(stream_of(record).topic), self.plan.codec(record)
        found = [codec.decode(s.value) for p in range(PARTITIONS) for s in log.records(topic, p)]
        log.close()
        return found

    def alerts(self) -> list[str]:
        """The flights for which there is an alert, each as often as it was raised."""
        return sorted(alert.flight for alert in self.read(LateAlert))

    def control(self, verb: str, reason: str = "a test") -> None:
        """Send a command."""
        send_control(self.connection.cluster, self.plan, verb, reason)


@pytest.fixture
def start(connection: Connection) -> Iterator[Callable[..., Process]]:
    """Start commands; whatever is left of them is killed."""
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(connection, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def desk(connection: Connection) -> Desk:
    return Desk(connection)


def test_worker_serves_its_views_and_says_nothing(desk: Desk, start: Start) -> None:
    worker = start(*WORKER)
    until("ready", worker.ready)
    desk.announce(120, 119, 500)
    until("two alerts", lambda: desk.alerts() == ["UA0", "UA2"])
    assert worker.get("/live/") == (200, '{"live":true,"faults":[]}')
    status, body = worker.get("/ready/")
    assert (status, json.loads(body)) == (
        200,
        {
            "ready": True,
            "flows": {
                "desk": {"alive": True, "reason": None, "lag": 0, "units": [0, 1], "slot": 0}
            },
        },
    )
    status, metrics = worker.get("/metrics/")
    lines = metrics.splitlines()
    assert 'flow_records_in_total{flow="desk",processor="late"} 3.0' in lines
    assert 'flow_records_out_total{flow="desk",processor="late"} 2.0' in lines
    assert 'flow_dead_letters_total{flow="desk",processor="late"} 0.0' in lines
    assert 'flow_lag_records{flow="desk",partition="0",topic="desk.event.delay"} 0.0' in lines
    assert any(line.startswith("worker_rss_bytes ") for line in lines)
    assert worker.get("/table/")[0] == 404
    assert worker.get("/router/")[0] == 404
    began = time.monotonic()
    assert worker.end(signal.SIGTERM) == (0, "")
    assert time.monotonic() - began < 5


def test_worker_that_is_asked_to_end_while_it_starts_ends_in_peace(
    desk: Desk, start: Start
) -> None:
    worker = start(*WORKER)
    slots = worker.home / "slots"
    until("it has a slot", lambda: list(slots.glob("*desk.0.lock")))
    assert worker.end(signal.SIGTERM) == (0, "")


def test_pause_outlives_a_restart_and_ends_with_resume(desk: Desk, start: Start) -> None:
    worker = start(*WORKER)
    until("ready", worker.ready)
    desk.control("pause", "moving house")
    until("paused", lambda: worker.get("/ready/")[0] == 503)
    assert json.loads(worker.get("/ready/")[1])["flows"]["desk"]["reason"] == "paused: moving house"
    assert worker.get("/live/")[0] == 200
    assert worker.end(signal.SIGINT)[0] == 0

    desk.announce(200, 200)
    worker = start(*WORKER)
    until("up", lambda: "moving house" in worker.get("/ready/")[1])
    time.sleep(1)
    assert desk.alerts() == []
    desk.control("resume")
    until("ready", worker.ready)
    until("alerts", lambda: desk.alerts() == ["UA0", "UA1"])


def test_drain_ends_every_worker_with_zero_and_is_not_obeyed_again(
    desk: Desk, start: Start
) -> None:
    workers = [start(*WORKER), start(*WORKER)]
    until("both ready", lambda: all(worker.ready() for worker in workers))
    desk.announce(200)
    until("one alert", lambda: desk.alerts() == ["UA0"])
    desk.control("drain")
    assert [worker.wait()[0] for worker in workers] == [0, 0]
    worker = start(*WORKER)
    until("ready", worker.ready)
    desk.announce(200)
    until("two alerts", lambda: desk.alerts() == ["UA0", "UA1"])


def test_same_slot_fences_the_older_worker_which_says_so(desk: Desk, start: Start) -> None:
    older = start(*WORKER, "--slot", "0")
    until("ready", older.ready)
    younger = start(*WORKER, "--slot", "0")
    until("younger ready", younger.ready)
    desk.announce(200, 200)
    code, printed = older.wait()
    assert code == 1
    assert "another worker has taken over" in printed
    assert "Traceback" not in printed
    until("alerts once each", lambda: desk.alerts() == ["UA0", "UA1"])


def test_worker_that_lost_its_place_in_the_group_to_no_worker_takes_it_back(
    desk: Desk, start: Start
) -> None:
    worker = start(*WORKER, "--slot", "0")
    until("ready", worker.ready)
    stranger = desk.connection.cluster.member(desk.plan.topic("desk"), 0)
    given: list[Any] = []
    lost: list[Any] = []

    def poll(told: list[Any]) -> list[Any]:
        fetched = stranger.poll(0.1)
        error = fetched and fetched.error()
        if error and error.code() == KafkaError._FATAL:
            lost.append(error)
        return told

    stranger.subscribe([desk.plan.inputs[0].topic], on_assign=lambda _, parts: given.extend(parts))
    until("its place is taken", lambda: poll(given))
    until("it has its place again", lambda: poll(lost))
    desk.announce(200)
    until("an alert", lambda: desk.alerts() == ["UA0"])
    stranger.close()
    code, printed = worker.end()
    assert code == 0
    assert "Traceback" not in printed  # of the outage the log tells only if it lasts a while


def test_killed_worker_goes_on_at_once_and_writes_nothing_twice(desk: Desk, start: Start) -> None:
    worker = start(*WORKER)
    until("ready", worker.ready)
    desk.announce(*[200] * 10)
    until("ten", lambda: len(desk.alerts()) == 10)
    desk.announce(*[200] * 10)
    worker.end(signal.SIGKILL)
    worker = start(*WORKER)
    until("twenty", lambda: len(desk.alerts()) >= 20)
    desk.announce(200)
    until("the last", lambda: "UA20" in desk.alerts())
    assert desk.alerts() == sorted(f"UA{n}" for n in range(21))


def test_loop_that_cannot_start_ends_the_worker_with_a_sentence(
    desk: Desk, start: Start, connection: Connection
) -> None:
    subject = f"{connection.settings.namespace}.desk.event.delay-value"
    connection.registry._client.delete_subject(subject)
    code, printed = start(*WORKER).wait()
    assert code == 3
    assert f"doa: {subject} has no such schema in the registry; run: doa apply" in printed
    assert "Traceback" not in printed


def test_agent_reads_and_writes_declared_streams_over_the_bridge(
    desk: Desk, start: Start, connection: Connection
) -> None:
    worker = start(*WORKER)
    start("-m", "ops.examples.agents.rebook")
    until("ready", worker.ready)
    desk.announce(200, 200, 10, 200)
    until("three rebookings", lambda: len(desk.read(Rebooking)) == 3)
    consumer = Consumer(
        {
            "bootstrap.servers": connection.settings.bootstrap,
            "group.id": f"{connection.settings.namespace}.plain",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([desk.plan.topic("desk.event.rebooking")])
    messages = sorted(consumer.consume(3, 20), key=lambda m: m.offset() + 10 * m.partition())
    consumer.close()
    codec = desk.plan.codec(Rebooking)
    assert [(m.key(), m.partition(), codec.decode(m.value())) for m in messages] == [
        (b"LGA", 0, Rebooking(airport="LGA", flight="UA1", booked_ms=301_000)),
        (b"LGA", 0, Rebooking(airport="LGA", flight="UA3", booked_ms=303_000)),
        (b"EWR", 1, Rebooking(airport="EWR", flight="UA0", booked_ms=300_000)),
    ]
    until("no case open", lambda: [r.open_cases for r in desk.read(DeskLoad)][-1:] == [0])


def test_agent_sees_no_aborted_record_and_outlives_a_broken_one(
    desk: Desk, start: Start, connection: Connection
) -> None:
    topic, codec = desk.plan.topic("desk.alert.late"), desk.plan.codec(LateAlert)

    def write(flight: str, value: bytes | None = None) -> Any:
        alert = LateAlert(airport="JFK", flight=flight, announced_ms=0)
        producer = connection.cluster.producer(f"{connection.settings.namespace}.test")
        producer.begin_transaction()
        partition = partition_of("JFK", PARTITIONS)
        producer.produce(topic, value or codec.encode(alert), "JFK", partition)
        return producer

    write("UA1").abort_transaction()
    write("UA2", b"no avro").commit_transaction()
    write("UA3").commit_transaction()
    agent = start("-m", "ops.examples.agents.rebook")
    until("a rebooking", lambda: desk.read(Rebooking))
    assert [rebooking.flight for rebooking in desk.read(Rebooking)] == ["UA3"]
    _, printed = agent.end()
    assert "skipped: WIRE_FORMAT" in printed


def test_outage_of_kafka_pauses_the_worker_and_costs_nothing(
    desk: Desk, start: Start, stack: Stack
) -> None:
    worker = start(*WORKER)
    until("ready", worker.ready)
    desk.announce(200, 200)
    until("two alerts", lambda: desk.alerts() == ["UA0", "UA1"])
    stack.down()
    until("not ready", lambda: worker.get("/ready/")[0] == 503)
    time.sleep(5)
    assert worker.get("/live/")[0] == 200
    stack.up()
    desk.announce(200)
    until("ready again", worker.ready, 60)
    until("three alerts", lambda: desk.alerts() == ["UA0", "UA1", "UA2"])
    desk.control("drain")
    assert worker.wait()[0] == 0


def test_worker_whose_broker_did_not_know_the_control_topic_hears_commands_again(
    desk: Desk, start: Start, connection: Connection
) -> None:
    worker = start(*WORKER)
    group = f"{connection.settings.prefix}worker-desk.0"

    def assigned() -> list[int]:
        found = connection.cluster.admin().describe_consumer_groups([group])[group].result()
        return [len(member.assignment.topic_partitions) for member in found.members]

    until("ready", worker.ready)
    until("Faust has the topic", lambda: assigned() == [1])
    connection.cluster.delete([desk.plan.topic("desk-control")])
    until("Faust has nothing", lambda: assigned() == [0])
    desk.apply()
    desk.control("drain")
    assert worker.wait()[0] == 0
