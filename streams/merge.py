"""The heads of a unit's inputs, merged by event time.

Two runs over inputs that are fully written take them in the same order, whatever the size of a
fetch: while an input may still hold
an earlier record (its position is below the horizon that was read at assignment) an empty queue
blocks. Past the horizon
nobody can know, and order of arrival decides. Within one input the order never changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from streams.errors import Asked, RegistryError, Unregistered
from streams.trace_context import Context

# What cannot be decoded has no event time: it is taken as soon as it is the head.
NO_TIME: Final = -1


class Stored(NamedTuple):
    """A record as it lies in a topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    appended_ms: int = 0


class Input:
    """One record of one input, decoded or not. `record` is a DataError when it cannot be
    processed. `again` is set when it is a dead letter that is taken again, `context` when it is
    traced from outside.
    """

    __slots__ = (
        "again",
        "appended_ms",
        "context",
        "header",
        "key",
        "offset",
        "record",
        "source",
        "time_ms",
        "value",
    )

    def __init__(  # written out: compiled, it takes a third of a dataclass's time
        self,
        source: int,
        offset: int,
        time_ms: int,
        record: Any,
        key: bytes | None,
        value: bytes | None,
        appended_ms: int,
        header: bytes | None = None,
        context: Context | None = None,
    ) -> None:
        self.source, self.offset, self.time_ms = source, offset, time_ms
        self.record, self.key, self.value = record, key, value
        self.appended_ms, self.header, self.context = appended_ms, header, context
        self.again: Any = None


class Merge:
    """Queues of one unit, one per input topic in the order of their rank at equal event time.

    Records wait as bytes; `decode(source, stored)` is called when one becomes the head of its
    queue. A head that cannot be decoded while the registry is away holds up all inputs until
    `retry`; `waits` says why.
    """

    def __init__(
        self, horizons: list[int], positions: list[int], decode: Callable[[int, Stored], Input]
    ) -> None:
        self.queues: list[deque[Stored]] = [deque() for _ in horizons]
        self.waiting_bytes = [0] * len(horizons)  # of the values in each queue
        self.horizons = horizons
        self.positions = positions
        self._decode = decode
        self._heads: list[tuple[int, int, Input]] = []
        self._undecoded: dict[int, tuple[Stored, str]] = {}
        self.blocked = {i for i, p in enumerate(positions) if p < horizons[i]}  # what is waited for
        self._idle = [True] * len(horizons)

    def push(self, source: int, stored: Stored) -> None:
        """Add what was read next from an input."""
        self.positions[source] = stored.offset + 1
        if self._idle[source]:
            self._idle[source] = False
            self.blocked.discard(source)
            self._set_head(source, stored)
        else:
            self.queues[source].append(stored)
            self.waiting_bytes[source] += len(stored.value or b"")

    def reached(self, source: int, offset: int) -> None:
        """Note that an input holds nothing below `offset` that was not pushed (an end-of-partition
        event).
        """
        self.positions[source] = max(self.positions[source], offset)
        if self.positions[source] >= self.horizons[source]:
            self.blocked.discard(source)

    def _set_head(self, source: int, stored: Stored) -> None:
        try:
            item = self._decode(source, stored)
        except Unregistered:
            raise
        except RegistryError as error:
            told = "waiting" if isinstance(error, Asked) else "outage"
            self._undecoded[source] = stored, f"{told}: {error}"
            return
        heappush(self._heads, (item.time_ms, source, item))

    def retry(self) -> None:
        """Try again to decode what could not be."""
        undecoded, self._undecoded = self._undecoded, {}
        for source, (stored, _) in undecoded.items():
            self._set_head(source, stored)

    @property
    def waits(self) -> str | None:
        """Why a head cannot be decoded yet; None when all are."""
        return next((why for _, why in self._undecoded.values()), None)

    def peek(self) -> Input | None:
        """The next record, or None while an input that may hold an earlier one is empty."""
        heads = self._heads
        return None if not heads or self.blocked or self._undecoded else heads[0][2]

    def pop(self) -> Input | None:
        """The same, which is gone then."""
        if self.peek() is None:
            return None
        _, source, item = heappop(self._heads)
        if queue := self.queues[source]:
            stored = queue.popleft()
            self.waiting_bytes[source] -= len(stored.value or b"")
            self._set_head(source, stored)
        else:
            self._idle[source] = True
            if self.positions[source] < self.horizons[source]:
                self.blocked.add(source)
        return item

    @property
    def alone(self) -> bool:
        """Whether the next records are those of one input, whatever their times."""
        return len(self._heads) == 1 and self.ready

    def skip(self, source: int, count: int) -> None:
        """Forget so many records behind the head of an input: they were taken."""
        queue = self.queues[source]
        for _ in range(count):
            self.waiting_bytes[source] -= len(queue.popleft().value or b"")

    @property
    def ready(self) -> bool:
        """Whether `pop` has a record to give."""
        return self.peek() is not None

    def behind(self, source: int, end: int) -> int:
        """Records of an input that were not taken, if it ends at `end` or at its horizon."""
        return self.waiting(source, max(end, self.horizons[source]))

    def waiting(self, source: int, end: int) -> int:
        """The same, if it ends at `end`."""
        ahead = max(end - self.positions[source], 0)
        return ahead + len(self.queues[source]) + (not self._idle[source])

    @property
    def queued(self) -> int:
        """Records that wait behind the heads."""
        return sum(map(len, self.queues))
