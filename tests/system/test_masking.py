"""Whatever is refused of the clinic's visits, no look at it tells who came, by the commands
themselves; and no look needs a home that can be written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops import cli
from ops.apply import apply, plan_changes
from ops.connect import Connection
from streams.flow import FlowLoop
from streams.hosted import Hosted
from streams.letters import read_letters
from streams.plan import Plan
from streams.settings import Settings
from streams.topology import discover
from tests.system.clinic.flow import Address, Visit

pytestmark = pytest.mark.broker

EVENT, COUNT, LETTER = "clinic.event.visit", "clinic.feature.count", "clinic.dead_letter"
INTERNAL = ("clinic-changelog", "clinic-journal", "clinic-redrive", "clinic-control")
WHOLE, REFUSED = 2, 8  # of the visits below
SECRETS = ("ada-1815", "Marylebone", "Royal Crescent", "77.25")
HEADERS = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "who=ada-1815",
    "user": "ada-1815",
}

Look = Callable[..., str]


def visit(**changes: Any) -> Visit:
    """A visit, which need not be within its bounds."""
    home = Address(town="London", street="Marylebone 12")
    kin = {"kin": Address(town="Bath", street="Royal Crescent 1")}
    fields = {"person": "ada-1815", "at_ms": 60_000, "ward": "north", "cost": 77.25}
    return Visit.model_construct(**fields | {"homes": [home], "contacts": kin} | changes)


@pytest.fixture
def clinic(connection: Connection, until: Callable[..., Any]) -> None:
    """Visits of every kind that is refused, and two that are not, all taken."""
    topology = discover(["tests.system.clinic"])
    cluster, registry = connection.cluster, connection.registry
    apply(topology, cluster, registry, plan_changes(topology, cluster, registry, 1), None)
    plan = Plan(topology.flow("clinic"), registry, connection.settings.namespace)
    codec, producer = plan.codec(Visit), cluster.producer()
    whole = codec.encode(visit())
    values = [
        whole,
        codec.encode(visit(at_ms=70_000)),
        codec.encode(visit(ward="closed")),
        codec.encode(visit(at_ms=-5)),
        codec.encode(visit(at_ms=9_999_999_999_999)),
        codec.encode(visit(person="eve")),
        b"ada-1815 lives in Marylebone",
        b"\0\0\1\0\0" + whole[5:],
        whole[:-4],
        whole + b"ada-1815",
    ]
    for value in values:
        producer.produce(plan.topic(EVENT), value, b"ada-1815", 0, headers=HEADERS)
    assert producer.flush(20) == 0
    hosted = Hosted(FlowLoop(plan, cluster, 0))
    hosted.start()
    try:
        until("all refused", lambda: len(list(read_letters(cluster, LETTER))) == REFUSED)
    finally:
        hosted.stop()
        assert hosted.join(20)


@pytest.fixture
def look(clinic: None, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Run a command in this process, over a connection that the test closes; what it prints."""
    settings = connection.settings
    for name in ("bootstrap", "registry_url", "namespace", "home"):
        monkeypatch.setenv(f"DOA_{name.upper()}", str(getattr(settings, name)))
    for module in ("catalog", "dlq", "tap", "trace", "verify"):
        monkeypatch.setattr(
            f"ops.commands.{module}.connect",
            lambda *_: Connection(connection.cluster, connection.registry, Settings()),
        )

    def looked(*words: str) -> str:
        ran = CliRunner().invoke(cli.doa, ["--app", "tests.system.clinic", *words])
        assert ran.exit_code == 0, f"{words}: {ran.output} {ran.exception!r}"
        return ran.output

    return looked


def test_no_look_tells_who_came_or_needs_a_home(
    look: Look, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_is_told_who_came(look, connection)
    (tmp_path / "a file").touch()
    home = tmp_path / "a file" / "home"
    who_may_see_persons_sees_no_cost(look, connection, monkeypatch)
    monkeypatch.setenv("DOA_HOME", str(home))
    home_need_not_be_writable(look, f"{home}/{connection.settings.prefix}lineage.sqlite")


def nobody_is_told_who_came(look: Look, connection: Connection) -> None:
    letters = [f"{LETTER}[0]@{one.offset}" for one in read_letters(connection.cluster, LETTER)]
    redriven = look("dlq", "redrive", "--class", "REFUSED", "-o", "json")
    [flow] = [found for name, found in json.loads(redriven)["flows"].items() if name == "clinic"]
    assert flow["redriven"] == letters[:1]
    looks = [("dlq", "ls"), ("dlq", "redrive", "--all", "--dry-run"), ("verify", "clinic")]
    outputs = [(topic, "json") for topic in (EVENT, COUNT, LETTER, *INTERNAL)]
    for topic, output in (*outputs, (EVENT, "table"), (LETTER, "table"), (EVENT, "csv")):
        looks.append(("tap", topic, "--from", "beginning", "--no-follow", "-o", output))
    looks += [("dlq", "show", letter) for letter in letters]
    for output in ("table", "json", "mermaid"):
        looks.append(("trace", letters[0], "-o", output))
        looks.append(("trace", f"{EVENT}[0]@0", "--down", "-o", output))
    looks += [("catalog", "show", EVENT), ("catalog", "show", EVENT, "-o", "json")]
    for words in looks:
        told = look(*words)
        for secret in SECRETS:
            assert secret not in told, (words, told)
            assert secret.encode().hex() not in told, (words, told)
    shown = json.loads(look("dlq", "show", letters[0], "-o", "json"))
    assert (shown["error"], shown["text"]) == ("REFUSED", "‹personal›")
    assert shown["trace"] == dict.fromkeys(("traceparent", "tracestate"), "‹personal›")


def who_may_see_persons_sees_no_cost(
    look: Look, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a letter about a count, which holds no cost itself."""
    producer = connection.cluster.producer()
    said = {
        "error.class": "REFUSED",
        "error.record": f"{COUNT}[0]#0",
        "error.processor": "bills",
        "error.flow": "clinic",
        "error.message": "ada-1815 has not paid the cost 77.25",
    }
    topic = connection.settings.prefix + LETTER
    producer.produce(topic, b"", b"ada-1815", 0, headers=said)
    assert producer.flush(20) == 0
    monkeypatch.setenv("DOA_MAY_SEE", "personal")
    letters = [f"{LETTER}[0]@{one.offset}" for one in read_letters(connection.cluster, LETTER)]
    topics = (EVENT, COUNT, LETTER, *INTERNAL)
    tap = ("--from", "beginning", "--no-follow", "-o", "json", "--sensitive")
    looks = [("dlq", "show", letter, "--sensitive") for letter in letters]
    looks += [("tap", topic, *tap) for topic in topics]
    told = [look(*words) for words in looks]
    assert "ada-1815" in "".join(told)
    assert [text for text in told if "77.25" in text or b"77.25".hex() in text] == []
    assert "‹internal›" in told[len(letters) - 1]
    monkeypatch.delenv("DOA_MAY_SEE")


def home_need_not_be_writable(look: Look, index: str) -> None:
    assert f"{EVENT}[0]@0" in look("tap", EVENT, "--from", "beginning", "-n", "1")
    assert f"{EVENT}[0]@0" in look("trace", f"{COUNT}[0]#0")
    down = look("trace", f"{EVENT}[0]@0", "--down")
    assert f"{COUNT}[0]#0" in down
    assert f"{index} cannot be written: Not a directory; so all lineage is read" in down
    assert look("verify", "clinic").endswith(f"{WHOLE} of {WHOLE} equal\n")
    assert f"{COUNT}[0]#0" in look("catalog", "show", COUNT)
