"""The unique fields of recent events, so that a second event with the same one is refused.

They are kept by the hour that the unit's time had reached. An hour is written to the changelog in
pages, of which only the last changes, and deleted when it is older than the stream declares. When
an event is forgotten depends on time alone, never on when a batch ends and the pages are deleted.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from streams.plan import InputPlan

HOUR_MS: Final = 3_600_000
PAGE_VALUES_MAX: Final = 2_000
PAGE_CHARACTERS_MAX: Final = 250_000  # a value may go beyond it

Page = tuple[int, int]  # the hour, and which page of it


class Seen:
    """What one input of one unit has seen."""

    def __init__(self, plan: InputPlan) -> None:
        assert plan.unique is not None, "only an input with a unique field is watched"
        self.name = plan.name
        self.field = plan.unique
        self.hours_max = plan.unique_hours
        self.value_of = attrgetter(plan.unique)
        self._values: dict[str, int] = {}
        self._hours: dict[int, list[list[str]]] = {}  # pages of values
        self._hour = -1
        self._page: list[str] = []  # the last one
        self._written = self._characters = 0  # of the last page: values that were flushed, size
        self._turned: list[Page] = []  # other pages that were added to since the last flush

    def knows(self, value: str, time_ms: int) -> bool:
        """Whether an event with the same unique field was noted, as of the time that the unit
        reaches with this one.
        """
        noted = self._values.get(value)
        return noted is not None and noted >= time_ms // HOUR_MS - self.hours_max

    def note(self, value: str, time_ms: int) -> None:
        """Remember an event, by the hour of the time that its unit reaches with it."""
        hour = time_ms // HOUR_MS
        full = len(self._page) >= PAGE_VALUES_MAX or self._characters >= PAGE_CHARACTERS_MAX
        if full or hour != self._hour:
            self._turn(hour)
        self._values[value] = hour
        self._page.append(value)
        self._characters += len(value)

    def _turn(self, hour: int) -> None:
        """Begin a page."""
        self._note_changed()
        self._hour, self._page = hour, []
        self._hours.setdefault(hour, []).append(self._page)
        self._written = self._characters = 0

    def _note_changed(self) -> None:
        """Note that the last page was added to, if it was."""
        if len(self._page) > self._written:
            self._turned.append((self._hour, len(self._hours[self._hour]) - 1))

    def flush(self, time_ms: int) -> list[tuple[Page, list[str] | None]]:
        """Pages that changed, with their values, or None for those that are forgotten."""
        self._note_changed()
        self._written = len(self._page)
        changes: list[tuple[Page, list[str] | None]] = [
            ((hour, number), self._hours[hour][number]) for hour, number in self._turned
        ]
        self._turned.clear()
        oldest = time_ms // HOUR_MS - self.hours_max
        for hour in [h for h in self._hours if h < oldest]:
            changes += [((hour, number), None) for number in range(len(self._hours[hour]))]
            self._forget(hour)
        return changes

    def restore(self, pages: dict[Page, list[str]]) -> None:
        """Take back what the changelog holds."""
        for (hour, _), values in sorted(pages.items()):
            self._hours.setdefault(hour, []).append(values)
            self._hour, self._page = hour, values
            for value in values:
                self._values[value] = hour
        self._written, self._characters = len(self._page), sum(map(len, self._page))

    def _forget(self, hour: int) -> None:
        for page in self._hours.pop(hour, ()):
            for value in page:
                if self._values[value] == hour:  # else it was seen again, later
                    del self._values[value]
