"""What the steps of a flow have counted, added up over units that come and go.

A step counts in plain integers, and its unit is dropped at a rebalance or an abort. What it counted
is added here first, so that no counter ever goes back. Work that was aborted and done again counts
twice: it was done twice.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.unit import Unit

INTAKE = ""  # stands for the unit itself: records that no processor saw


@dataclass
class StepCount:
    """What one processor, or the intake before them all, has done since the worker started."""

    records_in: int = 0
    records_out: int = 0
    dead_letters: int = 0
    nanoseconds: int = 0


class Tally:
    """Counts by processor. Another thread may read while the loop goes on."""

    def __init__(self) -> None:
        self._gone: dict[str, StepCount] = {}
        self._lock = threading.Lock()

    def drop(self, units: dict[int, Unit]) -> None:
        """Keep the counts of units and empty the dict, in one step for those who read meanwhile."""
        with self._lock:
            for unit in units.values():
                _add(self._gone, unit)
            units.clear()

    def read(self, units: dict[int, Unit]) -> dict[str, StepCount]:
        """All counts, those of living units included."""
        with self._lock:
            counts = {name: StepCount(**vars(count)) for name, count in self._gone.items()}
            for unit in list(units.values()):
                _add(counts, unit)
            return counts


def _add(counts: dict[str, StepCount], unit: Unit) -> None:
    intake = counts.setdefault(INTAKE, StepCount())
    intake.records_in += unit.records_in
    intake.dead_letters += unit.letters.count
    for step in unit.steps:
        count = counts.setdefault(step.name, StepCount())
        count.records_in += step.records_in
        count.records_out += step.records_out
        count.dead_letters += step.dead_letters
        count.nanoseconds += step.nanoseconds
        intake.dead_letters -= step.dead_letters
