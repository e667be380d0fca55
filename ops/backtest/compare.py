"""Take the input of a flow again with changed processors, and compare with what was written.

The change is made from the beginning of the log: state and models are folds over all that came
before, so that is the only beginning at which both have the same. What is compared and scored may
begin later. A record's counterpart is the one in the same stream and partition, of the same key,
event time and identifying fields (those by which the flow's events are unique); of several, in
their order. So a record that only one side has does not shift all the others.

A record that is equal in key and value is the same, whatever its id and its parents: ids count,
and one record more moves those of all that follow.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ops.backtest.paired import Paired
from schemas.record import Record
from streams.errors import DataError, StreamsError
from streams.finder import BoundedLog, number_of
from streams.journal import Tape, replay_journal
from streams.loss import Loss
from streams.merge import Stored
from streams.plan import Plan
from streams.processor import RecordClass
from streams.topology import stream_of

UNPAIRED_MAX = 500_000  # records of one stream and partition that wait for their counterparts

Identity = tuple[Any, ...]
Told = Callable[[dict[str, Any]], None]


class Unpaired(StreamsError):
    """What was written cannot be compared with what would be."""


@dataclass
class StreamChange:
    """What a change does to one stream. `fields` counts the records in which each differs."""

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    first: str | None = None  # the id of the first record that is changed or removed


@dataclass
class Comparison:
    """What a change does to a flow, by topic without namespace; and to its losses, by stream and
    name.
    """

    streams: dict[str, StreamChange]
    losses: dict[tuple[str, str], Paired]
    dead_letters: int = 0  # that the changed flow writes
    codes: Counter[str] = field(default_factory=Counter)  # transactions by the code that ran


class Side(NamedTuple):
    """A record of one side: where it lies or would lie, as bytes and as a record."""

    n: int | None
    stored: Stored
    record: Record


def compare(
    plan: Plan,
    log: BoundedLog,
    partitions: int,
    *,
    since_ms: int = 0,
    progress: Callable[[int], None] = lambda at_ms: None,
    told: Told = lambda record: None,
) -> Comparison:
    """Run a changed flow on what its journal says was taken, and compare what it writes with what
    is there.

    `told` hears of every record that is not the same, `progress` of the time (ms) that was reached.
    InputGone if the input is not there any more; Unpaired.
    """
    named = {stream_of(c).topic: c for c in plan.flow.written}
    topics = {plan.topic(name): named[name] for name in plan.flow.derived}
    losses: dict[tuple[str, str], Paired] = {
        (stream_of(loss.examples).topic, loss.name): Paired() for loss in plan.flow.losses
    }
    found = Comparison({name: StreamChange() for name in plan.flow.derived}, losses)
    dead_letter = plan.topic(plan.flow.dead_letter)
    for partition in range(partitions):
        pairs = {
            topic: _Pairs(plan, log, record, partition, since_ms, found, told)
            for topic, record in topics.items()
        }
        for entry, outputs in replay_journal(plan, log, partition, partitions):
            found.codes[entry.code_version] += 1
            for topic, key, value, headers in outputs:
                if topic in pairs:
                    data = key.encode() if isinstance(key, str) else key
                    pairs[topic].take(Stored(-1, data, value, dict(headers)))
                found.dead_letters += topic == dead_letter
            progress(entry.time_ms)
        for waiting in pairs.values():
            waiting.close()
    return found


class _Pairs:
    """The records of one stream and partition, those that were written beside those of the
    change.
    """

    def __init__(
        self,
        plan: Plan,
        log: BoundedLog,
        record: RecordClass,
        partition: int,
        since_ms: int,
        found: Comparison,
        told: Told,
    ) -> None:
        stream = stream_of(record)
        self._topic, self._partition, self._told = stream.topic, partition, told
        self._found, self._change = found, found.streams[stream.topic]
        self._losses = [loss for loss in plan.flow.losses if loss.examples is record]
        self._codec, self._event_time = plan.codec(record), stream.event_time
        unique = {i.unique for i in plan.inputs if i.unique is not None}
        self._identifying = sorted(unique & set(record.model_fields))
        name = plan.topic(stream.topic)
        first, self._end = log.bounds(name, partition)
        self._tape = Tape(log, name, partition)
        self._before: defaultdict[Identity, deque[Side]] = defaultdict(deque)
        self._after: defaultdict[Identity, deque[Side]] = defaultdict(deque)
        self._waiting = 0
        self._since_ms = since_ms if first == 0 else max(since_ms, self._oldest_ms())

    def _oldest_ms(self) -> int:
        """The event time at which retention has cut; what is older has no counterpart."""
        before = self._tape.next()
        if before is None:
            return 0
        side = self._side(before)
        self._put(side, self._before, self._after)
        return self._at_ms(side)

    def take(self, after: Stored) -> None:
        """Take a record of the changed flow, and one more that was written."""
        self._put(self._side(after), self._after, self._before)
        before = self._tape.next()
        if before is not None:
            self._put(self._side(before), self._before, self._after)

    def close(self) -> None:
        """Take the rest of what was written; what waits still has no counterpart. What was written
        since the beginning may be of a transaction that was not taken again.
        """
        while (before := self._tape.next()) is not None:
            self._put(self._side(before), self._before, self._after)
        for side in (s for sides in self._before.values() for s in sides):
            if side.stored.offset < self._end:
                self._alone(side, "removed")
        for side in (s for sides in self._after.values() for s in sides):
            self._alone(side, "added")

    def _side(self, stored: Stored) -> Side:
        """A record of either side; one that would be written has no offset yet."""
        try:
            record = self._codec.decode(stored.value)
        except DataError as error:
            raise Unpaired(f"{self._topic}[{self._partition}]@{stored.offset}: {error}") from error
        return Side(None if stored.offset < 0 else number_of(stored), stored, record)

    def _at_ms(self, side: Side) -> int:
        at_ms: int = getattr(side.record, self._event_time)
        return at_ms

    def _put(
        self,
        side: Side,
        own: defaultdict[Identity, deque[Side]],
        other: defaultdict[Identity, deque[Side]],
    ) -> None:
        """Pair a record with the first of its identity that waits on the other side, or wait."""
        fields = (getattr(side.record, name) for name in self._identifying)
        identity = (side.stored.key, self._at_ms(side), *fields)
        waiting = other.get(identity)
        if not waiting:
            own[identity].append(side)
            self._waiting += 1
            if self._waiting > UNPAIRED_MAX:
                raise Unpaired(
                    f"{self._topic}[{self._partition}]: {UNPAIRED_MAX:,} records have no "
                    "counterpart; the change writes other keys or event times"
                )
            return
        found = waiting.popleft()
        self._waiting -= 1
        if not waiting:
            del other[identity]
        before, after = (found, side) if other is self._before else (side, found)
        if self._at_ms(side) >= self._since_ms:
            self._compare(before, after)

    def _compare(self, before: Side, after: Side) -> None:
        for loss in self._losses:
            self._score(loss, before.record, after.record, self._at_ms(after))
        if before.stored.value == after.stored.value:
            self._change.same += 1
            return
        left, right = dict(before.record), dict(after.record)
        fields = [name for name in {**left, **right} if left.get(name) != right.get(name)]
        if not fields:
            self._change.same += 1
            return
        self._change.changed += 1
        self._change.fields.update(fields)
        self._tell(before, "changed", {name: [left.get(name), right.get(name)] for name in fields})

    def _score(self, loss: Loss, before: Record, after: Record, at_ms: int) -> None:
        left, right = loss.of(before), loss.of(after)
        if left is not None and right is not None:
            self._found.losses[(self._topic, loss.name)].add(at_ms, left, right)

    def _alone(self, side: Side, what: str) -> None:
        if self._at_ms(side) < self._since_ms:
            return
        if what == "added":
            self._change.added += 1
        else:
            self._change.removed += 1
        self._tell(side, what, dict(side.record))

    def _tell(self, side: Side, what: str, fields: dict[str, Any]) -> None:
        """An added record lies nowhere, and has no id that could be traced."""
        place = f"{self._topic}[{self._partition}]"
        written = f"{place}@{side.stored.offset}" if side.n is None else f"{place}#{side.n}"
        if what != "added" and self._change.first is None:
            self._change.first = written
        self._told(
            {
                "topic": self._topic,
                "what": what,
                "id": None if what == "added" else written,
                "key": None if side.stored.key is None else side.stored.key.decode(),
                "at_ms": self._at_ms(side),
                "fields": fields,
            }
        )
