"""The tables of a fold in memory: entries, the ids they keep, their deadlines, and their walk to
and from the changelog.

An entry is written to the changelog once per transaction, however often it changed; one that came
and went within a transaction is never written. Values restored from the changelog are decoded when
they are first used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from streams.codec import Codec
from streams.edge import Output
from streams.errors import NO_FAULT_OF_A_RECORD, ProcessorFault, Unwritable
from streams.lineage import RANGE, pack_range
from streams.masking import kinds_in
from streams.processor import Table
from streams.sensitivity import safe_text
from streams.varint import read_varint, varint

Trigger = tuple[bytes, bytes, int]  # of what is processed: packed reference, its place, its number
Ranges = dict[bytes, list[int]]  # the first and the last record of each place
PARENTS_MAX: Final = 64
SEPARATOR: Final = "\x1f"
STATE_HEADER: Final = "doa-state"  # of a changelog's records: deadline and parents of an entry


class Entry:
    """What is remembered under one key: a value (or its bytes; None when it was forgotten), its
    deadline, the ids of the records that made it; whether the changelog has heard of its key, and
    whether it changed since the last flush.
    """

    __slots__ = ("changed", "deadline", "key", "parents", "stored", "value")

    def __init__(
        self, key: str, value: Any, deadline: int | None, parents: Any, *, stored: bool
    ) -> None:
        self.key = key
        self.value = value
        self.deadline = deadline
        self.parents = parents
        self.stored = stored
        self.changed = False


class TableStore:
    """The entries of one table within one unit."""

    def __init__(self, processor: str, table: Table, codec: Codec) -> None:
        self.table = table
        self.codec = codec
        self.prefix = f"{processor}/{table.name}/"
        self.entries: dict[str, Entry] = {}
        self.changed: list[Entry] = []  # in this transaction, each once; some may be gone again
        self.gone: dict[str, None] = {}  # what was forgotten in it, and the changelog still holds
        self.state = table.state
        self.in_place = table.in_place
        self.expires = table.expires
        self.renews = table.renews and table.expires is not None
        self._key, self._first = table.key, table.key[0]
        self._texts = all(_is_text(table, name) for name in table.key)
        self.ranged, self.latest = table.parents == "range", table.parents == "latest"

    def key_of(self, fields: dict[str, Any]) -> str | None:
        """The text of a record's key, by its fields; None when one of them is."""
        if len(self._key) == 1:
            part = fields[self._first]
            return part if self._texts or part is None else str(part)
        parts: list[str] = []
        for name in self._key:
            part = fields[name]
            if part is None:
                return None
            parts.append(part if self._texts else str(part))
        key = SEPARATOR.join(parts)
        return key if key.count(SEPARATOR) == len(parts) - 1 else _quoted(parts)

    def value_of(self, entry: Entry) -> Any:
        """The value of an entry; one that was restored is decoded when it is first asked for, and
        the ids of its parents with it.
        """
        value = entry.value
        if type(value) is bytes:
            value = entry.value = self.codec.decode(value)
            entry.parents = self._parents_in(entry.parents)
        return value

    def create(self, key: str, value: Any, now_ms: int, trigger: Trigger) -> int | None:
        """Remember a value under a new key; returns its deadline."""
        deadline = None if self.expires is None else now_ms + self.expires
        stored = key in self.gone
        if stored:
            del self.gone[key]
        entry = Entry(key, value, deadline, self.note(None, trigger), stored=stored)
        entry.changed = True
        self.entries[key] = entry
        self.changed.append(entry)
        return deadline

    def update(self, entry: Entry, value: Any, now_ms: int, trigger: Trigger) -> None:
        """Remember a new value. The deadline of an entry that renews moves on its own: its timer,
        when it fires, is set again.
        """
        if not entry.changed:
            entry.changed = True
            self.changed.append(entry)
        entry.value = value
        entry.parents = self.note(entry.parents, trigger)
        if self.renews:
            entry.deadline = now_ms + (self.expires or 0)

    def note(self, parents: Any, trigger: Trigger) -> Any:
        """The parents of an entry, which may have none yet, and the record that changes it."""
        if self.latest:
            return trigger[0]
        return _note_range(parents, trigger) if self.ranged else _note_all(parents, trigger)

    def references(self, entry: Entry) -> Sequence[bytes]:
        """The parents of an entry, packed."""
        if self.latest:
            return (entry.parents,)
        return _packed(entry.parents) if self.ranged else entry.parents

    def refuse(self, value: Any) -> None:
        """Raise ProcessorFault for a value that is no state of this table."""
        raise ProcessorFault(
            f"{self.prefix}: a {type(value).__name__} was returned; "
            f"a {self.state.__name__} or None was expected"
        )

    def delete(self, key: str) -> None:
        """Forget a key; a tombstone is owed only if the changelog ever heard of it."""
        entry = self.entries.pop(key)
        entry.value = None
        if entry.stored:
            self.gone[key] = None

    def flush(self, changelog: str) -> Iterator[Output]:
        """What the changelog has to hear: of each key that changed, its entry or a tombstone."""
        prefix = self.prefix
        for entry in self.changed:
            if entry.value is not None:
                data = self._encoded(entry.key, entry.value)
                entry.stored, entry.changed = True, False
                head = varint(0 if entry.deadline is None else entry.deadline + 1)
                headers = [(STATE_HEADER, head + b"".join(self.references(entry)))]
                yield changelog, prefix + entry.key, data, headers
        for key in self.gone:
            yield changelog, prefix + key, None, []
        self.changed.clear()
        self.gone.clear()

    def _encoded(self, key: str, value: Any) -> bytes:
        try:
            data = self.codec.encode(value)
        except NO_FAULT_OF_A_RECORD:
            raise
        except Exception as error:  # of a value that no validation saw: a copy, or one in place
            why = f"{type(error).__name__}: {self._safe(error)}"
            raise Unwritable(f"{self.prefix}{self._safe(key)}: {why}") from None
        if len(data) > self.codec.bytes_max:
            most = self.codec.bytes_max
            raise Unwritable(
                f"{self.prefix}{self._safe(key)} has {len(data):,} bytes; at most {most:,} fit"
            )
        return data

    def _safe(self, said: Exception | str) -> str:
        """A key, or what is wrong with a value, for the eyes of whoever reads a worker's log."""
        records = (self.state, *self.table.touched_by)
        return safe_text(said, (kind for one in records for kind in kinds_in(one)))

    def restore(self, key: str, value: bytes, head: bytes) -> Entry:
        """Take back what `flush` said."""
        deadline, at = read_varint(head, 0)
        entry = Entry(key, value, deadline - 1 if deadline else None, head[at:], stored=True)
        self.entries[key] = entry
        return entry

    def _parents_in(self, head: bytes) -> Any:
        references = split_references(head, 0)
        if self.ranged:
            return {r[0]: [r[1], r[2]] for r in map(_range_of, references)}
        return references[-1] if self.latest else tuple(references)


# What a record touches: the number of a table of its fold, the table, a key, the entry if there is.
Touched = tuple[int, TableStore, str, Entry | None]


def parents_of(trigger: bytes, touched: Iterable[Touched]) -> list[bytes]:
    """The parents of what a record caused, each once: itself, and what the entries that it touched
    remember.

    Ranges over one partition are joined: several aggregates of a record name the records between
    the first and the last once.
    """
    parents = [trigger]
    ranges: Ranges | None = None
    for _, store, _, entry in touched:
        if entry is None:
            continue
        if store.latest:
            parents.append(entry.parents)
        elif not store.ranged:
            parents += entry.parents
        elif ranges is None:
            ranges = entry.parents
        else:
            ranges = _joined(ranges, entry.parents)
    alone = len(parents) == 1  # then nothing can be named twice
    if ranges is not None:
        parents += _packed(ranges)
    return parents if alone else list(dict.fromkeys(parents))


def _joined(one: Ranges, other: Ranges) -> Ranges:
    """The ranges of both; over one partition, from the first to the last."""
    joined = one.copy()
    for place, bounds in other.items():
        known = joined.get(place, bounds)
        joined[place] = [min(known[0], bounds[0]), max(known[1], bounds[1])]
    return joined


def _packed(ranges: Ranges) -> list[bytes]:
    """References to ranges."""
    return [pack_range(place, bounds[0], bounds[1]) for place, bounds in ranges.items()]


def split_references(data: bytes, at: int) -> list[bytes]:
    """Cut packed references apart."""
    references = []
    while at < len(data):
        start = at
        where, at = read_varint(data, at + 4)
        _, at = read_varint(data, at)
        if where & RANGE:
            _, at = read_varint(data, at)
        references.append(data[start:at])
    return references


def _quoted(parts: list[str]) -> str:
    """The key of parts that contain the separator: it begins with more of them than any plain key
    holds, and the quoted parts hold none, so that it is the key of no other parts.
    """
    return SEPARATOR * len(parts) + json.dumps(parts)


def _is_text(table: Table, name: str) -> bool:
    kinds = {record.model_fields[name].annotation for record in table.touched_by}
    return kinds <= {str, str | None}


def _range_of(reference: bytes) -> tuple[bytes, int, int]:
    """Place of the single records, first and last of what a reference names: a range, or one."""
    where, at = read_varint(reference, 4)
    first, at = read_varint(reference, at)
    length = read_varint(reference, at)[0] if where & RANGE else 0
    return reference[:4] + varint(where & ~RANGE), first, first + length


def _as_ranges(references: Iterable[bytes]) -> tuple[bytes, ...]:
    """One reference to each place, from the first to the last record that is named there."""
    ranges: Ranges = {}
    for reference in references:
        place, first, last = _range_of(reference)
        ranges = _joined(ranges, {place: [first, last]})
    return tuple(
        pack_range(place, first, last) if first < last else place + varint(first)
        for place, (first, last) in ranges.items()
    )


def _note_all(parents: Any, trigger: Trigger) -> Any:
    if parents is None:
        return (trigger[0],)
    if trigger[0] in parents:
        return parents
    return (*(parents if len(parents) < PARENTS_MAX else _as_ranges(parents)), trigger[0])


def _note_range(parents: Ranges | None, trigger: Trigger) -> Ranges:
    _, place, number = trigger
    if parents is None:
        return {place: [number, number]}
    bounds = parents.get(place)
    if bounds is None:
        parents[place] = [number, number]
    elif number > bounds[1]:
        bounds[1] = number
    elif number < bounds[0]:
        bounds[0] = number
    return parents
