"""What holds for every flow, checked for each that `processors` and `ops/examples` hold.

A new flow needs no line here: it is found, fed with records drawn from its own schemas, killed and
restored. Run as a program it prints the digest of every flow, for the test of hash seeds.
"""

from __future__ import annotations

import hashlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import ops.examples
from ops.chaos.drawing import Drawing
from schemas import derive
from schemas.record import Record
from schemas.rules import undocumented
from streams.driver import CRASH, Driver
from streams.processor import Clock, RecordClass
from streams.snapshot import Keys
from streams.topology import Flow, Topology, discover, stream_of
from streams.validation import validate

RECORDS = 300
FAR_MS = 100 * 86_400_000
KEYS = Keys({"test": bytes(32)})


def real_flights() -> list[Record]:
    from processors.nycflights.replay import events

    return list(events(RECORDS // 2))


BETTER_INPUTS: dict[str, Callable[[], list[Record]]] = {"flights": real_flights}


@cache
def topologies() -> dict[str, Topology]:
    """Every package that holds flows."""
    names = ["processors"]
    for info in pkgutil.walk_packages(ops.examples.__path__, "ops.examples."):
        if info.ispkg:
            names.append(info.name)
    found = {name: discover([name]) for name in names}
    return {name: topology for name, topology in found.items() if topology.flows}


@cache
def flows() -> dict[str, Flow]:
    """Every flow that reads streams."""
    return {n: f for t in topologies().values() for n, f in t.flows.items() if f.steps}


def test_flows_of_processors_and_examples_are_found() -> None:
    assert {"flights", "tides", "desk"} <= set(flows())


@pytest.mark.parametrize("package", topologies())
def test_topology_is_valid(package: str) -> None:
    assert validate(topologies()[package]) == []


@pytest.mark.parametrize("package", topologies())
def test_records_are_documented_and_their_schemas_committed(package: str) -> None:
    folders: dict[Path, list[RecordClass]] = {}
    for record in topologies()[package].records.values():
        folders.setdefault(derive.folder_of(record), []).append(record)
    problems = [p for folder, records in folders.items() for p in derive.check(records, folder)]
    assert problems == []


@pytest.mark.parametrize("name", flows())
def test_processors_and_their_states_are_documented(name: str) -> None:
    for processor in flows()[name].processors:
        assert processor.doc, f"{processor.name} has no docstring"
        for table in getattr(processor, "tables", ()):
            faults = [f for f in undocumented(table.state) if "is measured" not in f]
            assert faults == []  # a unit is for readers; only its fold reads a state


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("name", flows())
def test_outputs_depend_neither_on_batches_nor_on_crashes(name: str, partitions: int) -> None:
    items = inputs(flows()[name])
    expected = outputs(run(flows()[name], items, partitions=partitions))
    reached = {topic for topic, _ in expected} - {flows()[name].dead_letter}
    assert reached, "the drawn inputs are all refused: give the flow some in BETTER_INPUTS"
    small = run(flows()[name], items, partitions=partitions, batch_records=7)
    assert outputs(small) == expected
    killed = list(items)
    for at in range(len(items) * 4 // 5, 0, -len(items) // 5):
        killed.insert(at, CRASH)
    assert outputs(run(flows()[name], killed, partitions=partitions, batch_records=31)) == expected


@pytest.mark.parametrize("name", flows())
def test_letters_taken_again_give_the_same_whatever_the_batch_and_the_crash(name: str) -> None:
    found = []
    for batch_records, crash in ((1_000, []), (7, [CRASH])):
        items = inputs(flows()[name])[:100]
        items += items[:20]  # events of a name that was seen before
        driver = run(flows()[name], items, partitions=3, batch_records=batch_records)
        assert driver.letters
        driver.redrive(*driver.letters).run(crash).redrive(*driver.letters[-40:]).run(crash)
        found.append(outputs(driver))
    assert found[0] == found[1]


def test_outputs_do_not_depend_on_the_hash_seed() -> None:
    command = [sys.executable, "-P", __file__]  # else tests/processors hides processors
    running = [
        subprocess.Popen(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("1", "2")
    ]
    first, second = (process.communicate()[0].decode() for process in running)
    assert first.count("\n") == len(flows())
    assert first == second


# --- running


def inputs(flow: Flow) -> list[Any]:
    """What a flow is fed with, and a clock that closes all that is open."""
    make = BETTER_INPUTS.get(flow.name)
    records = make() if make else list(Drawing(flow).records(RECORDS))
    last = max(getattr(r, stream_of(type(r)).event_time) for r in records)
    return [*records, Clock(last + FAR_MS)]


def run(flow: Flow, items: list[Any], **options: Any) -> Driver:
    driver = Driver(flow, keys=KEYS, **options)
    for codec in driver.plan.subjects().values():
        codec.register()  # the driver numbers schemas by their first use, which a crash may change
    return driver.run(items)


def outputs(driver: Driver) -> dict[tuple[str, int], list[Any]]:
    """All that a flow wrote, lineage included; pickled models are compared by what they predict."""
    streams = [stream_of(record) for record in driver.flow.written]
    topics = {s.topic for s in streams if s.stage != "model"} | {driver.flow.dead_letter}
    return {
        place: [(stored.key, stored.value, stored.headers) for stored in log]
        for place, log in sorted(driver.logs.items())
        if place[0] in topics
    }


def digest(flow: Flow) -> str:
    return hashlib.sha256(repr(outputs(run(flow, inputs(flow)))).encode()).hexdigest()


if __name__ == "__main__":
    for found_name, found_flow in sorted(flows().items()):
        print(found_name, digest(found_flow))
