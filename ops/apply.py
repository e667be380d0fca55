"""Make a cluster what the declarations say: topics, their settings, subjects; and forget a flow.

`plan_changes` looks and returns what would be done; `apply` does it and writes down what stands
now.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ops.whole import write_whole
from schemas.internal import ControlCommand
from schemas.record import Stream
from streams.broker import Cluster
from streams.codec import Codec
from streams.errors import BrokerError, TopologyError
from streams.plan import Plan
from streams.registry import ConfluentRegistry
from streams.settings import prefix_of
from streams.topology import Flow, Topology, outputs_of, stream_of
from streams.validation import checked

DAY_MS = 86_400_000
LARGE_RECORD_BYTES = "8000000"
DEAD_LETTER_BYTES = "16000000"
COMPACTED = {  # small segments, so that it happens: the one that is written to is left alone
    "cleanup.policy": "compact",
    "segment.bytes": "16000000",
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(DAY_MS),
}
MARKS_KEPT_LONGER_MS = 30 * DAY_MS  # a segment lives as long as its youngest record, and a week
GROUP_EMPTY_WAIT_S = 15.0
TOPICS_PAUSE_S = 0.05
TOPICS_S_MAX = 60.0  # until topics that were made can be used: a slow disk takes its time


@dataclass(frozen=True)
class TopicWish:
    """A topic as it should be."""

    name: str
    partitions: int
    settings: dict[str, str]


@dataclass
class Changes:
    """What an apply would do."""

    create: list[TopicWish] = field(default_factory=list)
    settle: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    register: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.create or self.settle or self.register)

    def lines(self) -> list[str]:
        """The changes, a line each."""
        lines = [f"+ topic {w.name} ({w.partitions} partitions)" for w in self.create]
        for topic, settings in self.settle.items():
            lines += [f"~ topic {topic}: {k} {a} -> {b}" for k, (a, b) in settings.items()]
        return lines + [f"+ schema {subject}" for subject in self.register]


def wishes(
    topology: Topology, namespace: str, partitions: int | None = None
) -> dict[str, TopicWish]:
    """Every topic of a topology; `partitions` overrides what the streams declare."""
    prefix = prefix_of(namespace)
    found: dict[str, TopicWish] = {}
    for record in topology.records.values():
        stream = stream_of(record)
        count = partitions or stream.partitions
        found[prefix + stream.topic] = TopicWish(prefix + stream.topic, count, _settings(stream))
    for flow in topology.flows.values():
        for name, count, settings in _internal(flow, partitions):
            known = found.get(prefix + name)  # the dead letters of a domain are shared by its flows
            most = max(count, known.partitions) if known else count
            found[prefix + name] = TopicWish(prefix + name, most, settings)
    return found


def subjects(topology: Topology, registry: ConfluentRegistry, namespace: str) -> dict[str, Codec]:
    """Every subject of a topology."""
    found: dict[str, Codec] = {}
    for flow in topology.flows.values():
        plan = Plan(flow, registry, namespace)
        found |= plan.subjects()
        control = plan.topic(flow.control) + "-value"
        found[control] = Codec(ControlCommand, control, registry)
    return found


def plan_changes(
    topology: Topology, cluster: Cluster, registry: ConfluentRegistry, partitions: int | None = None
) -> Changes:
    """Compare the declarations with the cluster; TopologyError where they cannot be reconciled."""
    namespace = cluster.settings.namespace
    wanted = wishes(checked(topology), namespace, partitions)
    present = cluster.partitions()
    changes = Changes()
    for name, wish in wanted.items():
        if name not in present:
            changes.create.append(wish)
        elif present[name] != wish.partitions:
            raise TopologyError(
                f"{name} has {present[name]} partitions, {wish.partitions} are declared; changing "
                "that would move keys away from their state: run doa reset for its flow, or "
                "declare what is there"
            )
    actual = cluster.topic_settings([n for n in wanted if n in present])
    for name, settings in actual.items():
        different = {k: (settings.get(k, ""), v) for k, v in wanted[name].settings.items()}
        different = {k: pair for k, pair in different.items() if pair[0] != pair[1]}
        if different:
            changes.settle[name] = different
    known = {s: registry.latest(s) for s in registry.subjects()}
    for subject, codec in subjects(topology, registry, namespace).items():
        if known.get(subject) != codec.schema and not (
            subject in known and registry.knows(subject, codec.schema)
        ):
            changes.register.append(subject)
    return changes


def apply(
    topology: Topology,
    cluster: Cluster,
    registry: ConfluentRegistry,
    changes: Changes,
    lock: Path | None,
) -> None:
    """Do what was planned, and write the lock file."""
    cluster.create({w.name: (w.partitions, w.settings) for w in changes.create})
    cluster.settle({t: {k: b for k, (_, b) in s.items()} for t, s in changes.settle.items()})
    codecs = subjects(topology, registry, cluster.settings.namespace)
    for subject in changes.register:
        registry.register(subject, codecs[subject].schema)
    await_topics(cluster, {w.name for w in changes.create})
    if lock is not None:
        standing = _standing(topology, cluster, codecs)
        write_whole(lock, json.dumps(standing, indent=1, sort_keys=True) + "\n")


def reset(
    topology: Topology,
    flow: Flow,
    cluster: Cluster,
    *,
    inputs_too: bool = False,
    group_too: bool = True,
) -> list[str]:
    """Delete what a flow wrote, its state and its offsets, so that it begins anew; the topics that
    were deleted.

    With `inputs_too` the event topics it reads go as well; all its offsets go with them, so that
    its group, whose static members leave late, need not be waited for (`group_too=False`). Its
    dead letters go unless other flows of the topology write to the same topic, from which none
    could be taken out. Run `apply` afterwards.
    """
    prefix = cluster.settings.prefix
    written = [stream_of(c).topic for p in flow.processors for c in outputs_of(p)]
    names = [*written, flow.changelog, flow.journal, flow.clock, flow.redrive, flow.control]
    if inputs_too:
        names += [stream_of(c).topic for c in flow.inputs]
    if not buried_with(topology, flow):
        names.append(flow.dead_letter)
    present = cluster.partitions()
    doomed = [prefix + n for n in dict.fromkeys(names) if prefix + n in present]
    if group_too:
        cluster.forget_group(prefix + flow.name, GROUP_EMPTY_WAIT_S)
    cluster.delete(doomed)
    return doomed


def buried_with(topology: Topology, flow: Flow) -> list[str]:
    """The other flows whose dead letters are in the topic of this one's."""
    return [name for name in topology.buriers(flow.dead_letter) if name != flow.name]


def await_topics(cluster: Cluster, names: set[str]) -> None:
    """Wait until topics that were just made can be used; BrokerError when that takes too long.

    A broker names the leader of a partition a while before that one knows of it, and of its topic.
    """
    deadline = time.monotonic() + TOPICS_S_MAX
    while True:
        try:
            known = cluster.partitions()
            if missing := sorted(name for name in names if not known.get(name)):
                raise BrokerError(f"topics do not appear: {', '.join(missing)}")
            cluster.ends((name, number) for name in names for number in range(known[name]))
            return
        except BrokerError:
            if time.monotonic() > deadline:
                raise
        time.sleep(TOPICS_PAUSE_S)


def _settings(stream: Stream) -> dict[str, str]:
    return {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(stream.retention_days * DAY_MS),
        **(COMPACTED if stream.compacted else {"cleanup.policy": "delete"}),
    }


def _internal(flow: Flow, partitions: int | None) -> list[tuple[str, int, dict[str, str]]]:
    data = [stream_of(c) for p in flow.processors for c in (*p.reads, *outputs_of(p))]
    count = partitions or max((s.partitions for s in data), default=1)
    kept = {"retention.ms": str(max(s.retention_days for s in data) * DAY_MS)}
    stamped = {"message.timestamp.type": "LogAppendTime"}
    compact = {**COMPACTED, "max.message.bytes": LARGE_RECORD_BYTES}
    if not flow.steps:
        return [(flow.changelog, 1, {**stamped, **compact})]
    letters = {
        **stamped,
        **kept,
        "cleanup.policy": "delete",
        "max.message.bytes": DEAD_LETTER_BYTES,
    }
    redrives = {**letters, "retention.ms": str(int(kept["retention.ms"]) + MARKS_KEPT_LONGER_MS)}
    return [
        (flow.changelog, count, {**stamped, **compact}),
        (flow.journal, count, {**stamped, **kept, "cleanup.policy": "delete"}),
        (flow.clock, count, {**stamped, **kept, "cleanup.policy": "delete"}),
        (flow.control, 1, {**stamped, **kept, "cleanup.policy": "delete"}),
        (flow.redrive, count, redrives),
        (flow.dead_letter, count, letters),
    ]


def _standing(topology: Topology, cluster: Cluster, codecs: dict[str, Codec]) -> dict[str, Any]:
    present = cluster.partitions()
    topics = wishes(topology, cluster.settings.namespace)
    return {
        "code_version": topology.code_version,
        "topics": {n: {**asdict(w), "partitions": present.get(n)} for n, w in topics.items()},
        "subjects": {s: c.schema for s, c in codecs.items()},
    }
