"""A flow compiled for running: a codec for every edge, the order of delivery, the stamps of
lineage.

One plan serves all units of a flow in a process; what a unit counts and remembers lives in the
unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.internal import (
    ClockTick,
    ControlCommand,
    JournalEntry,
    Redrive,
    SeenIds,
    UnitState,
)
from schemas.record import Record, Stream
from streams.codec import Codec, Registry
from streams.lineage import DERIVED, FOREIGN, pack_stamp, place
from streams.processor import Processor, RecordClass, Table
from streams.settings import prefix_of
from streams.snapshot import Keys
from streams.topology import AnyProcessor, Flow, outputs_of, stream_of

INTERNAL_AHEAD_MS = 1 << 62


@dataclass(frozen=True)
class InputPlan:
    """One topic that a flow reads from outside."""

    record: type[Record]
    name: str  # without namespace: what lineage says
    topic: str
    codec: Codec
    key: str
    event_time: str
    ahead_ms: int
    unique: str | None
    unique_hours: int = 0


class Plan:
    """What all units of a flow share."""

    def __init__(
        self, flow: Flow, registry: Registry, namespace: str = "", keys: Keys | None = None
    ) -> None:
        self.flow = flow
        self.prefix = prefix_of(namespace)
        self.registry = registry
        self.keys = keys
        self._codecs: dict[tuple[type[Record], str], Codec] = {}
        self.inputs = [
            *map(self._input, flow.inputs),
            self._internal_input(flow.redrive, Redrive, "asked_ms"),
            self._internal_input(flow.clock, ClockTick, "at_ms"),
        ]
        self.redrive = len(flow.inputs)  # what lies at this index and after it is internal
        self.readers: dict[RecordClass, list[str]] = {}
        for step in flow.steps:
            for record in step.reads:
                self.readers.setdefault(record, []).append(step.name)
        self.stamps = {p.name: pack_stamp(p.name, flow.code_version) for p in flow.processors}
        self.unit_codec = self.state_codec(UnitState)
        self.seen_codec = self.state_codec(SeenIds)
        self.journal_codec = self._codec(JournalEntry, self.topic(flow.journal) + "-value")
        self.control_codec = self._codec(ControlCommand, self.topic(flow.control) + "-value")

    def topic(self, name: str) -> str:
        """The topic in the cluster: with the namespace, if there is one."""
        return self.prefix + name

    def codec(self, record: RecordClass) -> Codec:
        """The codec of a stream."""
        return self._codec(record, self.topic(stream_of(record).topic) + "-value")

    def state_codec(self, record: RecordClass) -> Codec:
        """The codec of a state class in the changelog (Confluent's TopicRecordNameStrategy)."""
        return self._codec(record, f"{self.topic(self.flow.changelog)}-{record.__name__}")

    def subjects(self) -> dict[str, Codec]:
        """Every subject that this flow reads or writes."""
        for processor in self.flow.processors:
            for record in (*processor.reads, *outputs_of(processor)):
                self.codec(record)
            for table in _tables(processor):
                self.state_codec(table.state)
            if isinstance(processor, Processor) and processor.position is not None:
                self.state_codec(processor.position)
        return {codec.subject: codec for codec in self._codecs.values()}

    def single_place(self, name: str, partition: int, derived: bool) -> bytes:
        """The constant part of references to the records of a partition."""
        return place(name, partition, DERIVED if derived else FOREIGN)

    def _codec(self, record: RecordClass, subject: str) -> Codec:
        key = (record, subject)
        if key not in self._codecs:
            self._codecs[key] = Codec(record, subject, self.registry)
        return self._codecs[key]

    def _input(self, record: RecordClass) -> InputPlan:
        stream: Stream = stream_of(record)
        ahead = stream.ahead_hours_max * 3_600_000
        name = stream.topic
        return InputPlan(
            record,
            name,
            self.topic(name),
            self.codec(record),
            stream.key,
            stream.event_time,
            ahead,
            stream.unique,
            stream.unique_days * 24,
        )

    def _internal_input(self, name: str, record: type[Record], event_time: str) -> InputPlan:
        topic = self.topic(name)
        codec = self._codec(record, topic + "-value")
        return InputPlan(record, name, topic, codec, "", event_time, INTERNAL_AHEAD_MS, None)


def _tables(processor: AnyProcessor) -> tuple[Table, ...]:
    tables: Any = getattr(processor, "tables", ())
    return tuple(tables)
