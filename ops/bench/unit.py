"""What the runtime costs beside plain code, without Kafka: for developers, and for `make test`,
which compares with `recorded/unit.json` (`doa bench unit -o json` prints it anew).

Both sides work by turns in one process, so that only their ratio is told: on the hop against a loop
of fastavro, on the flights flow against the bare loop.
"""

from __future__ import annotations

import gc
import importlib
import os
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

import ops.bench.hop as package
from ops.bench.loop import Loop, LoopResult
from ops.bench.readings import readings
from ops.compiled import preferred
from processors.nycflights.replay import read_timeline
from schemas.record import Record
from streams.codec import MemoryRegistry
from streams.flow import OUTPUTS_CHUNK
from streams.intake import intake
from streams.merge import Merge, Stored
from streams.moment import take_for_a_moment
from streams.plan import Plan
from streams.snapshot import Keys
from streams.step import Step
from streams.topology import Flow, discover, stream_of
from streams.unit import NO_LIMIT, Encoded, Unit

TURNS, TURN_RECORDS = 12, 1_000
SCHEMA_ID = 2  # of a feature, in the registry of a process that has met readings before
NOW_MS = 4_000_000_000_000  # when events were appended: after each of them

Work = Callable[[int], None]


def bench_unit() -> dict[str, Any]:
    """The share of the other side's speed that is left, median of all turns."""
    ratios = {
        "hop_fastavro_loop": _hop(),
        "flights_bare_loop": _flights(),
        "flights_trusting_decoder": _strictness(),
    }
    if not preferred():  # a compiled class has no subclasses
        ratios["flights_untraced"] = _tracing()
    return {"ratios": {name: round(ratio, 3) for name, ratio in ratios.items()}}


def _hop() -> float:
    flow = discover([package.__name__]).flow("hop")
    unit = FedUnit(flow, list(islice(readings(), TURNS * TURN_RECORDS)))
    plain = peers_work()
    values = (stored.value or b"" for stored in unit.logs[0])

    def plainly(count: int) -> None:
        written = [plain.hop(value) for value in islice(values, count)]
        assert len(written) == count, "the log holds records for all turns"

    return by_turns(unit.take, plainly)


def peers_work() -> Any:
    """What peers in Python do with a record, loaded as if this process were one of them."""
    settings = {
        **dict.fromkeys(("HOP_BOOTSTRAP", "HOP_GROUP", "HOP_IN", "HOP_OUT"), ""),
        "HOP_SCHEMA_ID": str(SCHEMA_ID),
        "HOP_SCHEMAS": str(Path(package.__path__[0]) / "avro"),
    }
    before = dict(os.environ)
    os.environ |= settings
    try:
        return importlib.import_module("ops.bench.peers.work")
    finally:
        os.environ.clear()
        os.environ |= before


def _flights() -> float:
    flow = discover().flow("flights")
    timeline = read_timeline(TURNS * TURN_RECORDS)
    events = list(islice(timeline.records(0), TURNS * TURN_RECORDS))
    unit, loop = FedUnit(flow, events), Loop()
    left: Iterator[Record] = iter(events)

    def barely(count: int) -> None:
        for event in islice(left, count):
            loop.take(event)
        loop.result = LoopResult()

    return by_turns(unit.take, barely)


def _strictness() -> float:
    """The flights flow as it is, against one that decodes events as if nobody wrote bad ones."""
    flow = discover().flow("flights")
    events = list(islice(read_timeline(TURNS * TURN_RECORDS).records(0), TURNS * TURN_RECORDS))
    strict, trusting = FedUnit(flow, events), FedUnit(flow, events)
    for one in trusting.plan.inputs:
        one.codec.decode = one.codec.decode_fast
    return by_turns(strict.take, trusting.take)


def _tracing() -> float:
    """The flights flow as it is, against one whose records name no parents, and none is kept."""
    flow = discover().flow("flights")
    events = list(islice(read_timeline(TURNS * TURN_RECORDS).records(0), TURNS * TURN_RECORDS))

    class Untraced(Unit):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            for step in self.steps:
                for store in step.stores:
                    store.ranged = store.latest = False
                    vars(store)["note"] = lambda known, trigger: ()  # in place of the method

        def emit(self, step: Step, encoded: list[Encoded], *_: Any) -> None:
            self.write(step, encoded, b"")

        def write(self, step: Step, encoded: list[Encoded], tail: bytes) -> None:
            for edge, record, key, value in encoded:
                self.outputs.append((edge.topic, key, value, []))
                self.bytes_out += len(value)
                if edge.readers:
                    self._queue.append((record, (b"", b"", edge.n), edge.readers))
                edge.n += 1
            step.records_out += len(encoded)
            self.records_out += len(encoded)

    return by_turns(FedUnit(flow, events).take, FedUnit(flow, events, Untraced).take)


def by_turns(ours: Work, theirs: Work) -> float:
    """Seconds of theirs by seconds of ours, for the same records."""
    gc.collect()
    gc.disable()
    try:
        return statistics.median(_seconds(theirs) / _seconds(ours) for _ in range(TURNS))
    finally:
        gc.enable()


def _seconds(work: Work) -> float:
    began = process_time()
    work(TURN_RECORDS)
    return process_time() - began


class FedUnit:
    """A unit that is fed from memory as a worker feeds it: bytes in, outputs and state out."""

    def __init__(self, flow: Flow, events: Sequence[Record], kind: type[Unit] = Unit) -> None:
        self.plan = Plan(flow, MemoryRegistry(), keys=Keys.generate())
        self.logs: list[list[Stored]] = [[] for _ in self.plan.inputs]
        numbers = {one.record: number for number, one in enumerate(self.plan.inputs)}
        for event in events:
            log, stream = self.logs[numbers[type(event)]], stream_of(type(event))
            value = self.plan.codec(type(event)).encode(event)
            key = getattr(event, stream.key).encode()
            log.append(Stored(len(log), key, value, {}, NOW_MS))
        self._unit = kind(self.plan, 0, 1)
        self._merge = Merge(
            [len(log) for log in self.logs],
            [0] * len(self.logs),
            partial(intake, self.plan, 0, 1),
        )
        for number, log in enumerate(self.logs):
            for stored in log:
                self._merge.push(number, stored)

    def take(self, count: int) -> None:
        """Process so many records, and make a transaction of them."""
        unit, left = self._unit, count
        while left:
            taken = take_for_a_moment(unit, self._merge, min(left, OUTPUTS_CHUNK), NO_LIMIT)
            assert taken, "the logs hold records for all turns"
            left -= taken
            unit.take_outputs()
        deque(unit.flush(), maxlen=0)
