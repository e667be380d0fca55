"""The step of a fold: its function is given what is remembered, and says what will be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.record import Record
from streams.errors import NO_FAULT_OF_A_RECORD, ProcessorFault, Rollback
from streams.processor import Processor
from streams.step import Step, fault_of
from streams.tables import TableStore, Touched, Trigger, parents_of

if TYPE_CHECKING:
    from streams.unit import Unit


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
            record: [(i, s) for i, s in enumerate(self.stores) if record in s.table.touched_by]
            for record in processor.reads
        }
        self.in_place = any(store.in_place for store in self.stores)

    def run(self, record: Record, trigger: Trigger) -> None:
        """Look up the entries that the record touches, call the function, remember what it
        returns.
        """
        states: list[Any] = self.blank.copy()
        touched: list[Touched] = []
        fields: dict[str, Any] = record.__dict__
        for i, store in self.touched[type(record)]:
            key = store.key_of(fields)
            if key is not None:
                entry = store.entries.get(key)
                touched.append((i, store, key, entry))
                if entry is not None:
                    states[i] = store.value_of(entry)
        try:
            returned, outputs = self.function(tuple(states), record)
            if not isinstance(returned, (tuple, list)):
                what = type(returned).__name__
                raise ProcessorFault(f"{self.name} returned a {what}; its states were expected")
            after: list[Any] = list(returned)
            if len(after) != len(states):
                raise ProcessorFault(
                    f"{self.name} returned {len(after)} states; {len(states)} were expected"
                )
            for i, store, _, _ in touched:
                new = after[i]
                if new is not None and type(new) is not store.state:
                    store.refuse(new)
            if outputs:
                self.unit.emit(self, self.encoded(outputs), parents_of(trigger[0], touched))
        except Exception as error:
            if self.in_place and not isinstance(error, NO_FAULT_OF_A_RECORD):
                raise Rollback(self.name, trigger[0], fault_of(error)) from error
            raise
        self._remember(touched, states, after, trigger)

    def _remember(
        self,
        touched: list[Touched],
        before: list[Any],
        after: list[Any],
        trigger: Trigger,
    ) -> None:
        now_ms = self.unit.time_ms
        for i, store, key, entry in touched:
            new = after[i]
            if entry is None or new is None:
                self._come_or_go(i, key, new, trigger)
            elif new is not before[i] or store.in_place:
                store.update(entry, new, now_ms, trigger)

    def _come_or_go(self, i: int, key: str, new: Any, trigger: Trigger) -> None:
        """Make an entry, or forget it."""
        store = self.stores[i]
        if new is not None:
            deadline = store.create(key, new, self.unit.time_ms, trigger)
            if deadline is not None:
                self.unit.timers.add(deadline, key, self.order, i)
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
                self.unit.timers.add(entry.deadline, key, self.order, i)
            return
        if self.expired_function is not None:
            state = store.value_of(entry)
            parents = list(store.references(entry))
            try:
                written = self.encoded(self.expired_function(state, deadline))
                self.unit.emit(self, written, parents)
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
            written = self.encoded(self.expired_function(state, deadline))
            self.unit.emit(self, written, parents)
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
        key = store.key_of(record.__dict__)
        entry = None if key is None else store.entries.get(key)
        state = None if entry is None else store.value_of(entry)
        try:
            after, outputs = self.function(state, record)
            if after is not None and type(after) is not store.state:
                store.refuse(after)
            if outputs:
                touched = () if key is None else ((0, store, key, entry),)
                self.unit.emit(self, self.encoded(outputs), parents_of(trigger[0], touched))
        except Exception as error:
            if self.in_place and not isinstance(error, NO_FAULT_OF_A_RECORD):
                raise Rollback(self.name, trigger[0], fault_of(error)) from error
            raise
        if key is None:
            return
        if entry is None or after is None:
            self._come_or_go(0, key, after, trigger)
        elif after is not state or self.in_place:
            store.update(entry, after, self.unit.time_ms, trigger)
