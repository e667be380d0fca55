"""What a unit runs: a declared processor, bound to the unit's state.

A step gets a record and its trigger (packed reference, place, number), calls the pure function and
hands what it wrote to the unit, with the references of its parents. State changes only after
everything the function wrote could be encoded; a step that changes state in place cannot promise
that, so its failure rolls the batch back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from traceback import walk_tb
from typing import TYPE_CHECKING

from schemas.record import Record
from streams.errors import DataError, ProcessorFault
from streams.processor import Processor
from streams.tables import TableStore, Trigger
from streams.topology import AnyProcessor, outputs_of

if TYPE_CHECKING:
    from streams.unit import Encoded, Unit


class Step:
    """One processor within one unit, the `order`th of it."""

    order = 0
    stores: Sequence[TableStore] = ()

    def __init__(self, unit: Unit, processor: AnyProcessor) -> None:
        self.unit = unit
        self.name = processor.name
        self.stamp = unit.plan.stamps[processor.name]
        self.edges = {c: unit.edge(c) for c in outputs_of(processor)}
        self.records_in = self.records_out = self.dead_letters = self.nanoseconds = 0

    def encoded(self, records: Iterable[Record]) -> list[Encoded]:
        """Records that it wrote, as they can be written; else a DataError."""
        return [self.unit.encoded(self, record) for record in records]

    def refuse(self, record: Record, trigger: Trigger, error: DataError) -> None:
        """Write the dead letter of a record."""
        self.dead_letters += 1
        self.unit.letters.of_record(self.name, record, trigger, error)

    def run(self, record: Record, trigger: Trigger) -> None:
        """Process one record."""
        raise AssertionError("each kind of step runs in its own way")


def fault_of(error: Exception) -> DataError:
    """What a processor raised, as the error of a dead letter.

    A failed assertion of the runtime's own is raised again: nothing goes on after it.
    """
    if isinstance(error, DataError):
        return error
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if isinstance(error, AssertionError) and frames[-1].f_globals["__name__"].startswith(
        "streams."
    ):
        raise error
    fault = ProcessorFault(f"{type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault


class TransformStep(Step):
    """Runs a transform."""

    def __init__(self, unit: Unit, processor: Processor) -> None:
        super().__init__(unit, processor)
        self.function = processor.function

    def run(self, record: Record, trigger: Trigger) -> None:
        """Call the function; the only parent is the record."""
        self.unit.emit(self, self.encoded(self.function(record)), [trigger[0]])
