"""The graph as it really ran: who wrote what from which, by the headers of the records themselves.

Derived streams are counted by the index of lineage. Of events and snapshots the last record of each
partition says who wrote it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from ops.connect import Connection
from ops.lineage_file import SOMEBODY
from ops.lineage_index import LineageIndex
from streams.graph import Edge
from streams.topology import Topology, stream_of

EVENT = "event"


def observe(connection: Connection, topology: Topology, index: LineageIndex) -> list[Edge]:
    """The edges of which records tell, flow by flow as they are declared. The index is up to
    date.
    """
    letters = {flow.dead_letter for flow in topology.flows.values()}
    counts: Counter[tuple[str, str, str]] = Counter()
    told = set(index.topics) - letters  # the file may know flows that are not loaded
    for processor, above, below, count in index.file.edges():
        if below in told:
            counts[(processor, "reads", above)] += count
    for processor, _, topic, count, _ in index.file.written():
        if topic in told:
            counts[(processor, "writes", topic)] += count
    counts.update(_last_writers(connection, topology, set(topology.records) - set(index.topics)))
    known = {
        p.name: (f.name, p.name, p.kind) for f in topology.flows.values() for p in f.processors
    }
    order = {name: i for i, name in enumerate(known)}

    def named(processor: str) -> tuple[str, str, str]:
        return known.get(processor, ("not declared", processor, "not declared"))

    edges = [
        Edge(*named(processor), topic, direction, count)
        for (processor, direction, topic), count in counts.items()
    ]
    return sorted(edges, key=lambda e: (order.get(e.processor, len(order)), e.key))


def _last_writers(
    connection: Connection, topology: Topology, topics: set[str]
) -> Counter[tuple[str, str, str]]:
    """Who wrote last to each partition, and how many records there are."""
    view, prefix = connection.view(topology), connection.settings.prefix
    present = connection.cluster.partitions()
    found: Counter[tuple[str, str, str]] = Counter()
    with closing(connection.cluster.log()) as log:
        for topic in sorted(topics):
            for partition in range(present.get(prefix + topic, 0)):
                last = log.last(prefix + topic, partition)
                if last is None:
                    continue
                origin = view.origin(last)
                if origin is not None:
                    found[(origin.processor, "writes", topic)] += origin.n + 1
                elif (
                    stream_of(topology.records[topic]).stage != EVENT
                ):  # to events anybody may write
                    found[(SOMEBODY, "writes", topic)] += last.offset + 1
    return found
