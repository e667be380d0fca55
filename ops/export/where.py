"""Which records of a stream are exported: those that `doa tap --where` would show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ops.frames import Reading
from streams.errors import RegistryError
from streams.expression import Expression, all_hold, parse
from streams.merge import Stored
from streams.scope import scope_of
from streams.shown import View


@dataclass
class Where:
    """Conditions that must all hold, and how many records were left out: those that do not match,
    and those of which it cannot be told.
    """

    view: View
    topic: str
    expressions: tuple[Expression, ...]
    not_matched: int = 0
    not_told: int = 0

    def anew(self) -> Where:
        """The same, of which nothing is counted yet."""
        return replace(self, not_matched=0, not_told=0)

    def keeps(self, partition: int, stored: Stored) -> bool:
        """Whether a record that was decoded is one of them; RegistryError."""
        shown = self.view.show(self.topic, partition, stored)
        if shown.error is not None:  # the registry has gone since: its schema was there just now
            raise RegistryError(f"{shown.id} cannot be shown again: {shown.error}")
        holds = all_hold(self.expressions, shown)
        self.not_matched += holds is False
        self.not_told += holds is None
        return bool(holds)

    def document(self) -> dict[str, Any]:
        """What the manifest says of it."""
        texts = [one.text for one in self.expressions]
        return {"all": texts, "not_matched": self.not_matched, "not_told": self.not_told}


def where_of(reading: Reading, conditions: Iterable[str], *, sensitive: bool) -> Where:
    """Read conditions; BadExpression says what is wrong with one."""
    topic = reading.extent.topic
    view = reading.connection.view(reading.known, sensitive=sensitive)
    scope = scope_of(topic, reading.known.records[topic], view.masks)
    return Where(view, topic, tuple(parse(text, scope) for text in conditions))
