"""Taking records, until there may be something else to do."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Final

from streams.merge import Merge
from streams.unit import Unit

LOOK_NS: Final = 10_000_000  # of taking records, before what else there is to do is looked at again


def take_for_a_moment(unit: Unit, merge: Merge, most: int, bytes_max: int) -> int:
    """Take records for a moment; how many were taken."""
    letters, until_ns, taken = unit.letters, perf_counter_ns() + LOOK_NS, 0
    while taken < most:
        item = merge.peek()
        if item is None or not unit.take(item):
            break
        taken += 1
        straight = unit.straight.get(item.source)
        if straight is not None and letters.excess is None and merge.alone:
            run = straight.take(merge.queues[item.source], most - taken, bytes_max, until_ns)
            merge.skip(item.source, run)
            taken += run
        merge.pop()
        full = unit.bytes_out >= bytes_max or letters.excess is not None
        if full or perf_counter_ns() >= until_ns:
            break
    return taken
