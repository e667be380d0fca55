"""The fast path of an input that one transform alone reads, which feeds no other processor of the
flow: a run of its records goes straight from the queue through decoder, function and encoder.

It takes only what the plain way (`intake`, `Unit.take`) takes without a word, and leaves the same
outputs, journal and state; at the first record that is odd in any way it stops, and that one goes
the plain way, which says what is wrong with it. The function may then be called once more for it:
a transform is pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from streams.compiled_decoder import KNOWN_MAX
from streams.errors import NO_FAULT_OF_A_RECORD
from streams.lineage import HEADER
from streams.merge import Stored
from streams.partition import partition_of
from streams.step import Step, TransformStep
from streams.trace_context import context_of, mark
from streams.varint import varint

if TYPE_CHECKING:
    from streams.unit import Unit

SAMPLED_EACH: Final = 8  # records: the clock is looked at for one of them,
SLOW_NS: Final = 100_000  # but for each while one takes so long


class Straight:
    """The way of one input of a unit, the `source`th, through its only reader."""

    def __init__(self, unit: Unit, source: int, step: TransformStep) -> None:
        self._unit, self._source, self._step = unit, source, step
        self._input = unit.plan.inputs[source]
        self._tail = step.stamp + b"\x00\x01"  # of a header: no model, one parent, which follows
        foreign = unit.plan.single_place(self._input.name, unit.partition, False)
        self._foreign_tail = self._tail + foreign
        self._keys: dict[bytes | None, str] = {}  # those of this partition that were met

    def take(self, queue: deque[Stored], most: int, bytes_max: int, until_ns: int) -> int:
        """Take records while they are like most: at most so many, while the unit's output is below
        a size, until an instant of `perf_counter_ns`. How many were taken; they remain queued.
        """
        unit, step, keys = self._unit, self._step, self._keys
        if unit.refused:
            return 0
        decode, function = self._input.codec.decode_compiled, step.function
        key_field, time_field = self._input.key, self._input.event_time
        ahead_ms, timers = self._input.ahead_ms, unit.timers
        source = self._source
        taken = look_at = spent = 0
        for offset, key, value, headers, appended_ms in islice(queue, most):
            sampled = taken == look_at
            if unit.bytes_out >= bytes_max or (sampled and perf_counter_ns() >= until_ns):
                break
            try:
                record = decode(value)
                fields: dict[str, Any] = record.__dict__
                time_ms: int = fields[time_field]
                if not 0 <= time_ms <= appended_ms + ahead_ms:
                    break
                declared = fields[key_field]
                if keys.get(key) != declared and not self._belongs(key, declared):
                    break
                if timers.next_ms < time_ms:
                    break  # something expires before it
                tail = self._tail_of(offset, headers)
                began = perf_counter_ns() if sampled else 0
                encoded = step.encoded(function(record))
            except NO_FAULT_OF_A_RECORD:
                raise
            except Exception:
                break
            unit.time_ms = max(unit.time_ms, time_ms)
            before = len(unit.outputs)
            unit.write(step, encoded, tail)
            if headers and (context := context_of(headers)) is not None:
                mark(unit, context, before)
            if sampled:  # it stands for those up to the next
                spent = perf_counter_ns() - began
                look_at += SAMPLED_EACH if spent < SLOW_NS else 1
                step.nanoseconds += spent * (look_at - taken)
            taken += 1
        if taken:
            step.nanoseconds -= spent * (look_at - taken)  # those that were not taken
            unit.taken.note_run(source, queue[0].offset, queue[taken - 1].offset, taken)
        step.records_in += taken
        unit.records_in += taken
        return taken

    def _tail_of(self, offset: int, headers: dict[str, bytes]) -> bytes:
        """How the headers of what comes of a record end."""
        if headers and HEADER in headers:
            return self._tail + self._unit.reference(self._source, offset, headers[HEADER])[0]
        return self._foreign_tail + varint(offset)

    def _belongs(self, key: bytes | None, declared: str) -> bool:
        """Whether a record of this key is where it should be; those that were met are known."""
        unit = self._unit
        if key != declared.encode() or partition_of(declared, unit.partitions) != unit.partition:
            return False
        if len(self._keys) >= KNOWN_MAX:
            self._keys.clear()
        self._keys[key] = declared
        return True


def straight_inputs(unit: Unit, readers: Sequence[Sequence[Step]]) -> dict[int, Straight]:
    """The inputs of a unit that have this way, by number; `readers` are those of each."""
    found = {}
    for source, steps in enumerate(readers[: unit.plan.redrive]):
        match steps:
            case [TransformStep() as step] if not unit.plan.inputs[source].unique:
                if not any(edge.readers for edge in step.edges.values()):
                    found[source] = Straight(unit, source, step)
    return found
