"""Reading any topic, for people: a view that belongs to no group, commits nothing and disturbs
nobody.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from streams.broker import Cluster
from streams.errors import BrokerError, StreamsError
from streams.finder import ID, Finder, parse_id
from streams.instant import instant_ms
from streams.lineage import Reference
from streams.reader import Reader
from streams.shown import Shown, View

FETCH_RECORDS = 500

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(!=|<=|>=|=|<|>)\s*((?![=<>]).*?)\s*$")


class BadCondition(StreamsError):
    """A --where that does not parse."""


def condition(text: str) -> Callable[[dict[str, Any]], bool]:
    """Parse `FIELD OP LITERAL`; a record in which the field is null or of another kind does not
    match.

    >>> condition("delay_minutes >= 15")({"delay_minutes": 20.0})
    True
    >>> condition("origin = JFK")({"origin": "LGA"})
    False
    """
    match = _CONDITION.match(text)
    if match is None:
        raise BadCondition(
            f"--where {text!r} is not FIELD OP LITERAL with OP one of {' '.join(_OPERATORS)}, "
            "for instance: --where 'delay_minutes >= 15'"
        )
    name, symbol, literal = match.groups()
    compare, wanted = _OPERATORS[symbol], _literal(literal)

    def holds(value: dict[str, Any]) -> bool:
        found: Any = value
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if wanted is None or found is None:
            return (found is wanted) == (symbol == "=") and symbol in ("=", "!=")
        if isinstance(wanted, str) != isinstance(found, str):
            return False
        return bool(compare(found, wanted))

    return holds


def tap(
    cluster: Cluster,
    view: View,
    topic: str,
    *,
    start: str = "end",
    follow: bool = True,
    idle: Callable[[], bool] = lambda: False,
) -> Iterator[Shown]:
    """Records of a topic as they come, partition by partition in order.

    `start` is `beginning`, `end`, `-N` (the last N of each partition), `@TIME` (append time, ms or
    ISO 8601) or an id, from which on its partition is read; without `follow` the reading ends where
    the topic ends now. `idle` is asked when nothing comes; True ends the
    reading.
    """
    count = cluster.partitions().get(topic)
    if count is None:
        raise BrokerError(
            f"there is no topic {topic!r}; doa graph lists the declared ones, doa apply makes them"
        )
    ends = cluster.ends([(topic, p) for p in range(count)])
    reader = Reader(cluster, "doa-tap")
    try:
        starts = _starts(cluster, reader, topic, start, ends)
        reader.assign(starts)
        reading = {place for place, offset in starts.items() if follow or offset < ends[place]}
        while reading:
            fetched = reader.fetch(FETCH_RECORDS, 0.1)
            if not fetched and idle():
                return
            for _, partition, stored, reached in fetched:
                end = ends[(topic, partition)]
                if stored is not None and (follow or stored.offset < end):
                    yield view.show(topic, partition, stored)
                if not follow and reached >= end:
                    reading.discard((topic, partition))
    finally:
        reader.close()


def _starts(
    cluster: Cluster, reader: Reader, topic: str, start: str, ends: dict[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    """The offset at which the reading of each partition starts."""
    if start == "beginning":
        return dict.fromkeys(ends, 0)
    if start == "end":
        return ends
    if re.fullmatch(r"-\d+", start):
        return {place: _back(cluster, topic, place[1], -int(start)) for place in ends}
    if start.startswith("@"):
        return {**ends, **reader.offsets_at(ends, instant_ms(start[1:], f"--from {start}"))}
    if ID.fullmatch(start):
        return _at_id(cluster, topic, parse_id(start, cluster.settings.prefix))
    raise BadCondition(f"--from {start!r} is none of: beginning, end, -N, @TIME, ID")


def _at_id(cluster: Cluster, topic: str, reference: Reference) -> dict[tuple[str, int], int]:
    """Where a record lies; NotFound if there is none."""
    if topic != cluster.settings.prefix + reference.topic:
        raise BadCondition(f"--from {reference}: that is no record of {topic}")
    with closing(cluster.log()) as log:
        found = Finder(log, cluster.settings.prefix).find(reference)
    return {(topic, reference.partition): found.offset}


def _back(cluster: Cluster, topic: str, partition: int, wanted: int) -> int:
    """The offset of the last `wanted` records: transactions leave gaps, so look further back until
    there are enough.
    """
    end = cluster.ends([(topic, partition)])[(topic, partition)]
    log, reach = cluster.log(), wanted * 2 + 8
    try:
        while True:
            start = max(end - reach, 0)
            offsets = [stored.offset for stored in log.records(topic, partition, start)]
            if len(offsets) >= wanted or start == 0:
                return (
                    offsets[-wanted] if len(offsets) >= wanted and wanted else (offsets or [end])[0]
                )
            reach *= 4
    finally:
        log.close()


def _literal(text: str) -> Any:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    words = {"null": None, "true": True, "false": False}
    if text in words:
        return words[text]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
