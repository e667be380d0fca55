"""The unique fields of recent events, so that a second event with the same one is refused.

They are kept by hour of event time: an hour is one entry of the changelog, written when it changed
and deleted when it is older
than the stream declares.
"""

from __future__ import annotations

from operator import attrgetter

from schemas.record import Record
from streams.plan import InputPlan

HOUR_MS = 3_600_000


class Seen:
    """What one input of one unit has seen."""

    def __init__(self, plan: InputPlan) -> None:
        assert plan.unique is not None, "only an input with a unique field is watched"
        self.name = plan.name
        self.field = plan.unique
        self.hours_max = plan.unique_hours
        self._value_of = attrgetter(plan.unique)
        self._values: set[str] = set()
        self._hours: dict[int, list[str]] = {}
        self._dirty: dict[int, None] = {}

    def first_sight(self, record: Record, time_ms: int) -> bool:
        """Note an event; False when its unique field is known."""
        value = self._value_of(record)
        if value in self._values:
            return False
        self._values.add(value)
        hour = time_ms // HOUR_MS
        self._hours.setdefault(hour, []).append(value)
        self._dirty[hour] = None
        return True

    def flush(self, time_ms: int) -> list[tuple[int, list[str] | None]]:
        """Hours that changed, with their values, or None for hours that are forgotten."""
        changes: list[tuple[int, list[str] | None]] = [(h, self._hours[h]) for h in self._dirty]
        self._dirty.clear()
        oldest = time_ms // HOUR_MS - self.hours_max
        for hour in [h for h in self._hours if h < oldest]:
            self._values.difference_update(self._hours.pop(hour))
            changes.append((hour, None))
        return changes

    def restore(self, hour: int, values: list[str]) -> None:
        """Take back what the changelog holds of an hour."""
        self._values.difference_update(self._hours.pop(hour, ()))
        if values:
            self._hours[hour] = values
            self._values.update(values)
