"""A reader of committed records that watches all the while: what it saw, in order, and when.

What it holds of a record is an identity and a digest: enough to compare two runs, and small.
"""

from __future__ import annotations

import hashlib
import threading
import time
from bisect import bisect
from typing import NamedTuple

from ops.chaos.ground import Ground, Place
from streams.errors import BrokerError
from streams.lineage import HEADER, header_number
from streams.merge import Stored
from streams.reader import Reader
from streams.trace_context import HEADERS

FETCH_RECORDS = 2_000
FETCH_S = 0.05
DIGEST_BYTES = 12


class Seen(NamedTuple):
    """A record: its number (-1 for a dead letter), its identity, all that makes it equal."""

    number: int
    identity: bytes
    digest: bytes


Contents = dict[Place, list[Seen]]


def seen(stored: Stored, model: bool) -> Seen:
    """What is compared: key, value, id, parents, trace context. A model's bytes differ from run to
    run.
    """
    header = stored.headers.get(HEADER)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    value = b"" if stored.value is None or model else stored.value
    trace = [stored.headers.get(name, b"") for name in HEADERS]
    for part in (stored.key or b"", value, header or b"", *trace):
        digest.update(len(part).to_bytes(4, "big") + part)
    if header is not None:
        number = header_number(header)
        return Seen(number, b"#%d" % number, digest.digest())
    told = [stored.headers.get(n, b"") for n in ("error.record", "error.processor", "error.class")]
    digest.update(b"|".join([*told, stored.headers.get("error.parent", b"")]))
    return Seen(-1, b"|".join(told), digest.digest())


class Witness:
    """Reads the outputs of a flow from their beginning, on a thread of its own.

    `pause_s` between two fetches of `fetch_records` makes it slow.
    """

    def __init__(
        self, ground: Ground, *, pause_s: float = 0.0, fetch_records: int = FETCH_RECORDS
    ) -> None:
        self.contents: Contents = {place: [] for place in ground.outputs}
        self.counts = dict.fromkeys(range(ground.partitions), 0)
        self._ground = ground
        self._pause_s = pause_s
        self._fetch_records = fetch_records
        self._reached: dict[Place, int] = dict.fromkeys(ground.outputs, 0)
        # By unit, of each fetch that had records of it: when that was, the last append among them.
        self._moves: dict[int, list[tuple[float, float]]] = {u: [] for u in self.counts}
        self._stopping = threading.Event()
        self._reader = Reader(ground.cluster, "chaos-witness", self._reached)
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self._thread.start()

    def saw(self, unit: int, after: float) -> float | None:
        """When something that a unit wrote after an instant could be read; None until then."""
        moves = self._moves[unit]
        since = moves[bisect(moves, (after,)) :]
        return next((read_at for read_at, appended_at in since if appended_at > after), None)

    def caught_up(self) -> bool:
        """Whether it has read to the end of every stream."""
        self._pause_s = 0.0
        ends = self._ground.cluster.ends(self._reached, committed=True)
        return all(self._reached[place] >= end for place, end in ends.items())

    def close(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                fetched = self._reader.fetch(self._fetch_records, FETCH_S)
            except BrokerError:
                # What came with the error is lost: it is read again from where we know we are.
                self._stopping.wait(FETCH_S)
                self._reader.assign(self._reached)
                continue
            now, appended = time.time(), dict[int, float]()
            for topic, partition, stored, reached in fetched:
                place = (topic, partition)
                if stored is not None and stored.offset >= self._reached[place]:
                    self._note(place, stored)
                    last = appended.get(partition, 0.0)
                    appended[partition] = max(last, stored.appended_ms / 1_000)
                self._reached[place] = max(self._reached[place], reached)
            for unit, appended_at in appended.items():
                self._moves[unit].append((now, appended_at))
            self._stopping.wait(self._pause_s)

    def _note(self, place: Place, stored: Stored) -> None:
        self.contents[place].append(seen(stored, place[0] in self._ground.models))
        self.counts[place[1]] += 1
