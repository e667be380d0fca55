"""What was applied, against what is there: the lock file beside the cluster and the registry.

Each finding is a sentence. Readers are consumer groups that have committed offsets or members now:
who only looks, as `doa tap` does, leaves no trace, and needs none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ops.connect import Connection
from streams.clients import result_of, translated
from streams.errors import StreamsError
from streams.graph import Edge
from streams.registry import STRICTER
from streams.topology import Topology, stream_of


class NotApplied(StreamsError):
    """There is no lock file."""


def read_lock(path: Path) -> dict[str, Any]:
    """What `doa apply` wrote down; NotApplied."""
    try:
        lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotApplied(f"there is no {path}; run: doa apply") from error
    return lock


def findings(
    connection: Connection, topology: Topology, lock: dict[str, Any], undeclared: Iterable[Edge]
) -> list[str]:
    """Everything that is not as it was applied; `undeclared` are edges that were observed."""
    return [
        *_topics(connection, lock),
        *_strangers(connection, topology, lock),
        *_subjects(connection, lock),
        *_groups(connection, topology),
        *(
            f"{edge.processor} {edge.direction} {edge.topic} ({edge.records:,} records), "
            "which is not declared"
            for edge in undeclared
        ),
    ]


def _topics(connection: Connection, lock: dict[str, Any]) -> Iterator[str]:
    present = connection.cluster.partitions()
    locked = lock["topics"]
    actual = connection.cluster.topic_settings([name for name in locked if name in present])
    for name, wish in locked.items():
        if name not in present:
            yield f"topic {name} is gone; run: doa apply"
            continue
        if present[name] != wish["partitions"]:
            yield f"topic {name} has {present[name]} partitions; {wish['partitions']} were applied"
        for setting, value in wish["settings"].items():
            if (found := actual[name].get(setting)) != value:
                yield f"topic {name} has {setting}={found}; {value} was applied"


def _strangers(connection: Connection, topology: Topology, lock: dict[str, Any]) -> Iterator[str]:
    prefix = connection.settings.prefix
    domains = {stream_of(record).domain for record in topology.records.values()}
    for name in sorted(connection.cluster.partitions()):
        bare = name.removeprefix(prefix)
        ours = name.startswith(prefix) and "." in bare and bare.split(".")[0] in domains
        if ours and name not in lock["topics"]:
            yield f"topic {name} is not declared"


def _subjects(connection: Connection, lock: dict[str, Any]) -> Iterator[str]:
    registry = connection.registry
    present = set(registry.subjects())
    for subject, schema in lock["subjects"].items():
        if subject not in present:
            yield f"subject {subject} is gone; run: doa apply"
            continue
        if registry.latest(subject) != schema:
            yield f"subject {subject} has a newer schema than was applied"
        if (found := registry.compatibility(subject)) not in STRICTER:
            yield f"subject {subject} has compatibility {found or 'of the registry'}, not BACKWARD"


def _groups(connection: Connection, topology: Topology) -> Iterator[str]:
    prefix = connection.settings.prefix
    ours = {prefix + flow for flow in topology.flows}
    for group, topics in sorted(_readers(connection, topology).items()):
        if group not in ours and topics:
            yield f"group {group} reads {', '.join(sorted(topics))}, which is not declared"


def _readers(connection: Connection, topology: Topology) -> dict[str, set[str]]:
    """The streams that each consumer group reads now, or has committed offsets in."""
    cluster, prefix = connection.cluster, connection.settings.prefix
    counts = cluster.partitions()
    topics = [prefix + topic for topic in topology.records if prefix + topic in counts]
    places = [(topic, p) for topic in topics for p in range(counts[topic])]
    admin, timeout = cluster.admin(), cluster.settings.request_timeout_s
    with translated("list_consumer_groups"):
        listed = result_of(admin.list_consumer_groups(request_timeout=timeout)).valid
        names = [one.group_id for one in listed]
        asked = admin.describe_consumer_groups(names, request_timeout=timeout) if names else {}
        members = {name: result_of(future).members for name, future in asked.items()}
    return {
        name: {topic for topic, _ in cluster.committed(name, places)}
        | {p.topic for one in members[name] for p in one.assignment.topic_partitions} & set(topics)
        for name in names
    }
