"""Records that were written, each beside its counterpart of a change.

A record's counterpart is the one in the same stream and partition, of the same key, event time and
identifying fields (those by which the flow's events are unique); of several, in their order. So a
record that only one side has does not shift all the others.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ops.backtest.seen import Sight
from schemas.record import Record
from streams.errors import DataError, NotFound, StreamsError
from streams.finder import BoundedLog, number_of
from streams.journal import Tape
from streams.merge import Stored
from streams.plan import Plan
from streams.processor import RecordClass
from streams.sensitivity import reason_of
from streams.topology import stream_of

NOTHING_LEFT_MS = 1 << 62  # later than any record
UNPAIRED_MAX = 500_000  # records of one stream and partition that wait for their counterparts

Identity = tuple[Any, ...]


class Unpaired(StreamsError):
    """What was written cannot be compared with what would be."""


class Side(NamedTuple):
    """A record of one side: where it lies or would lie, as bytes and as a record."""

    n: int | None
    stored: Stored
    record: Record


class Listener(Protocol):
    """Who hears of records and their counterparts."""

    def pair(self, before: Side, after: Side) -> None:
        """A record has a counterpart."""

    def added(self, after: Side) -> None:
        """Only the change writes it."""

    def removed(self, before: Side) -> None:
        """The change does not write it."""


class Pairs:
    """The records of one stream and partition from a time on, those that were written beside those
    of the change.
    """

    def __init__(
        self,
        plan: Plan,
        log: BoundedLog,
        record: RecordClass,
        partition: int,
        since_ms: int,
        sight: Sight,
        listener: Listener,
    ) -> None:
        stream = stream_of(record)
        self._topic, self._partition = stream.topic, partition
        self._sight, self._listener = sight, listener
        self._codec, self._event_time = plan.codec(record), stream.event_time
        unique = {i.unique for i in plan.inputs if i.unique is not None}
        self._identifying = sorted(unique & set(record.model_fields))
        self._before: defaultdict[Identity, deque[Side]] = defaultdict(deque)
        self._after: defaultdict[Identity, deque[Side]] = defaultdict(deque)
        self._waiting = 0
        self._since_ms = since_ms
        self._ended = False  # then the log is asked only once more, at the close
        name = plan.topic(stream.topic)
        self._next: Callable[[], Stored | None] = Tape(log, name, partition).next
        try:
            first, self._end = log.bounds(name, partition)
        except NotFound:  # a stream that only the change writes
            first, self._end, self._next = 0, 0, lambda: None
        if first > 0:
            self._leave_out_what_is_gone()

    def take(self, after: Stored) -> None:
        """Take a record of the change, and one more that was written."""
        side = self._side(after)
        if self._at_ms(side) < self._since_ms:
            return
        self._put(side, self._after, self._before)
        if not self._ended:
            before = self._next_before()
            self._ended = before is None
            if before is not None:
                self._put(before, self._before, self._after)

    def close(self, check: Callable[[], None]) -> None:
        """Take the rest of what was written; what waits still has no counterpart. What was written
        since the beginning may be of a transaction that was not taken again. `check` may raise.
        """
        while (before := self._next_before()) is not None:
            check()
            self._put(before, self._before, self._after)
        for side in (s for sides in self._before.values() for s in sides):
            if side.stored.offset < self._end:
                self._listener.removed(side)
        for side in (s for sides in self._after.values() for s in sides):
            self._listener.added(side)

    def _leave_out_what_is_gone(self) -> None:
        """What is older than all that retention has left has no counterpart any more."""
        stored = self._next()
        if stored is None:
            self._since_ms = NOTHING_LEFT_MS
            return
        oldest = self._side(stored)
        self._since_ms = max(self._since_ms, self._at_ms(oldest))
        if self._at_ms(oldest) >= self._since_ms:
            self._put(oldest, self._before, self._after)

    def _next_before(self) -> Side | None:
        """The next record that was written, those left out that are too old."""
        while (stored := self._next()) is not None:
            side = self._side(stored)
            if self._at_ms(side) >= self._since_ms:
                return side
        return None

    def _side(self, stored: Stored) -> Side:
        """A record of either side; one that would be written has no offset yet."""
        try:
            record = self._codec.decode(stored.value)
        except DataError as error:
            place = f"{self._topic}[{self._partition}]"
            told = reason_of(error, *self._sight.masks(self._topic, stored))
            if stored.offset < 0:
                raise Unpaired(f"what the change writes to {place} is no record: {told}") from None
            raise Unpaired(f"{place}@{stored.offset} is no record: {told}") from None
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
        if own is self._after:
            self._listener.pair(found, side)
        else:
            self._listener.pair(side, found)
