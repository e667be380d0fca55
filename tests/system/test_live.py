"""What was applied, beside a cluster and a registry that somebody has changed since."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.internal import JournalEntry

pytestmark = pytest.mark.broker

TOPIC = "flights.event.departure"
SUBJECT = "flights.event.arrival-value"


def test_what_differs_from_what_was_applied_is_told(
    flights: Callable[[int], Any], start: Callable[..., Any]
) -> None:
    system = flights(2)
    code, _, error = start("check", "--live").wait()
    assert code == 1
    assert "streams.lock.json; run: doa apply" in error
    assert start("apply", "--partitions", "2").wait()[0] == 0
    assert checked(start) == (0, [])
    journal = f"{system.plan.topic(system.flow.journal)}-value"
    flow_has_run(system)
    system.connection.registry._client.delete_subject(journal)
    assert checked(start) == (
        1,
        [
            f"subject {journal} is gone; run: doa apply",
            f"{journal} has no such schema in the registry; run: doa apply",
        ],
    )
    assert start("apply", "--partitions", "2").wait()[0] == 0
    assert checked(start) == (0, [])
    _, out, _ = start("check", "--live").wait()
    assert "flights was run under other settings: fetch_records 7 (default 500)\n" in out

    stream_is_shown(system, start)
    cluster, name = system.connection.cluster, system.plan.topic
    cluster.create({name("flights.event.rumour"): (1, {})})
    cluster.settle({name(TOPIC): {"retention.ms": "1000"}})
    system.connection.registry._client.set_compatibility(name(SUBJECT), "NONE")
    stranger = cluster.consumer(name("stranger"))
    stranger.commit(offsets=[TopicPartition(name(TOPIC), 0, 0)], asynchronous=False)
    stranger.close()
    producer = cluster.producer()
    producer.produce(name("flights.feature.planned"), b"forged", b"JFK", 1)
    assert producer.flush(20) == 0

    code, problems = checked(start)
    assert code == 1
    kept = system.topology.records[TOPIC].stream.retention_days * 86_400_000
    assert problems == [
        f"topic {name(TOPIC)} has retention.ms=1000; {kept} was applied",
        f"topic {name('flights.event.rumour')} is not declared",
        f"subject {name(SUBJECT)} has compatibility NONE, not BACKWARD",
        f"group {name('stranger')} reads {name(TOPIC)}, which is not declared",
        "somebody else writes flights.feature.planned (1 records), which is not declared",
    ]
    code, out, _ = start("graph", "diff", "-o", "json").wait()
    assert code == 1
    [edge] = json.loads(out)["observed"]
    assert (edge["processor"], edge["direction"], edge["topic"]) == (
        "somebody else",
        "writes",
        "flights.feature.planned",
    )


def flow_has_run(system: Any) -> None:
    """Once, under other settings; nothing came of it."""
    entry = JournalEntry(
        code_version="0000abcd",
        inputs=[TOPIC],
        starts=[-1],
        runs=[],
        settings={"fetch_records": "7"},
    )
    producer = system.connection.cluster.producer()
    topic = system.plan.topic(system.flow.journal)
    producer.produce(topic, system.plan.journal_codec.encode(entry), None, 0)
    assert producer.flush(20) == 0


def stream_is_shown(system: Any, start: Callable[..., Any]) -> None:
    """All about a stream, before and after it holds something, and after its schema has grown."""
    empty = shown(start)
    assert (empty["records"], empty["seconds_since_last"], empty["samples"]) == (0, None, [])
    system.load(20)
    found = shown(start)
    assert found["records"] == 19  # of twenty flights one never departed
    assert found["seconds_since_last"] < 600
    assert len(found["samples"]) == 3
    assert found["samples"][0]["id"].startswith(TOPIC)
    assert [v["version"] for v in found["versions"]] == [1]
    registry, subject = system.connection.registry, f"{system.plan.topic(TOPIC)}-value"
    schema = registry.latest(subject)
    grown = {"name": "gate", "type": ["null", "string"], "default": None, "doc": "Gate."}
    registry.register(subject, {**schema, "fields": [*schema["fields"], grown]})
    second = shown(start)["versions"][1]
    assert second["changes"] == [
        {
            "field": "gate",
            "what": "field 'gate' was added, with a default",
            "effect": "none",
            "readers": [],
            "models": [],
        }
    ]
    declared = shown(start)["versions"][2]  # which lacks the field that was registered
    assert (declared["version"], declared["schema_id"]) == ("declared", None)
    assert [change["what"] for change in declared["changes"]] == [
        "field 'gate' was removed; readers before get its default"
    ]
    registry._client.delete_version(subject, 2)


def shown(start: Callable[..., Any]) -> Any:
    """What `doa catalog show` says."""
    code, out, error = start("catalog", "show", TOPIC, "-o", "json").wait()
    assert code == 0, error
    return json.loads(out)


def checked(start: Callable[..., Any]) -> tuple[int, list[str]]:
    """Exit code and problems of `doa check --live`."""
    code, out, error = start("check", "--live", "-o", "json").wait()
    assert out, error
    return code, json.loads(out)["problems"]
