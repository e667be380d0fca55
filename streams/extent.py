"""Which records of a stream are meant: for each partition the offsets from a first one to an end.

Bounds are asked for once, before anything is read; whoever reads between them again gets the same
records, as long as retention has left them and nobody has made the topic anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from streams.broker import Cluster
from streams.clients import topic_ids
from streams.errors import NotFound, StreamsError
from streams.instant import instant_ms
from streams.reader import Reader

BEGINNING, END = "beginning", "end"


class BadBound(StreamsError):
    """A text that is no bound of a stream, or one that was not reached yet."""


class Gone(StreamsError):
    """What lay between some bounds is no longer there."""


@dataclass(frozen=True)
class Extent:
    """Offsets of one topic (named without namespace), the end not included; `topic_id` is Kafka's
    own, which a topic that is made anew does not get again.
    """

    topic: str
    topic_id: str
    partitions: dict[int, tuple[int, int]]

    def __str__(self) -> str:
        spans = (f"[{p}]@{first}..{end}" for p, (first, end) in sorted(self.partitions.items()))
        return self.topic + " ".join(spans)

    @property
    def offsets(self) -> int:
        """How many offsets there are; no fewer than records."""
        return sum(end - first for first, end in self.partitions.values())


def extent_now(cluster: Cluster, topic: str, start: str = BEGINNING, end: str = END) -> Extent:
    """What a stream holds now between two bounds; open transactions are left out.

    A bound is `beginning` or `end`, `@TIME` (the first record that was appended then or later; ms
    or ISO 8601), or an offset, of every partition. BadBound, NotFound.
    """
    return extents_now(cluster, [topic], start, end)[topic]


def extents_now(
    cluster: Cluster, topics: Iterable[str], start: str = BEGINNING, end: str = END
) -> dict[str, Extent]:
    """The same of several streams, all asked for at once."""
    names = {topic: cluster.settings.prefix + topic for topic in topics}
    with closing(Reader(cluster, "doa-extent")) as reader:
        counts = reader.know_topics()
        for topic, name in names.items():
            if not counts.get(name):
                raise NotFound(f"there is no topic {topic!r} in the cluster; run: doa apply")
        ids = topic_ids(cluster.admin(), names.values(), cluster.settings.request_timeout_s)
        return {
            topic: Extent(topic, ids[name], _partitions(reader, name, counts[name], start, end))
            for topic, name in names.items()
        }


def check_extent(cluster: Cluster, extent: Extent) -> None:
    """Gone, if not everything between these bounds is there any more."""
    now = extent_now(cluster, extent.topic)
    if now.topic_id != extent.topic_id:
        raise Gone(f"{extent.topic} was made anew since these bounds were taken; take them again")
    for partition, (first, end) in extent.partitions.items():
        oldest, newest = now.partitions.get(partition, (0, 0))
        if end > newest:
            raise Gone(f"{extent.topic}[{partition}] ends at @{newest}, before @{end}")
        if first < min(oldest, end):
            raise Gone(
                f"retention has left {extent.topic}[{partition}] from @{oldest} on; "
                f"@{first} was wanted"
            )


def document(extent: Extent) -> dict[str, Any]:
    """An extent as JSON."""
    partitions = {str(p): list(bounds) for p, bounds in sorted(extent.partitions.items())}
    return {"topic": extent.topic, "topic_id": extent.topic_id, "partitions": partitions}


def extent_of(told: dict[str, Any]) -> Extent:
    """An extent from its JSON; BadBound."""
    try:
        partitions = {
            int(p): (int(first), int(end)) for p, (first, end) in told["partitions"].items()
        }
        if not all(p >= 0 and 0 <= first <= end for p, (first, end) in partitions.items()):
            raise ValueError("an extent goes from an offset to a later one")
        return Extent(str(told["topic"]), str(told["topic_id"]), partitions)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadBound(f"these are no bounds of a stream: {str(told)[:80]}") from error


def _partitions(
    reader: Reader, name: str, count: int, start: str, end: str
) -> dict[int, tuple[int, int]]:
    held = {(name, p): reader.bounds(name, p) for p in range(count)}
    firsts = _resolved(reader, held, start)
    ends = _resolved(reader, held, end)
    if end.startswith("@") and instant_ms(end[1:], end) > time.time() * 1_000:
        raise BadBound(f"{end} is not over yet: what will have been appended by then is not known")
    return {
        p: (firsts[place], max(firsts[place], ends[place])) for place in held for p in place[1:]
    }


def _resolved(
    reader: Reader, held: dict[tuple[str, int], tuple[int, int]], bound: str
) -> dict[tuple[str, int], int]:
    """A bound of each partition, within what there is."""
    if bound == BEGINNING:
        return {place: first for place, (first, _) in held.items()}
    if bound == END:
        return {place: end for place, (_, end) in held.items()}
    if bound.startswith("@"):
        found = reader.offsets_at(held, instant_ms(bound[1:], bound))
    elif bound.isdigit():
        found = dict.fromkeys(held, int(bound))
    else:
        raise BadBound(f"{bound!r} is no bound of a stream: beginning, end, @TIME or an offset")
    return {
        place: min(max(found.get(place, end), first), end) for place, (first, end) in held.items()
    }
