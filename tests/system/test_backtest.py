"""What a change would have done to a clinic: told by the command itself, without what is
private.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.apply import apply, plan_changes
from ops.connect import Connection
from streams.flow import FlowLoop
from streams.hosted import Hosted
from streams.partition import partition_of
from streams.plan import Plan
from streams.topology import discover
from tests.system.clinic.flow import Visit

pytestmark = pytest.mark.broker

PARTITIONS, WAIT_S = 2, 60.0
COUNT, CROWD = "clinic.feature.count", "clinic.signal.crowd"
VISITS = [("ada", "north"), ("eva", "south"), ("ada", "north"), ("eva", "closed"), ("eva", "north")]
CHANGES = "tests.system.clinic_changes"


@pytest.fixture
def clinic(connection: Connection, until: Callable[..., Any]) -> None:
    """Some visits, and what was made of them: four counts and a dead letter."""
    topology = discover(["tests.system.clinic"])
    cluster, registry = connection.cluster, connection.registry
    apply(topology, cluster, registry, plan_changes(topology, cluster, registry, PARTITIONS), None)
    plan = Plan(topology.flow("clinic"), registry, connection.settings.namespace, connection.keys)
    producer, codec, topic = cluster.producer(), plan.codec(Visit), plan.topic("clinic.event.visit")
    for at_ms, (person, ward) in enumerate(VISITS):
        visit = Visit(person=person, at_ms=at_ms, ward=ward, homes=[], contacts={})
        producer.produce(topic, codec.encode(visit), person, partition_of(person, PARTITIONS))
    assert producer.flush(20) == 0
    places = [(topic, partition) for partition in range(PARTITIONS)]

    def taken() -> bool:
        return sum(cluster.committed(plan.topic("clinic"), places).values()) == len(VISITS)

    hosted = Hosted(FlowLoop(plan, cluster, 0))
    hosted.start()
    try:
        until("all visits taken", taken)
    finally:
        hosted.stop()
        assert hosted.join(WAIT_S)


@pytest.mark.usefixtures("clinic")
def test_change_is_told_without_what_is_private(start: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text("of another day\n")

    def backtest(change: str, *words: str, **environment: str) -> tuple[int, str, str]:
        command = ("--app", "tests.system.clinic", "backtest", f"{CHANGES}.{change}")
        asked = (*command, "--flow", "clinic", "--records", str(path), *words)
        code, out, error = start(*asked, **environment).wait()
        return code, out, error

    assert backtest("fire") == (130, "", "\n")
    assert [(p.name, p.read_text()) for p in tmp_path.glob("*records*")] == [
        ("records.jsonl", "of another day\n")
    ]

    code, out, error = backtest("crowd", "-o", "json")
    assert code == 0, error
    found = json.loads(out)
    counted = {name: found["streams"][COUNT][name] for name in ("same", "changed", "removed")}
    assert counted == {"same": 0, "changed": 1, "removed": 3}
    assert found["streams"][CROWD]["added"] == 1
    assert found["dead_letters"] == {"before": 1, "after": 2, "cut": 0}
    assert "dead letters: 2 with the change, 1 as it ran\n" in error
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert {one["key"] for one in told} == {"‹personal›"}
    assert {one["what"]: one["fields"] for one in told if one["what"] != "removed"} == {
        "added": {"person": "‹personal›", "at_ms": 2},
        "changed": {"visits": [2, 1]},
    }
    assert {one["fields"]["person"] for one in told if one["what"] == "removed"} == {"‹personal›"}
    for hidden in ("ada", "eva"):
        assert hidden not in path.read_text() + out + error

    code, out, error = backtest("bare")
    assert code == 0, error
    told = [json.loads(line) for line in path.read_text().splitlines()]
    added = [one for one in told if one["what"] == "added"]
    assert (len(added), {one["key"] for one in added}) == (4, {"‹personal›"})
    assert {one["fields"]["person"] for one in told} == {"‹personal›"}

    code, out, error = backtest("crowd", "--sensitive", DOA_MAY_SEE="personal")
    assert code == 0, error
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(one["key"] for one in told) == ["ada", "ada", "ada", "eva", "eva"]
    assert {"person": "ada", "at_ms": 2} in [one["fields"] for one in told]
