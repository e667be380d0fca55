"""Whether the units of a loop move, how far they are behind, and what they wait for.

The broker is asked beside the loop where inputs end, twice: with open transactions and without. A
unit is behind when committed records lie ahead of it. One that holds its place because somebody's
transaction is open below its horizon has a reason, which is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future

from streams.beside import beside
from streams.broker import Cluster
from streams.merge import Merge
from streams.plan import Plan

LOOK_S = 0.5  # between two looks at what changes slowly
ASK_S = 3.0  # between two questions to the broker

Ends = dict[tuple[str, int], int]
Merges = Mapping[int, Merge]


class Progress:
    """What a loop knows of its units beside their records."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        self._plan = plan
        self._cluster = cluster
        self._ends: Ends = {}
        self._stable_ends: Ends = {}
        self._asked: Future[tuple[Ends, Ends]] | None = None
        self._ask_at = self._look_at = 0.0
        self._moved_at: dict[int, float] = {}

    def moved(self, number: int) -> None:
        """A unit took records, or was restored."""
        self._moved_at[number] = time.monotonic()

    def all_moved(self, merges: Merges) -> None:
        """No unit stands still as of now."""
        for number in list(merges):
            self.moved(number)

    def look(self, merges: Merges) -> None:
        """Now and then: try what waits for the registry, and ask where the inputs end."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        for number, merge in merges.items():
            waited = merge.waits is not None
            merge.retry()
            # Neither to wait, even when that has just ended, nor to have nothing to do is that.
            if waited or self.why_blocked(number, merge) or not self._could_move(number, merge):
                self.moved(number)
        if self._asked is not None and self._asked.done():
            if self._asked.exception() is None:
                self._ends, self._stable_ends = self._asked.result()
            self._asked, self._ask_at = None, now + ASK_S
        if self._asked is None and now >= self._ask_at:
            self._asked = beside("ends", self._ask, list(merges))

    def _ask(self, numbers: list[int]) -> tuple[Ends, Ends]:
        asked = [(plan.topic, number) for number in numbers for plan in self._plan.inputs]
        return self._cluster.ends(asked), self._cluster.ends(asked, committed=True)

    def lags(self, merges: Merges) -> Ends:
        """Records not yet taken, by topic (without namespace) and partition."""
        return {
            (plan.name, number): merge.behind(source, self._ends.get((plan.topic, number), 0))
            for number, merge in list(merges.items())
            for source, plan in enumerate(self._plan.inputs)
        }

    def waits(self, merges: Merges) -> str | None:
        """Why a unit takes no records; None when all that have some take them."""
        reasons = (m.waits or self.why_blocked(n, m) for n, m in list(merges.items()))
        return next((why for why in reasons if why), None)

    def why_blocked(self, number: int, merge: Merge) -> str | None:
        """Whose open transaction holds a unit up, if one does."""
        for source in list(merge.blocked):
            plan = self._plan.inputs[source]
            stable = self._stable_ends.get((plan.topic, number))
            if stable is not None and merge.positions[source] >= stable < merge.horizons[source]:
                return f"waiting for the open transaction at {plan.name}[{number}]@{stable}"
        return None

    def _could_move(self, number: int, merge: Merge) -> bool:
        """Whether committed records of any input wait."""
        return any(
            merge.waiting(source, self._stable_ends.get((plan.topic, number), 0))
            for source, plan in enumerate(self._plan.inputs)
        )

    def stands_s(self, merges: Merges) -> float:
        """For how long a unit has stood still that could move."""
        now, longest = time.monotonic(), 0.0
        for number, merge in list(merges.items()):
            if merge.waits is None and self._could_move(number, merge):
                longest = max(longest, now - self._moved_at.get(number, now))
        return longest
