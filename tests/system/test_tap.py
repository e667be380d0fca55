"""What a person sees who taps a stream, by the command itself: filters, masks, tails and ends."""

from __future__ import annotations

import csv
import io
import json
import select
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from ops.apply import apply, plan_changes
from ops.connect import Connection
from streams.plan import Plan
from streams.topology import Topology, discover
from tests.system.clinic.flow import Visit

pytestmark = pytest.mark.broker

PARTITIONS, COUNT = 2, 12
TOPIC = "clinic.event.visit"
FIELDS = ["person", "at_ms", "ward", "cost", "homes", "contacts"]


class Clinic:
    """The stream of visits in one namespace."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        topology: Topology = discover(["tests.system.clinic"])
        cluster, registry = connection.cluster, connection.registry
        changes = plan_changes(topology, cluster, registry, PARTITIONS)
        apply(topology, cluster, registry, changes, None)
        plan = Plan(topology.flow("clinic"), registry, connection.settings.namespace)
        self._codec = plan.codec(Visit)
        self.topic = plan.topic(TOPIC)
        self._producer = cluster.producer()

    def visit(self, number: int, person: str = "ada-1815") -> None:
        """Somebody comes; odd numbers to the south."""
        visit = Visit(
            person=person,
            at_ms=number,
            ward="south" if number % 2 else "north",
            cost=None if number % 3 else float(number),
            homes=[],
            contacts={},
        )
        value = self._codec.encode(visit)
        self._producer.produce(self.topic, value, person.encode(), number % PARTITIONS)

    def garbage(self) -> None:
        """Bytes that are no visit."""
        self._producer.produce(self.topic, b"ada-1815 is ill", b"ada-1815", 0)

    def sent(self) -> None:
        """All is written."""
        assert self._producer.flush(20) == 0


@pytest.fixture
def clinic(connection: Connection) -> Clinic:
    return Clinic(connection)


def test_stream_is_filtered_masked_and_printed(clinic: Clinic, start: Callable[..., Any]) -> None:
    for number in range(COUNT):
        clinic.visit(number)
    clinic.garbage()
    clinic.sent()

    def tapped(*words: str, **environment: str) -> tuple[int, str, str]:
        command = ("--app", "tests.system.clinic", "tap", clinic.topic, "--from", "beginning")
        code, out, error = start(*command, *words, **environment).wait()
        if not environment:
            assert "ada" not in out + error
            assert b"ada".hex() not in out + error
        return code, out, error

    code, out, error = tapped("--where", "ward == 'south' && partition == 1", "-o", "json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["value"]["at_ms"] for r in records] == [1, 3, 5, 7, 9, 11]
    assert {r["value"]["person"] for r in records} == {"‹personal›"}
    assert (code, error) == (
        0, "6 shown, 6 not matched, 1 of which the filter cannot be told\n",
    )  # fmt: skip

    code, out, error = tapped("-o", "csv")
    lines = list(csv.reader(io.StringIO(out)))
    assert lines[0] == ["id", "key", *FIELDS, "error", "hex"]
    broken = [line for line in lines[1:] if line[-1]]
    assert [line[1:] for line in broken] == [
        ["‹personal›", *[""] * 6, "WIRE_FORMAT: ‹personal›", "‹personal›"]
    ]
    assert (code, len(lines), error) == (0, COUNT + 2, f"{COUNT + 1} shown, 1 undecodable\n")

    code, out, error = tapped("--where", "person == 'eva'")
    assert (code, out) == (1, "")
    assert "names person, which is personal" in error
    code, out, error = tapped("--where", "warde == 'north'")
    assert (code, out) == (1, "")
    assert "at 1: 'warde' is no field of clinic.event.visit; perhaps: ward" in error
    assert tapped("--columns", "nobody")[:2] == (1, "")
    assert tapped("--sensitive")[:2] == (1, "")

    asked = ("--sensitive", "--where", "cost > 3.0", "--columns", "person,cost")
    code, out, error = tapped(*asked, DOA_MAY_SEE="internal,personal")
    assert sorted(line.split("\t")[1:] for line in out.splitlines()) == [
        ["ada-1815", "ada-1815", "6"],
        ["ada-1815", "ada-1815", "9"],
        ["key", "person", "cost"],
    ]
    assert error == "2 shown, 2 not matched, 9 of which the filter cannot be told\n"


def test_two_follow_a_stream_until_they_are_interrupted(
    clinic: Clinic, start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    command = ("--app", "tests.system.clinic", "tap", clinic.topic)
    taps = [start(*command, "--columns", "at_ms", "--rate", rate) for rate in ("0", "2")]
    number = 0

    def both_follow() -> bool:
        nonlocal number
        clinic.visit(number)
        clinic.sent()
        number += 1
        return all(readable(one) for one in taps)

    until("both show something", both_follow)
    for _ in range(50):
        clinic.visit(number)
        number += 1
    clinic.sent()
    last = f"\t{number - 1}\n"
    until("the first has shown all", lambda: taps[0].process.stdout.readline().endswith(last))
    for one in taps:
        one.process.send_signal(signal.SIGINT)
    (code, _, error), (other_code, _, other_error) = (one.wait() for one in taps)
    assert (code, other_code) == (130, 130)
    assert error.rstrip().endswith(" shown")
    assert "not shown" in other_error


def readable(one: Any) -> bool:
    """Whether a process has printed something."""
    return bool(select.select([one.process.stdout], [], [], 0)[0])


def test_reader_that_closes_its_pipe_ends_a_tap(clinic: Clinic, start: Callable[..., Any]) -> None:
    for number in range(2_000):
        clinic.visit(number)
    clinic.sent()
    tap = start(
        "--app", "tests.system.clinic", "tap", clinic.topic, "--from", "beginning", "-o", "csv"
    )
    assert tap.process.stdout.readline().startswith("id,key,")
    tap.process.stdout.close()
    try:
        code = tap.process.wait(30)
    except subprocess.TimeoutExpired:
        pytest.fail("it goes on")
    assert (code, tap.process.stderr.read()) == (0, "")
