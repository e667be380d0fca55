"""Where a snapshot says that the examples which follow it begin."""

from __future__ import annotations

import contextlib
import time

from streams.broker import Cluster
from streams.errors import BrokerError

ASKED_AGAIN_S = 5.0
ANSWER_S = 1.0  # of the broker, which is asked twice; a transaction is open


class StableEnds:
    """Last stable offsets, each asked for once in a few seconds at most.

    The example that follows a snapshot lies at one of them or after it; the end itself is no such
    offset, since our own open transaction may have appended examples already. An older one is as
    good: a restore then has more to skip, which costs it less than every snapshot's question costs
    the flow.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, int], tuple[float, int]] = {}

    def at_most(self, partition: int, topic: str) -> int:
        """An offset below which no record lies that is yet to be written."""
        place = (topic, partition)
        asked_at, offset = self._known.get(place, (-ASKED_AGAIN_S, 0))
        now = time.monotonic()
        if now - asked_at >= ASKED_AGAIN_S:
            with contextlib.suppress(BrokerError):  # an older one does
                offset = self._cluster.ends([place], committed=True, timeout_s=ANSWER_S)[place]
            self._known[place] = now, offset
        return offset
