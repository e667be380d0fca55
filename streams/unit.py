"""A unit: one partition of a flow, as a function of the records it is given.

It knows nothing of Kafka. The transactional loop and the in-memory driver both feed it, record by
record in the merged order; it runs each to the end before the next, and gathers what is to be
written: outputs, dead letters, changelog, journal. Restoring it from those gives the same unit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any, Final

from schemas.internal import SeenIds, UnitState
from schemas.record import Record
from streams.dead_letter import DeadLetters
from streams.edge import Edge, Output
from streams.errors import (
    NO_FAULT_OF_A_RECORD,
    DataError,
    Duplicate,
    ProcessorFault,
    Rollback,
    TooLarge,
)
from streams.fold_step import FoldStep
from streams.learner_step import LearnerStep
from streams.lineage import HEADER, header_number
from streams.merge import Input
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import RecordClass
from streams.redriven import take_again
from streams.seen import Seen
from streams.step import Step, fault_of
from streams.steps import step_of
from streams.straight import straight_inputs
from streams.tables import Trigger
from streams.taken import Taken
from streams.timers import NEVER, Timers
from streams.topology import stream_of
from streams.trace_context import take_in_context
from streams.varint import varint

EXPIRED_MAX: Final = 20_000  # entries, and those of the deadline of the last, before one record
NO_LIMIT: Final = 1 << 62

Encoded = tuple[Edge, Record, str, bytes]  # a record with its key and value, as it can be written


class Unit:
    """One partition of a flow. `offset_hint(topic)`: no later record lies below it."""

    def __init__(
        self, plan: Plan, partition: int, partitions: int, offset_hint: Any = None
    ) -> None:
        self.plan = plan
        self.partition, self.partitions = partition, partitions
        self.offset_hint = offset_hint or (lambda topic: 0)
        self.time_ms = 0
        self.outputs: list[Output] = []
        self.bytes_out = self.expired_to = 0  # outputs before it are those of what expired
        self.records_in = self.records_out = 0
        self.timers = Timers()
        self.refused: dict[tuple[str, bytes], DataError] = {}
        self.edges: dict[RecordClass, Edge] = {}
        self._queue: deque[tuple[Record, Trigger, list[Step]]] = deque()
        self.steps = [step_of(self, p) for p in plan.flow.steps]
        for order, step in enumerate(self.steps):
            step.order = order
        for record, edge in self.edges.items():
            edge.readers = self._steps_reading(record)
        self._places = [
            tuple(plan.single_place(i.name, partition, derived) for derived in (False, True))
            for i in plan.inputs
        ]
        self._readers = [self._steps_reading(i.record) for i in plan.inputs]
        self.straight = straight_inputs(self, self._readers)
        self._clock, self._redrive = len(plan.inputs) - 1, plan.redrive
        self.letters = DeadLetters(self)
        self._seen_by_source = [Seen(i) if i.unique else None for i in plan.inputs]
        self.seen = {seen.name: seen for seen in self._seen_by_source if seen is not None}
        self.item: Input | None = None
        self.changed = False  # since the last flush
        self.taken = Taken([i.name for i in plan.inputs])

    def _steps_reading(self, record: RecordClass) -> list[Step]:
        names = self.plan.readers.get(record, [])
        return [s for s in self.steps if s.name in names]

    def edge(self, record: RecordClass) -> Edge:
        """The edge of a stream that this unit writes."""
        if record not in self.edges:
            stream = stream_of(record)
            place = self.plan.single_place(stream.topic, self.partition, True)
            self.edges[record] = Edge(
                stream.topic,
                self.plan.topic(stream.topic),
                stream.key,
                self.plan.codec(record),
                place,
            )
        return self.edges[record]

    # --- what goes in

    def take(self, item: Input) -> bool:
        """Run one input record through all processors, to the end. False when so much expires
        before it that a transaction may end first: it is to be given again then.
        """
        if item.context is not None:
            return take_in_context(self, item)
        source, record = item.source, item.record
        self.item, self.changed = item, True
        if isinstance(record, DataError):
            self._note(item)
            self.letters.of_input(item, record)
            return True
        if source >= self._redrive:
            if source == self._clock:
                if not self.advance(item.time_ms, EXPIRED_MAX):
                    return False
                self._note(item)
                return True
            self._note(item)
            if not take_again(self, item):
                return True
            source = item.again.address.source  # it enters as what it was refused as
        trigger = self.trigger(item)
        seen = self._seen_by_source[source]
        value = "" if seen is None else seen.value_of(record)
        time_ms = max(item.time_ms, self.time_ms)
        known = seen is not None and seen.knows(value, time_ms)
        most = EXPIRED_MAX if item.again is None else NO_LIMIT
        if not known and not self.advance(item.time_ms, most):
            return False
        if item.again is None:
            self._note(item)
        if seen is not None:
            if known:
                why = f"{seen.field} {value!r} was seen before in {seen.name}"
                self.letters.of_input(item, Duplicate(why))
                return True
            seen.note(value, time_ms)
        self._queue.append((record, trigger, self._readers[source]))
        self.drain()
        return True

    def _note(self, item: Input) -> None:
        self.records_in += 1
        self.taken.note(item.source, item.offset)

    def advance(self, time_ms: int, most: int = NO_LIMIT) -> bool:
        """Move time on; entries whose deadline lies before it expire first, in (deadline, key)
        order. After `most` of them, and others of the same deadline, time stands still behind
        these, and False is returned.
        """
        if time_ms <= self.time_ms:
            return True  # nothing falls due before what has been reached
        timers, expired, last = self.timers, 0, -1
        while timers.next_ms < min(time_ms, NEVER):
            if expired >= most:
                self.time_ms = max(self.time_ms, last + 1)
                return False
            last = timers.next_ms
            self.time_ms = max(self.time_ms, last)
            due = timers.pop()
            for key, order, i in due:
                step = self.steps[order]
                assert isinstance(step, FoldStep)
                step.expire(i, key, last)
                if self._queue:
                    self.drain()
                self.expired_to = len(self.outputs)
            expired += len(due)
        self.time_ms = time_ms
        return True

    def deliver(self, record: Record, trigger: Trigger, steps: list[Step]) -> None:
        """Run a record through these processors, and what they write through its readers."""
        self._queue.append((record, trigger, steps))
        self.drain()

    def drain(self) -> None:
        """Deliver what is queued, and what comes of it, to the end. Each delivery is measured; a
        record that cannot be processed becomes a dead letter.
        """
        queue, now_ns = self._queue, perf_counter_ns
        began = now_ns()
        while queue:
            record, trigger, steps = queue.popleft()
            for step in steps:
                step.records_in += 1
                try:
                    if self.refused and (step.name, trigger[0]) in self.refused:
                        raise self.refused[(step.name, trigger[0])]
                    step.run(record, trigger)
                except (Rollback, *NO_FAULT_OF_A_RECORD):
                    raise
                except Exception as error:  # what a processor raises is its author's; it is kept
                    step.refuse(record, trigger, fault_of(error))
                ended = now_ns()
                step.nanoseconds += ended - began
                began = ended

    def trigger(self, item: Input) -> Trigger:
        """The reference of an input record, which is the parent of all that comes of it."""
        if item.again is not None:
            refused: Trigger = item.again.trigger
            return refused
        return self.reference(item.source, item.offset, item.header)

    def reference(self, source: int, offset: int, header: bytes | None) -> Trigger:
        """The same of a record that is taken for the first time, by its header if it has one."""
        foreign, derived = self._places[source]
        if header is not None:
            try:
                number = header_number(header)
                return derived + varint(number), derived, number
            except ValueError:
                pass  # a header of somebody else's: the record is addressed by its offset
        return foreign + varint(offset), foreign, offset

    # --- what comes out

    def emit(
        self, step: Step, encoded: list[Encoded], parents: list[bytes], model: bytes = b"\x00"
    ) -> None:
        """Write what a step wrote for one record, and queue it for readers. Parents differ."""
        if not encoded:
            return
        if len(parents) == 1:
            tail = b"".join((step.stamp, model, b"\x01", parents[0]))
        else:
            tail = b"".join((step.stamp, model, varint(len(parents)), *parents))
        self.write(step, encoded, tail)

    def write(self, step: Step, encoded: list[Encoded], tail: bytes) -> None:
        """Write these records, their headers ending alike, and queue them for readers."""
        outputs = self.outputs
        for edge, record, key, value in encoded:
            n = edge.n
            edge.n = n + 1
            number = varint(n)
            outputs.append((edge.topic, key, value, [(HEADER, b"\x01" + number + tail)]))
            self.bytes_out += len(value)
            if edge.readers:
                self._queue.append((record, (edge.place + number, edge.place, n), edge.readers))
        step.records_out += len(encoded)
        self.records_out += len(encoded)

    def encoded(self, step: Step, record: Record) -> Encoded:
        """A record that a step wrote, as it can be written; else a DataError."""
        edge = step.edges.get(type(record))
        if edge is None:
            raise ProcessorFault(
                f"{step.name} wrote a {type(record).__name__}, which it does not declare"
            )
        key, count = getattr(record, edge.key), self.partitions
        if partition_of(key, count) != self.partition:
            raise ProcessorFault(f"{step.name} wrote key {key!r}, which another partition holds")
        value, most = edge.codec.encode(record), edge.codec.bytes_max
        if len(value) > most:
            size = f"{len(value):,} bytes to {edge.name}; at most {most:,} fit"
            raise TooLarge(f"{step.name} wrote {size}")
        return edge, record, key, value

    def take_outputs(self) -> list[Output]:
        """What was written so far, to be sent while the batch goes on."""
        outputs, self.outputs = self.outputs, []
        return outputs

    def flush(self) -> Iterator[Output]:
        """All that this transaction has to write, made as it is taken: it has to be to the end."""
        yield from self.outputs
        topic, flow = self.plan.topic, self.plan.flow
        changelog = topic(flow.changelog)
        for step in self.steps:
            for store in step.stores:
                yield from store.flush(changelog)
        for seen in self.seen.values():
            for (hour, page), ids in seen.flush(self.time_ms):
                value = None if ids is None else self.plan.seen_codec.encode(SeenIds(ids=ids))
                yield changelog, f"seen/{seen.name}/{hour}/{page}", value, []
        state = UnitState(
            time_ms=self.time_ms,
            written={e.name: e.n for e in self.edges.values()},
            generations={s.name: s.generation for s in self.steps if isinstance(s, LearnerStep)},
        )
        yield changelog, "unit", self.plan.unit_codec.encode(state), []
        took = self.taken.entry(flow.code_version, self.time_ms)
        yield topic(flow.journal), None, self.plan.journal_codec.encode(took), []
        self.outputs, self.bytes_out, self.changed = [], 0, False
        self.taken = Taken([i.name for i in self.plan.inputs])
