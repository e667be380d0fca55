"""Records of one partition as lists, one for each thing that is asked of them: what Kafka's client
gives, without a record of ours for each.

A batch is cut where it has so many records or bytes, not where a fetch happened to end: the same
offsets are the same batches again.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from typing import Any

from streams.broker import Cluster
from streams.clients import END, places
from streams.errors import BrokerError
from streams.merge import Stored

BATCH_RECORDS = 16_384
BATCH_BYTES = 16_000_000  # of values; a single one may be larger
FETCH_RECORDS = 10_000
WAIT_S = 0.2
OPTIONS: dict[str, Any] = {
    "auto.offset.reset": "error",  # to begin anew elsewhere would be to skip records
    "fetch.wait.max.ms": 5,
    "fetch.message.max.bytes": 4_000_000,
    "queued.max.messages.kbytes": 65_536,
}


@dataclass
class Fetched:
    """Lists of one length. `headers` are as Kafka's client gives them, if they were asked for."""

    values: list[bytes | None] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    appended: list[int] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    def add(self, records: list[Any], needed: set[str]) -> None:
        """Note what is needed of records."""
        self.values += [one.value() for one in records]
        self.offsets += [one.offset() for one in records]
        if "keys" in needed:
            self.keys += [one.key() for one in records]
        if "appended" in needed:
            self.appended += [one.timestamp()[1] for one in records]
        if "headers" in needed:
            self.headers += [_headers(one) for one in records]

    def cut(self, count: int) -> Fetched:
        """Take the first of them away."""
        taken = Fetched()
        for name, column in vars(self).items():
            setattr(taken, name, column[:count])
            del column[:count]
        return taken

    def without(self, rows: set[int]) -> Fetched:
        """Those that are left, some being taken away."""
        if not rows:
            return self
        left = [row for row in range(len(self.offsets)) if row not in rows]
        return Fetched(
            **{n: [one[row] for row in left] if one else [] for n, one in vars(self).items()}
        )

    def stored(self) -> Iterator[Stored]:
        """Each as a record, if all was asked for."""
        lists = (self.offsets, self.keys, self.values, self.headers, self.appended)
        for offset, key, value, headers, appended in zip(*lists, strict=True):
            known = {name: data or b"" for name, data in headers or ()}
            yield Stored(offset, key, value, known, appended)


class Fetch:
    """Reads partitions, one after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self._consumer: Any = cluster.consumer("doa-columns", **OPTIONS)
        self._idle_s_max = cluster.settings.restore_timeout_s

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def batches(
        self, topic: str, partition: int, first: int, end: int, needed: set[str]
    ) -> Iterator[Fetched]:
        """What lies between two offsets, the last batch being the smallest; BrokerError."""
        place, position, waiting = f"{topic}[{partition}]", first, Fetched()
        deadline = time.monotonic() + self._idle_s_max
        if first < end:
            self._consumer.assign(places({(topic, partition): first}))
        while position < end:
            with _uncollected():
                reached = self._take(place, end, needed, waiting)
            if reached is not None:
                position, deadline = max(position, reached), time.monotonic() + self._idle_s_max
            elif time.monotonic() > deadline:
                raise BrokerError(
                    f"{place}: read to @{position} of @{end}, then nothing for "
                    f"{self._idle_s_max:.0f} s; a transaction may hang"
                )
            while count := _whole_batch(waiting.values):
                yield waiting.cut(count)
        if waiting.values:
            yield waiting

    def _take(self, place: str, end: int, needed: set[str], waiting: Fetched) -> int | None:
        """Add what has come, up to the end, and say where it goes on; None if nothing has."""
        # Asked for all at once, the client waits for all: the whole time, wherever fewer come.
        found = self._consumer.consume(1, WAIT_S)
        if not found:
            return None
        found += self._consumer.consume(FETCH_RECORDS - 1, 0.0)
        records = [one for one in found if one.error() is None]
        reached = 0 if len(records) == len(found) else _ended(place, found)
        if records:
            reached = max(reached, records[-1].offset() + 1)
            if reached > end:
                records = [one for one in records if one.offset() < end]
            waiting.add(records, needed)
        return reached


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold Python's garbage collection: it would look for cycles among thousands of new objects
    that have none, again and again, and take half of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _ended(place: str, found: list[Any]) -> int:
    """The offset at which a partition was found to end; BrokerError for any other news."""
    for one in found:
        error = one.error()
        if error is not None and error.code() != END:
            raise BrokerError(f"{place}: {error.str()}")
    return max(int(one.offset()) for one in found if one.error() is not None)


def _whole_batch(values: list[bytes | None]) -> int:
    """How many of these values are a batch; 0 if there may have to be more."""
    if len(values) < BATCH_RECORDS and sum(map(len, filter(None, values))) <= BATCH_BYTES:
        return 0
    sizes = accumulate(len(value or b"") for value in values[:BATCH_RECORDS])
    return max(sum(1 for _ in takewhile(lambda size: size <= BATCH_BYTES, sizes)), 1)


def _headers(one: Any) -> Any:
    try:
        return one.headers()
    except (SystemError, UnicodeDecodeError):  # a header's name may be any bytes; such are not ours
        return None
