"""Inputs whose queues are full are not fetched until half of what waits has been taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.clients import places
from streams.merge import Merge
from streams.plan import Plan
from streams.settings import Settings


class Backpressure:
    """Which inputs of one loop are paused. A queue may pass its limits by one fetch."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._plan = plan
        self._records_max = settings.queue_records_max
        self._bytes_max = settings.queue_bytes_max
        self._paused: set[tuple[str, int]] = set()

    def look(self, consumer: Any, merges: Mapping[int, Merge]) -> None:
        """Pause the partitions that have enough, and resume those that have not any more."""
        full, short = [], []
        for number, merge in merges.items():
            for source, plan in enumerate(self._plan.inputs):
                if not merge.queues[source] and not self._paused:
                    continue  # as nearly always: this is looked at in every turn
                place = (plan.topic, number)
                filled = self._filled(merge, source)
                if filled >= 1.0 and place not in self._paused:
                    full.append(place)
                elif filled < 0.5 and place in self._paused:
                    short.append(place)
        if full:
            consumer.pause(places(dict.fromkeys(full, 0)))
            self._paused.update(full)
        if short:
            consumer.resume(places(dict.fromkeys(short, 0)))
            self._paused.difference_update(short)

    def forget(self) -> None:
        """Begin anew, after all inputs were assigned again and resumed."""
        self._paused.clear()

    def _filled(self, merge: Merge, source: int) -> float:
        """How much waits, as a share of what may."""
        return max(
            len(merge.queues[source]) / self._records_max,
            merge.waiting_bytes[source] / self._bytes_max,
        )
