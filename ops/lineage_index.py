"""Which records were made from a record: an index of lineage headers, for looking down.

A record names its parents, not its children. So the headers of all derived streams are read once,
and from where that ended when they have grown, into a file of SQLite. It is a cache: it says
nothing that the streams do not say, begins anew when a topic was made anew, and can always be built
again. Several processes may read and extend it at once: one that was overtaken begins again.

On the way it is counted who wrote what from which: the graph as it really ran.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ops.connect import Connection, home_of
from ops.lineage_file import NO_STAMP, Batch, LineageFile, Overtaken
from streams.clients import topic_ids
from streams.errors import BrokerError
from streams.lineage import (
    DERIVED,
    FOREIGN,
    HEADER,
    name_code,
    names_of,
    raw_header,
    raw_references,
)
from streams.merge import Stored
from streams.processor import Learner
from streams.reader import Reader
from streams.topology import Topology, stream_of

FETCH_RECORDS = 5_000
COMMIT_EDGES = 500_000
IDLE_S = 30.0  # a partition that gives nothing for so long has an open transaction
FETCH: dict[str, Any] = {"fetch.message.max.bytes": 1_000_000, "fetch.wait.max.ms": 5}


class LineageIndex:
    """The index of one cluster and namespace, in a file of its home or elsewhere."""

    def __init__(self, connection: Connection, topology: Topology, path: Path) -> None:
        self._connection = connection
        self._prefix = connection.settings.prefix
        flows = [flow for flow in topology.flows.values() if flow.steps]
        # Snapshots are left out: they are large, and say nothing that the examples do not.
        self.topics = list(dict.fromkeys(t for f in flows for t in (*f.derived, f.dead_letter)))
        processors = [p for flow in topology.flows.values() for p in flow.processors]
        self._examples = {
            name_code(p.name): name_code(stream_of(p.examples).topic)
            for p in processors
            if isinstance(p, Learner)
        }
        self.file = LineageFile(path, topology.names | names_of(self.topics))

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def update(self, told: Callable[[int, int], None] = lambda done, total: None) -> int:
        """Read what has been written since the last time; how many records. `told` hears how many
        of them are done.
        """
        while True:
            try:
                return self._update(told)
            except Overtaken:
                self.file.roll_back()

    def _update(self, told: Callable[[int, int], None]) -> int:
        cluster = self._connection.cluster
        counts = cluster.partitions()
        present = [t for t in self.topics if self._prefix + t in counts]
        self._begin_anew_with_the_topics(present, set(counts))
        places = [(self._prefix + t, p) for t in present for p in range(counts[self._prefix + t])]
        ends = cluster.ends(places, committed=True)
        starts = self.file.positions()
        waiting = {p: starts.get(p, 0) for p in places if starts.get(p, 0) < ends[p]}
        total = sum(ends[p] - start for p, start in waiting.items())
        if not waiting:
            return 0
        with closing(Reader(cluster, "doa-lineage", waiting, **FETCH)) as reader:
            return self._read(reader, waiting, ends, lambda done: told(done, total))

    def _begin_anew_with_the_topics(self, topics: list[str], present: set[str]) -> None:
        cluster = self._connection.cluster
        known = self.file.topics()
        names = {self._prefix + topic for topic in topics} | (known.keys() & present)
        ids = topic_ids(cluster.admin(), names, cluster.settings.request_timeout_s)
        if any(ids.get(name) != number for name, number in known.items()):
            self.file.forget()
        self.file.belong_to(ids)

    def _read(
        self,
        reader: Reader,
        waiting: dict[tuple[str, int], int],
        ends: dict[tuple[str, int], int],
        told: Callable[[int], None],
    ) -> int:
        """Read to the ends, and commit now and then, so that an interruption loses little."""
        count, batch = 0, Batch(dict(waiting))
        while waiting:
            fetched = reader.fetch(FETCH_RECORDS, IDLE_S)
            if not fetched:
                behind = ", ".join(f"{topic}[{partition}]" for topic, partition in waiting)
                raise BrokerError(f"{behind}: nothing comes; a transaction may hang")
            for topic, partition, stored, reached in fetched:
                place = (topic, partition)
                batch.positions[place] = min(reached, ends[place])
                if stored is not None and stored.offset < ends[place]:
                    self._note(topic.removeprefix(self._prefix), partition, stored, batch)
                    count += 1
                if reached >= ends[place]:
                    waiting.pop(place, None)
            if len(batch.edges) + len(batch.spans) >= COMMIT_EDGES or not waiting:
                self.file.commit(batch)
                batch = Batch(dict(batch.positions))
            told(count)
        return count

    def _note(self, topic: str, partition: int, stored: Stored, batch: Batch) -> None:
        """Note the parents of a record, or of a dead letter."""
        header, stamp, model = stored.headers.get(HEADER), NO_STAMP, 0
        try:
            if header is None:
                kind, n = FOREIGN, stored.offset
                parents = raw_references(stored.headers.get("error.parent", b""), 0)
            else:
                kind = DERIVED
                n, stamp, model, parents = raw_header(header)
        except ValueError:  # somebody else's header of the same name
            kind, n, stamp, model, parents = FOREIGN, stored.offset, NO_STAMP, 0, []
        place = self.file.place(name_code(topic), partition << 2 | kind)
        written = batch.written.setdefault((stamp, place), [0, 0])
        written[0] += 1
        written[1] += len(header or b"")
        made_from = set()
        if model:  # it has learnt from examples of this partition
            examples = self._examples.get(stamp[:4], stamp[:4])
            made_from.add(self.file.place(examples, partition << 2 | DERIVED))
        for code, where, first, last in parents:
            parent = self.file.place(code, where)
            made_from.add(parent)
            if last is None:
                batch.edges.append((parent, first, place, n))
            else:
                batch.spans.append((parent, place, n, first, last))
        for parent in made_from:
            batch.counts[(stamp[:4], parent, place)] += 1


def path_of(connection: Connection) -> Path:
    """Where the index of a namespace lies."""
    return home_of(connection.settings) / f"{connection.settings.prefix}lineage.sqlite"
