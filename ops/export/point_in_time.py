"""Whether examples hold only what was known when their question was asked.

By construction they do: a feature record is written when the question is, and an example holds that
record as it was served. This looks whether it is so: an example names its question as a parent, and
holds what that says; and nothing that the question was made from, up to the raw events, has a later
event time than the question itself. Of a range that an aggregate names, every record is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ops.frames import Reading
from schemas.record import Record
from streams.columns.frames import default_of
from streams.columns.types import PARENTS, wanted_columns
from streams.extent import extent_now
from streams.masking import EVERYTHING
from streams.outline import Outline
from streams.processor import RecordClass
from streams.topology import stream_of

TOLD_MAX = 100  # faults; all are counted


@dataclass
class Finding:
    """How many examples were looked at, how many are at fault, and what is wrong with some."""

    checked: int = 0
    faulty: int = 0
    told: list[str] = field(default_factory=list)

    def fault(self, example: str, reason: str) -> None:
        """Note one."""
        self.faulty += 1
        if len(self.told) < TOLD_MAX:
            self.told.append(f"{example}: {reason}")


def questions_of(known: Outline, topic: str) -> RecordClass | None:
    """The questions that the examples of a stream answer; None if no learner says so."""
    asked = [one.questions for one in known.learners if one.examples == topic and one.questions]
    return known.records[asked[0]] if asked else None


def check(
    reading: Reading, questions: RecordClass, told: Callable[[int], None] = lambda records: None
) -> Finding:
    """Look at all examples of a reading; `told` hears how many records were read meanwhile."""
    ancestry = _Ancestry(reading, told)
    examples = reading.known.records[reading.extent.topic]
    served = _field_of(examples, questions)
    names = ["_id", PARENTS, *([served] if served else [])]
    wanted = wanted_columns(examples, names, may_see=EVERYTHING)
    topic, finding = stream_of(questions).topic, Finding()
    asked = ancestry.stream(topic, whole=served is not None)
    for batch in reading._replace(wanted=wanted).batches(lambda _: None):
        told(batch.num_rows)
        rows: list[int] = []
        reasons: list[str | None] = []
        for parents in batch.column(PARENTS).to_pylist():
            row, reason = _question(parents, topic, asked)
            rows.append(row)
            reasons.append(reason if reason else ancestry.newer(topic, row))
        if served:
            differing = _differs(batch.column(served), asked.table, rows, questions)
            for at in np.flatnonzero(differing).tolist():
                reasons[at] = reasons[at] or f"its {served} is not what {asked.ids[rows[at]]} says"
        for name, reason in zip(batch.column("_id").to_pylist(), reasons, strict=True):
            finding.checked += 1
            if reason:
                finding.fault(name, reason)
    return finding


def _question(parents: Iterable[str], topic: str, asked: _Stream) -> tuple[int, str | None]:
    """The row of the question among these parents, or why there is none."""
    named = [one for one in parents if one.startswith(f"{topic}[")]
    if len(named) != 1:
        return 0, f"it names {len(named)} records of {topic}, not one"
    row = asked.rows.get(named[0])
    return (0, f"{named[0]}, its question, is gone") if row is None else (row, None)


class _Stream:
    """A stream, by ids: event times and parents of its records."""

    def __init__(self, table: pa.Table, event_time: str) -> None:
        self.table = table.combine_chunks()
        self.ids: list[str] = self.table["_id"].to_pylist()
        self.rows = {name: row for row, name in enumerate(self.ids)}
        self.times = self.table[event_time].cast(pa.int64()).to_numpy()
        self.parents: list[list[str]] = self.table[PARENTS].to_pylist()
        number = pc.cast(pc.replace_substring_regex(self.table["_id"], ".*[#@]", ""), pa.int64())
        partition = self.table["_partition"].to_numpy()
        self._spans = {}
        for one in np.unique(partition).tolist():
            of_it = np.flatnonzero(partition == one)
            latest = np.maximum.accumulate(self.times[of_it])
            self._spans[one] = (of_it, number.to_numpy()[of_it], latest)

    def latest(self, partition: int, first: int, last: int, limit: int) -> int | None:
        """The row of a record of a range that is later than a limit; None if there is none."""
        if partition not in self._spans:
            return None
        of_it, numbers, latest = self._spans[partition]
        start, stop = np.searchsorted(numbers, [first, last + 1]).tolist()
        if start == stop or latest[stop - 1] <= limit:
            return None  # as nearly always; the range begins at the first record, nearly always
        at = start + int(np.argmax(self.times[of_it[start:stop]]))
        return int(of_it[at]) if self.times[of_it[at]] > limit else None


class _Ancestry:
    """What records were made from; each stream is read when it is first named."""

    def __init__(self, reading: Reading, told: Callable[[int], None]) -> None:
        self._reading = reading
        self._told = told
        self._records = reading.known.records
        self._streams: dict[str, _Stream] = {}

    def stream(self, topic: str, *, whole: bool = False) -> _Stream:
        """A stream as it is now."""
        if topic not in self._streams:
            record = self._records[topic]
            event_time = stream_of(record).event_time
            fields = list(record.model_fields) if whole else [event_time]
            names = ["_id", "_partition", PARENTS, *fields]
            wanted = wanted_columns(record, names, may_see=EVERYTHING)
            extent = extent_now(self._reading.connection.cluster, topic)
            reading = self._reading._replace(extent=extent, wanted=wanted)
            table = reading.batches(lambda _: None).read_all()
            self._told(table.num_rows)
            self._streams[topic] = _Stream(table, event_time)
        return self._streams[topic]

    def newer(self, topic: str, row: int) -> str | None:
        """What a record was made from that is later than itself, if anything."""
        known = self.stream(topic)
        limit = int(known.times[row])
        seen: set[str] = set()
        waiting = list(known.parents[row])
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            reason, above = self._looked_at(name, limit)
            if reason is not None:
                return f"{known.ids[row]}, its question, was made from {reason}"
            waiting += above
        return None

    def _looked_at(self, name: str, limit: int) -> tuple[str | None, list[str]]:
        topic, _, rest = name.partition("[")
        if topic not in self._records:
            return None, []  # time that passed, a redriven letter: nothing that holds a value
        stream = self.stream(topic)
        if ".." in rest:
            partition, numbers = rest.split("]")
            first, last = (int(one.strip("#@")) for one in numbers.split(".."))
            row = stream.latest(int(partition), first, last, limit)
            return (None, []) if row is None else (_later(stream, row, limit, name), [])
        found = stream.rows.get(name)
        if found is None:
            return f"{name}, which is gone", []
        if stream.times[found] > limit:
            return _later(stream, found, limit, name), []
        return None, stream.parents[found]


def _later(stream: _Stream, row: int, limit: int, name: str) -> str:
    seconds = (int(stream.times[row]) - limit) / 1_000
    which = "" if stream.ids[row] == name else f" of {name}"
    return f"{stream.ids[row]}{which}, which is {seconds:,g} s later"


def _field_of(examples: RecordClass, questions: type[Record]) -> str | None:
    """The field of an example that holds its question as it was served."""
    fields = examples.model_fields.items()
    return next((name for name, info in fields if info.annotation is questions), None)


def _differs(served: pa.Array, asked: pa.Table, rows: list[int], questions: RecordClass) -> Any:
    """Where a question that an example holds is not that of the row."""
    found = np.zeros(len(served), np.bool_)
    chosen = asked.take(pa.array(rows, pa.int64())) if len(asked) else asked
    for one, array in zip(served.type, served.flatten(), strict=True):
        if len(chosen):
            right = chosen[one.name].combine_chunks()
            filled = _filled(array, default_of(questions.model_fields[one.name]))
            unlike = _unlike(filled, right)
            found |= unlike if filled is array else unlike & _unlike(array, right)
    return found


def _filled(array: pa.Array, default: Any) -> pa.Array:
    """As it would be had it been written today: within an example of a former schema, which had no
    such field, it is null. So is what was null when it was asked.
    """
    if default is None or not array.null_count:
        return array
    return pc.if_else(pc.is_null(array), pa.scalar(default, array.type), array)


def _unlike(left: pa.Array, right: pa.Array) -> Any:
    """Where two columns differ; NaN is NaN, and null is null."""
    if pa.types.is_nested(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return np.array([not _alike(*pair) for pair in pairs], np.bool_)
    same = pc.fill_null(pc.equal(left, right), False)
    both = pc.and_(pc.is_null(left, nan_is_null=True), pc.is_null(right, nan_is_null=True))
    one_null = pc.xor(pc.is_null(left), pc.is_null(right))
    return ~np.asarray(pc.or_(same, pc.and_not(both, one_null)))


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(left[n], right[n]) for n in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)
