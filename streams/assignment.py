"""Which units a member of the group is given, and where their inputs begin."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

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


def starts_of(committed: Iterable[Any], times_ms: Mapping[int, int]) -> dict[tuple[str, int], int]:
    """Where each input is read from, by Kafka's `committed` (-1001 where there is no offset).
    `times_ms` says how far the restored units have come, by partition.

    A unit that has come anywhere has committed offsets, for both are written as one; without them
    it would take everything once more. A broker that has just started may not know them yet.
    """
    starts: dict[tuple[str, int], int] = {}
    known: set[int] = set()
    for one in committed:
        if one.error is not None:
            raise BrokerError(f"{one.topic}[{one.partition}]: {one.error.str()}")
        starts[one.topic, one.partition] = max(one.offset, 0)
        if one.offset >= 0:
            known.add(one.partition)
    for number, time_ms in times_ms.items():
        if time_ms > 0 and number not in known:
            raise BrokerError(
                f"partition {number} has state, but the group has no committed offsets of it; "
                "if they are gone for good, begin anew (run: doa reset)"
            )
    return starts
