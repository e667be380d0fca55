"""A live run with two workers and a kill in it: every record is traced and derived again, by the
commands that an auditor types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.lineage_index import LineageIndex, path_of
from processors.nycflights.replay import events
from schemas.flights import Arrival
from schemas.internal import ClockTick
from streams.errors import BrokerError
from streams.partition import partition_of
from tests.system.test_journal import publish, taken

pytestmark = pytest.mark.broker

PARTITIONS, COUNT, WAVES = 2, 400, 4
CLOSED_MS = 1_357_500_000_000  # some days after the first of January 2013
JFK = partition_of("JFK", PARTITIONS)
# In what a day lacks: a source, drift, frozen models (from March on), snapshots, cancellations.
RARE = re.compile("nycflights|_drift|_frozen|[.]model[.]|cancellation")
ROOT = Path(__file__).parents[2]
PREDICTION, SCHEDULE = "flights.prediction.planned", "flights.event.schedule"


def test_live_run_with_two_workers_and_a_kill_is_traced_and_verified(
    flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(PARTITIONS)
    workers = [
        start("worker", "flights", "--slot", str(slot), "--restart", DOA_BATCH_RECORDS_MAX=50)
        for slot in range(2)
    ]
    until("both have their partitions", lambda: workers_of(system) == [1, 1])
    history = [event for event in events(COUNT) if not is_silent(event)]
    for wave in range(WAVES):
        batch = history[wave * len(history) // WAVES : (wave + 1) * len(history) // WAVES]
        publish(system, batch)
        if wave == WAVES // 2:
            [working] = psutil.Process(workers[0].process.pid).children()
            working.kill()
        sent = (wave + 1) * len(history) // WAVES
        until("the wave taken", lambda sent=sent: taken(system) == sent)
    close(system)
    until("all done", lambda: taken(system) == len(history) + PARTITIONS)
    assert [worker.end() for worker in workers] == [0, 0]

    every_stream_is_derived_again(start)
    change_is_compared(start)
    notebook_runs(system)
    samples_reach_raw_events(start)
    forged_record_is_found(system, start)
    served = prediction_of_the_last_example(system)
    record_is_tapped_and_verified(system, served, start)
    prediction_is_explained(served, start)
    event_is_followed(served, start)
    graph_ran_as_it_is_declared(system, start)
    run_is_told_to_catalogues(len(history), start)
    what_is_not_there_is_told(start)


def is_silent(event: Any) -> bool:
    """Whether it is left out: nobody hears of the arrivals of US Airways, so that some questions
    expire at both horizons, in whatever order a worker's fetches mix the topics of a wave.
    """
    return isinstance(event, Arrival) and event.flight_id.split(".")[1] == "US"


def close(system: Any) -> None:
    """Move time past every deadline, as the end of a replay does."""
    producer, clock = system.connection.cluster.producer(), system.plan.inputs[-1]
    for partition in range(PARTITIONS):
        tick = clock.codec.encode(ClockTick(at_ms=CLOSED_MS))
        producer.produce(clock.topic, tick, None, partition)
    assert producer.flush(20) == 0


def workers_of(system: Any) -> list[int]:
    """How many units each worker has; nobody knows while the group's coordinator comes up."""
    try:
        members = system.connection.cluster.members(system.plan.topic("flights"))
    except BrokerError:
        return []
    inputs = {i.topic for i in system.plan.inputs}
    return sorted(len({p for t, p in places if t in inputs}) for places in members.values())


def answer(process: Any, code: int = 0) -> Any:
    """The one JSON document of a command."""
    ended, out, error = process.wait(180)
    assert ended == code, error
    return json.loads(out)


def every_stream_is_derived_again(start: Callable[..., Any]) -> None:
    found = answer(start("verify", "flights", "--sample", "1000", "-o", "json"))
    assert found["different"] == []
    assert found["equal"] == found["checked"] > 1_500
    assert found["other_code"] == {}
    [under] = found["other_settings"]
    assert under["records"] == found["checked"]
    assert under["settings"]["batch_records_max"] == "50"
    assert "bootstrap" not in under["settings"]


def change_is_compared(start: Callable[..., Any]) -> None:
    """Another rate of the minutes changes those, and nothing that was known or asked."""
    rate = "processors.learning.delay_model.MINUTES_RATE=0.01"
    found = answer(start("backtest", rate, "-o", "json"))
    streams = found["streams"]
    counts = {what: streams["flights.feature.planned"][what] for what in ("same", "changed")}
    assert counts == {"same": COUNT, "changed": 0}
    assert streams[PREDICTION]["fields"] == {"minutes": streams[PREDICTION]["changed"]}
    assert streams[PREDICTION]["changed"] > COUNT / 4
    assert all(stream["added"] == stream["removed"] == 0 for stream in streams.values())
    [probability, minutes] = [
        loss for loss in found["losses"] if loss["stream"] == "flights.example.planned"
    ]
    assert (probability["difference"], minutes["examples"]) == (0, probability["examples"])
    assert minutes["difference"] != 0
    assert list(found["ran"]) == [found["code_version"]]


def notebook_runs(system: Any) -> None:
    """Its cells one after the other, as Jupyter would."""
    cells = json.loads((ROOT / "ops/examples/backtest.ipynb").read_text(encoding="utf-8"))["cells"]
    written = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    written[0] = written[0].replace("connect()", "given")
    known: dict[str, Any] = {"given": system.connection}
    for source in written:
        exec(compile(source, "backtest.ipynb", "exec"), known)
    found = known["found"]
    changed = found.streams[PREDICTION].changed
    assert dict(found.streams[PREDICTION].fields) == {"probability": changed}
    told = [one for one in known["differing"] if one["topic"] == PREDICTION]
    assert len(told) == changed > 0
    assert found.streams["flights.feature.planned"].changed == 0


def forged_record_is_found(system: Any, start: Callable[..., Any]) -> None:
    topic = system.plan.topic("flights.signal.planned_score")
    with closing(system.connection.cluster.log()) as log:
        last = log.last(topic, JFK)
    assert last is not None
    producer = system.connection.cluster.producer()
    producer.produce(topic, last.value, last.key, JFK)
    assert producer.flush(20) == 0
    found = answer(start("verify", "flights.signal.planned_score", "-o", "json"), code=1)
    assert found["equal"] == found["checked"] - 1
    assert [d["differs"] for d in found["different"]] == ["the journal does not lead to it"]


def prediction_of_the_last_example(system: Any) -> str:
    """The id of a prediction that was answered, by a model that had learnt something."""
    view = system.connection.view(system.topology)
    with closing(system.connection.cluster.log()) as log:
        last = log.last(system.plan.topic("flights.example.planned"), JFK)
    assert last is not None
    [served] = [str(parent) for parent in view.parents(last) if parent.topic == PREDICTION]
    return served


def run_is_told_to_catalogues(count: int, start: Callable[..., Any]) -> None:
    ended, out, error = start("describe", "openlineage", "flights").wait()
    assert (ended, error) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    runs = [e for e in told if e.get("eventType") and e["job"]["name"] == "flights"]
    assert [run["eventType"] for run in runs] == ["START", "RUNNING"], "a kill begins no run"
    statistics = [i["inputFacets"]["inputStatistics"]["rowCount"] for i in runs[1]["inputs"]]
    assert sum(statistics) == count


def record_is_tapped_and_verified(system: Any, served: str, start: Callable[..., Any]) -> None:
    topic = system.plan.topic(PREDICTION)
    found = answer(start("tap", topic, "--from", served, "-n", "1", "-o", "json"))
    assert found["id"] == served
    ended, _, error = start("tap", system.plan.topic(SCHEDULE), "--from", served).wait()
    assert (ended, "that is no record of" in error) == (1, True)
    found = answer(start("verify", served, "-o", "json"))
    assert (found["checked"], found["equal"]) == (1, 1)


def prediction_is_explained(served: str, start: Callable[..., Any]) -> None:
    found = answer(start("trace", served, "-o", "json"))
    nodes, links = found["nodes"], found["links"]
    assert found["id"] == served
    prediction = nodes[found["id"]]
    assert prediction["processor"] == "planned"
    assert len(prediction["code_version"]) == 8
    assert prediction["schema_id"] > 0
    model = prediction["model_version"]
    assert nodes[f"model planned@{JFK}#{model}"]["learnt"] == (
        f"flights.example.planned[{JFK}]#0..#{model - 1}"
    )
    above = {link["child"] for link in links}
    ends = {node["kind"] for name, node in nodes.items() if name not in above}
    assert ends == {"event", "range", "model"}
    events = {name.split("[")[0] for name, node in nodes.items() if node["kind"] == "event"}
    [feature] = [node for name, node in nodes.items() if name.startswith("flights.feature.")]
    assert SCHEDULE in events
    assert ("flights.event.weather" in events) is (feature["value"]["observed_ms"] is not None)


def event_is_followed(served: str, start: Callable[..., Any]) -> None:
    above = answer(start("trace", served, "-o", "json"))
    flight = above["nodes"][served]["value"]["flight_id"]
    [schedule] = [
        name
        for name, node in above["nodes"].items()
        if name.startswith(SCHEDULE) and (node.get("value") or {}).get("flight_id") == flight
    ]
    first = answer(start("trace", schedule, "--down", "-o", "json"))
    assert served in first["nodes"]
    topics = {name.split("[")[0] for name in first["nodes"]}
    assert {
        "flights.feature.planned",
        "flights.example.planned",
        "flights.signal.planned_score",
    } <= topics
    rebuilt = answer(start("index", "--rebuild", "-o", "json"))
    assert rebuilt["records"] > 1_500
    assert answer(start("trace", schedule, "--down", "-o", "json")) == first


def samples_reach_raw_events(start: Callable[..., Any]) -> None:
    """Some of each stream, drawn at random."""
    found = answer(start("verify", "flights", "--reach", "--sample", "25", "-o", "json"))
    assert found["reached"] == found["checked"] > 100


def graph_ran_as_it_is_declared(system: Any, start: Callable[..., Any]) -> None:
    """But for the forged record, and for snapshots and flights that were too few."""
    found = answer(start("graph", "diff", "-o", "json"), code=1)
    assert [(e["processor"], e["topic"]) for e in found["observed"]] == [
        ("somebody else", "flights.signal.planned_score")
    ]
    unseen = [f"{e['processor']} {e['direction']} {e['topic']}" for e in found["declared"]]
    assert [edge for edge in unseen if not RARE.search(edge)] == []
    path = path_of(system.connection)
    with closing(LineageIndex(system.connection, system.topology, path)) as index:
        sizes = [(count, size) for _, _, _, count, size in index.file.written() if size]
    mean = sum(size for _, size in sizes) / sum(count for count, _ in sizes)
    assert mean <= 60, f"a header has {mean:.1f} bytes on average"


def what_is_not_there_is_told(start: Callable[..., Any]) -> None:
    for words, code, told in (
        (("trace", "nonsense"), 1, "topic[partition]#n or topic[partition]@offset was expected"),
        (("trace", f"{PREDICTION}[0]#99999999"), 1, "has not come so far yet"),
        (("verify", SCHEDULE), 1, "nothing in the log leads to them"),
    ):
        ended, out, error = start(*words).wait()
        assert (ended, out) == (code, "")
        assert told in error
