"""Reading any topic, for people: a view that belongs to no group, commits nothing and disturbs
nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

from streams.broker import Cluster
from streams.errors import BrokerError, StreamsError
from streams.finder import ID, Finder, parse_id
from streams.instant import instant_ms
from streams.lineage import Reference
from streams.reader import Reader
from streams.shown import Shown, View

FETCH_RECORDS = 500


class BadStart(StreamsError):
    """A --from that says no place of the topic."""


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
    if re.fullmatch(r"-[1-9]\d*", start):
        return {place: _back(cluster, topic, place[1], -int(start)) for place in ends}
    if start.startswith("@"):
        return {**ends, **reader.offsets_at(ends, instant_ms(start[1:], f"--from {start}"))}
    if ID.fullmatch(start):
        return _at_id(cluster, topic, parse_id(start, cluster.settings.prefix))
    raise BadStart(
        f"--from {start!r} is none of: beginning, end, -5 (the last five of each partition), "
        f"@2013-04-03T10:00 (when they were written), {topic}[0]#17 (an id)"
    )


def _at_id(cluster: Cluster, topic: str, reference: Reference) -> dict[tuple[str, int], int]:
    """Where a record lies; NotFound if there is none."""
    if topic != cluster.settings.prefix + reference.topic:
        raise BadStart(f"--from {reference}: that is no record of {topic}")
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
