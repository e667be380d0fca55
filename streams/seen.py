"""The unique fields of recent events, so that a second event with the same one is refused.

They are kept by the hour that the unit's time had reached: an hour is one entry of the changelog,
written when it changed and deleted when it is older than the stream declares. When an event is
forgotten depends on time alone, never on when a batch ends and the entry is deleted.
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
        self._values: dict[str, int] = {}
        self._hours: dict[int, list[str]] = {}
        self._dirty: dict[int, None] = {}

    def first_sight(self, record: Record, time_ms: int) -> bool:
        """Note an event, at the time that its unit reaches with it; False when its unique field is
        known.
        """
        value = self._value_of(record)
        hour = time_ms // HOUR_MS
        noted = self._values.get(value)
        if noted is not None and noted >= hour - self.hours_max:
            return False
        self._values[value] = hour
        self._hours.setdefault(hour, []).append(value)
        self._dirty[hour] = None
        return True

    def flush(self, time_ms: int) -> list[tuple[int, list[str] | None]]:
        """Hours that changed, with their values, or None for hours that are forgotten."""
        changes: list[tuple[int, list[str] | None]] = [(h, self._hours[h]) for h in self._dirty]
        self._dirty.clear()
        oldest = time_ms // HOUR_MS - self.hours_max
        for hour in [h for h in self._hours if h < oldest]:
            self._forget(hour)
            changes.append((hour, None))
        return changes

    def restore(self, hour: int, values: list[str]) -> None:
        """Take back what the changelog holds of an hour."""
        self._forget(hour)
        if values:
            self._hours[hour] = values
            for value in values:
                self._values[value] = max(hour, self._values.get(value, hour))

    def _forget(self, hour: int) -> None:
        for value in self._hours.pop(hour, ()):
            if self._values[value] == hour:  # else it was seen again, later
                del self._values[value]
