"""When the entries of a unit's tables fall due.

Event time is coarse, and a flow's tables often expire together: all that is due at one instant
waits in one list, and a heap orders the instants alone, as numbers.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

Timer = tuple[str, int, int]  # an entry: its key, the order of its step, the number of its table
NEVER: Final = (1 << 62) - 1  # the largest number that compiled code holds in a word


class Timers:
    """Timers by deadline; `next_ms` is the first, or NEVER.

    >>> timers = Timers()
    >>> for deadline_ms, key in (7, "b"), (9, "c"), (7, "a"):
    ...     timers.add(deadline_ms, key, 0, 0)
    >>> timers.next_ms, timers.pop(), timers.next_ms
    (7, [('a', 0, 0), ('b', 0, 0)], 9)
    """

    def __init__(self) -> None:
        self.next_ms = NEVER
        self._deadlines: list[int] = []
        self._due: dict[int, Timer | list[Timer]] = {}  # one alone needs no list, half its memory

    def add(self, deadline_ms: int, key: str, order: int, table: int) -> None:
        """Set a timer for an entry."""
        timer = (key, order, table)
        due = self._due.get(deadline_ms)
        if due is None:
            self._due[deadline_ms] = timer
            heappush(self._deadlines, deadline_ms)
            self.next_ms = min(self.next_ms, deadline_ms)
        elif isinstance(due, list):
            due.append(timer)
        else:
            self._due[deadline_ms] = [due, timer]

    def pop(self) -> list[Timer]:
        """All that is due at `next_ms`, in order; they are gone then."""
        deadlines = self._deadlines
        due = self._due.pop(heappop(deadlines))
        self.next_ms = deadlines[0] if deadlines else NEVER
        return sorted(due) if isinstance(due, list) else [due]
