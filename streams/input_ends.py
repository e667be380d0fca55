"""Where the inputs of a flow end, as its last fetch could see, and so how far it is behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streams.clients import places
from streams.merge import Merge
from streams.plan import Plan


class InputEnds:
    """The ends of the units of one loop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ends: dict[tuple[str, int], int] = {}

    def look(self, consumer: Any, numbers: Iterable[int]) -> None:
        """Note the ends of these units. On the loop's thread, since a consumer serves one: another
        one would starve.
        """
        inputs = [(plan.topic, number) for number in numbers for plan in self._plan.inputs]
        for place in places(dict.fromkeys(inputs, 0)):
            _, end = consumer.get_watermark_offsets(place, cached=True)
            self._ends[(place.topic, place.partition)] = end

    def lags(self, merges: Mapping[int, Merge]) -> dict[tuple[str, int], int]:
        """Records not yet taken, by topic and partition."""
        found = {}
        for number, merge in list(merges.items()):
            for source, plan in enumerate(self._plan.inputs):
                end = self._ends.get((plan.topic, number), 0)
                found[(plan.name, number)] = merge.behind(source, end)
        return found
