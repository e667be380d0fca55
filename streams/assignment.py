"""Which units a member of the group is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from streams.errors import BrokerError


def units_in(places: Iterable[tuple[str, int]], topics: Collection[str]) -> list[int]:
    """The numbers of the units in assigned partitions; BrokerError when one lacks an input.

    >>> units_in([("left", 1), ("right", 1), ("right", 0), ("left", 0)], ["left", "right"])
    [0, 1]
    """
    by_number: dict[int, set[str]] = {}
    for topic, number in places:
        by_number.setdefault(number, set()).add(topic)
    for number, given in by_number.items():
        missing = sorted(set(topics) - given)
        if missing:
            raise BrokerError(
                f"partition {number} was assigned without {', '.join(missing)}; "
                "all inputs of a flow need the same partition count (run: doa apply)"
            )
    return sorted(by_number)
