"""What the demo sees of its run, all of it read from the cluster: positions, scores, counts. It
never asks the worker.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.connect import Connection
from processors.monitoring.score import merge
from schemas.flights_score import DepartedScore, PlannedScore, Score
from streams.codec import Codec
from streams.lineage import HEADER, header_number
from streams.plan import Plan
from streams.reader import KafkaLog, Reader
from streams.topology import Flow, Topology, outputs_of, stream_of

SCORES: dict[str, type[Score]] = {"planned": PlannedScore, "departed": DepartedScore}


def sealed_ends(flow: Flow, connection: Connection) -> dict[tuple[str, int], int]:
    """For each input partition the offset after its last record (the end offset counts transaction
    markers too).
    """
    plan = Plan(flow, connection.registry, connection.settings.namespace)
    counts = connection.cluster.partitions()
    ends: dict[tuple[str, int], int] = {}
    log = connection.cluster.log()
    try:
        for source in plan.inputs:
            for number in range(counts[source.topic]):
                last = log.last(source.topic, number)
                ends[(source.topic, number)] = 0 if last is None else last.offset + 1
    finally:
        log.close()
    return ends


def committed(flow: Flow, connection: Connection) -> dict[tuple[str, int], int]:
    """How far the group of a flow has come in its inputs."""
    prefix = connection.settings.prefix
    counts = connection.cluster.partitions()
    events = (stream_of(c).topic for c in flow.inputs)
    topics = [prefix + name for name in (*events, flow.redrive, flow.clock)]
    places = [(topic, number) for topic in topics for number in range(counts.get(topic, 0))]
    return connection.cluster.committed(prefix + flow.name, places)


@dataclass
class ScoreBoard:
    """The latest score of every airport and horizon, as they appear in their streams."""

    connection: Connection
    latest: dict[str, dict[str, Score]] = field(default_factory=lambda: {h: {} for h in SCORES})

    def __post_init__(self) -> None:
        prefix = self.connection.settings.prefix
        registry = self.connection.registry
        self._codecs: dict[str, tuple[str, Codec]] = {}
        for horizon, record in SCORES.items():
            topic = prefix + stream_of(record).topic
            self._codecs[topic] = (horizon, Codec(record, f"{topic}-value", registry))
        counts = self.connection.cluster.partitions()
        starts = {(t, n): 0 for t in self._codecs for n in range(counts[t])}
        self._reader = Reader(self.connection.cluster, "doa-demo", starts)

    def refresh(self, wait_s: float = 0.0) -> bool:
        """Read what is new; False when nothing came."""
        fetched = self._reader.fetch(200, wait_s)
        for topic, _, stored, _ in fetched:
            if stored is not None:
                horizon, codec = self._codecs[topic]
                score = codec.decode(stored.value)
                self.latest[horizon][score.origin] = score
        return bool(fetched)

    def merged(self, horizon: str) -> Score | None:
        """The score of all airports together."""
        scores = self.latest[horizon]
        return merge(SCORES[horizon], [scores[o] for o in sorted(scores)]) if scores else None

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()


def written(topology: Topology, connection: Connection) -> dict[str, int]:
    """How many records each derived stream holds: the last id of each partition says it."""
    prefix = connection.settings.prefix
    counts = connection.cluster.partitions()
    log = connection.cluster.log()
    try:
        return {
            topic: sum(_count(log, prefix + topic, n) for n in range(counts[prefix + topic]))
            for flow in topology.flows.values()
            for processor in flow.processors
            for topic in dict.fromkeys(stream_of(c).topic for c in outputs_of(processor))
        }
    finally:
        log.close()


def pending(flow: Flow, connection: Connection, tables: dict[str, str]) -> dict[str, int]:
    """Open entries of tables, by a name of the caller's: counted in the changelog, tombstones left
    out.
    """
    prefix = connection.settings.prefix
    topic = prefix + flow.changelog
    living: set[bytes] = set()
    log = connection.cluster.log()
    try:
        for number in range(connection.cluster.partitions()[topic]):
            for stored in log.records(topic, number):
                assert stored.key is not None, "every record of a changelog has a key"
                (living.add if stored.value else living.discard)(stored.key)
    finally:
        log.close()
    return {
        name: sum(key.startswith(start.encode()) for key in living)
        for name, start in tables.items()
    }


def dead_letters(flow: Flow, connection: Connection) -> int:
    """Records in the dead-letter topic of a flow's domain."""
    prefix = connection.settings.prefix
    topic = prefix + flow.dead_letter
    log = connection.cluster.log()
    try:
        count = connection.cluster.partitions()[topic]
        return sum(1 for n in range(count) for _ in log.records(topic, n))
    finally:
        log.close()


def _count(log: KafkaLog, topic: str, number: int) -> int:
    last = log.last(topic, number)
    return 0 if last is None else header_number(last.headers[HEADER]) + 1
