"""What a unit runs: each declared processor, bound to the unit's state.

A step gets a record and its trigger (packed reference, place, number), calls the pure function and
hands what it wrote to the
unit, with the references of its parents. State changes only after everything the function wrote
could be encoded; a step
that changes state in place cannot promise that, so its failure rolls the batch back.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from schemas.record import Record
from streams.errors import NO_FAULT_OF_A_RECORD, DataError, ProcessorFault, Rollback
from streams.processor import Learner, Processor
from streams.snapshot_log import write_snapshot
from streams.tables import Entry, TableStore, Trigger, parents_of
from streams.topology import AnyProcessor, outputs_of, stream_of
from streams.varint import varint

if TYPE_CHECKING:
    from streams.unit import Unit


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
        self.unit.emit(self, self.function(record), [trigger[0]])


class FoldStep(Step):
    """Runs a fold against its tables."""

    def __init__(self, unit: Unit, processor: Processor) -> None:
        super().__init__(unit, processor)
        self.function = processor.function
        self.expired_function = processor.expired_function
        self.stores = [
            TableStore(processor.name, t, unit.plan.state_codec(t.state)) for t in processor.tables
        ]
        self.blank = [None] * len(self.stores)
        self.touched = {
            record: [
                (i, s, s.key_of, s.entries)
                for i, s in enumerate(self.stores)
                if record in s.table.touched_by
            ]
            for record in processor.reads
        }
        self.in_place = any(store.in_place for store in self.stores)

    def run(self, record: Record, trigger: Trigger) -> None:
        """Look up the entries that the record touches, call the function, remember what it
        returns.
        """
        states: list[Any] = self.blank.copy()
        touched: list[tuple[int, TableStore, str, Entry | None]] = []
        for i, store, key_of, entries in self.touched[type(record)]:
            key = key_of(record)
            if key is not None:
                entry = entries.get(key)
                touched.append((i, store, key, entry))
                if entry is not None:
                    states[i] = store.value_of(entry)
        try:
            after, outputs = self.function(tuple(states), record)
            if len(after) != len(states):
                raise ProcessorFault(
                    f"{self.name} returned {len(after)} states; {len(states)} were expected"
                )
            known: list[tuple[TableStore, Entry]] = []
            for i, store, _, entry in touched:
                new = after[i]
                if new is not None and type(new) is not store.state:
                    store.refuse(new)
                if entry is not None:
                    known.append((store, entry))
            if outputs:
                self.unit.emit(self, outputs, parents_of(trigger[0], known))
        except Exception as error:
            if self.in_place and not isinstance(error, NO_FAULT_OF_A_RECORD):
                raise Rollback(self.name, trigger[0], fault_of(error)) from error
            raise
        self._remember(touched, states, after, trigger)

    def _remember(
        self,
        touched: list[tuple[int, TableStore, str, Entry | None]],
        before: Sequence[Any],
        after: Sequence[Any],
        trigger: Trigger,
    ) -> None:
        now_ms = self.unit.time_ms
        for i, store, key, entry in touched:
            new = after[i]
            if entry is None or new is None:
                self._come_or_go(i, key, new, trigger)
            elif new is not before[i] or store.in_place:
                store.update(key, entry, new, now_ms, trigger)

    def _come_or_go(self, i: int, key: str, new: Any, trigger: Trigger) -> None:
        """Make an entry, or forget it."""
        store = self.stores[i]
        if new is not None:
            deadline = store.create(key, new, self.unit.time_ms, trigger)
            if deadline is not None:
                heappush(self.unit.timers, (deadline, key, self.order, i))
        elif key in store.entries:
            store.delete(key)

    def expire(self, i: int, key: str, deadline: int) -> None:
        """Forget an entry whose deadline has passed, and write what the fold says about it."""
        store = self.stores[i]
        entry = store.entries.get(key)
        if entry is None or entry.deadline is None or entry.deadline < deadline:
            return  # deleted since, and perhaps made anew, with a timer of its own
        if entry.deadline > deadline:
            if store.renews:
                heappush(self.unit.timers, (entry.deadline, key, self.order, i))
            return
        if self.expired_function is not None:
            state = store.value_of(entry)
            parents = parents_of(None, [(store, entry)])
            try:
                self.unit.emit(self, self.expired_function(state, deadline), parents)
            except NO_FAULT_OF_A_RECORD:
                raise
            except Exception as error:  # as in `deliver`; here the entry is what is kept
                self.dead_letters += 1
                fault = fault_of(error)
                self.unit.letters.of_entry(self.name, store, key, parents, fault, deadline)
        store.delete(key)

    def close(self, state: Any, deadline: int, parents: list[bytes]) -> None:
        """Write what the fold says about an entry that it could not close when it expired."""
        assert self.expired_function is not None, "only a fold that closes entries is asked to"
        self.records_in += 1
        try:
            self.unit.emit(self, self.expired_function(state, deadline), parents)
        except NO_FAULT_OF_A_RECORD:
            raise
        except Exception as error:  # as in `expire`
            assert self.unit.item is not None, "an entry is closed again when it was redriven"
            self.dead_letters += 1
            self.unit.letters.of_input(self.unit.item, fault_of(error), self.name)


class SingleFoldStep(FoldStep):
    """Runs a fold of one table: most of them, so they go without lists of tables."""

    def run(self, record: Record, trigger: Trigger) -> None:
        """Look up the entry of the record's key, call the function, remember what it returns."""
        store = self.stores[0]
        key = store.key_of(record)
        entry = None if key is None else store.entries.get(key)
        state = None if entry is None else store.value_of(entry)
        try:
            after, outputs = self.function(state, record)
            if after is not None and type(after) is not store.state:
                store.refuse(after)
            if outputs:
                known = () if entry is None else ((store, entry),)
                self.unit.emit(self, outputs, parents_of(trigger[0], known))
        except Exception as error:
            if self.in_place and not isinstance(error, NO_FAULT_OF_A_RECORD):
                raise Rollback(self.name, trigger[0], fault_of(error)) from error
            raise
        if key is None:
            return
        if entry is None or after is None:
            self._come_or_go(0, key, after, trigger)
        elif after is not state or self.in_place:
            store.update(key, entry, after, self.unit.time_ms, trigger)


class LearnerStep(Step):
    """Folds examples into a model, and answers questions with it."""

    def __init__(self, unit: Unit, learner: Learner) -> None:
        super().__init__(unit, learner)
        self.learner = learner
        self.model = learner.model()
        self.version = 0
        self.generation = 0
        self.frozen = self.due = False
        self.event_time = stream_of(learner.examples).event_time

    def run(self, record: Record, trigger: Trigger) -> None:
        """Answer a question or learn from an example."""
        if type(record) is not self.learner.examples:
            assert self.learner.predict is not None
            try:
                prediction = self.learner.predict(self.model, record, self.version)
            except (Exception, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as panic:
                raise _panicked(panic) from panic
            if prediction is not None:
                self.unit.emit(self, (prediction,), [trigger[0]], varint(self.version + 1))
            return
        try:
            signals = self.learn(record, trigger[2])
        except NO_FAULT_OF_A_RECORD:
            raise
        except Exception as error:
            raise Rollback(self.name, trigger[0], fault_of(error)) from error
        if signals:
            self.unit.emit(self, signals, [trigger[0]], varint(self.version + 1))
        if self.due:
            write_snapshot(self, trigger[0])

    def learn(self, example: Record, n: int) -> list[Record]:
        """Fold example #n; the signals that it gave can be written. Nothing happens once the model
        is frozen.

        Whatever is raised here is raised again when the example is folded again: so a restart
        leaves out what was left out before.
        """
        until = self.learner.until_ms
        self.due = False
        if self.frozen:
            return []
        if until is not None and getattr(example, self.event_time) >= until:
            self.frozen = self.due = True
            return []
        try:
            signals = list(self.learner.learn(self.model, example) or ())
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as panic:
            raise _panicked(panic) from panic
        for signal in signals:
            self.unit.encoded(self, signal)
        self.version = n + 1
        self.due = self.version % self.learner.snapshot_every == 0
        return signals


def _panicked(panic: BaseException) -> ProcessorFault:
    """A panic of river's Rust, which is no Exception, but no reason to end a worker either."""
    return ProcessorFault(f"{type(panic).__name__}: {panic}")


def step_of(unit: Unit, processor: AnyProcessor) -> Step:
    """The step that runs a processor."""
    if isinstance(processor, Learner):
        return LearnerStep(unit, processor)
    if processor.kind == "transform":
        return TransformStep(unit, processor)
    return SingleFoldStep(unit, processor) if processor.single else FoldStep(unit, processor)
