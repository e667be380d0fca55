"""Snapshots on their way to their topic, and back.

Guarantee: a snapshot is written in the transaction of the example it follows, all its parts
together, and the changelog of the same transaction says its generation. So what a unit restores
from is the last generation or, where that cannot be used, the one before: an older one, however
well signed, was put there by somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from schemas.snapshot import Snapshot
from streams.codec import Codec
from streams.errors import NO_FAULT_OF_A_RECORD, DataError, SnapshotError
from streams.lineage import HEADER, pack_header
from streams.merge import Stored
from streams.snapshot import Keys, seal_model, verify
from streams.topology import stream_of
from streams.varint import varint

if TYPE_CHECKING:
    from streams.learner_step import LearnerStep

LOG = logging.getLogger("doa.snapshot")

Parts = list[Snapshot]


class BackwardsLog(Protocol):
    """Committed records of the cluster, or of the driver."""

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        """All records of a partition, the last first."""


def write_snapshot(step: LearnerStep, trigger: bytes) -> None:
    """Write a signed snapshot of a learner's model as it is after the example just folded."""
    unit, learner = step.unit, step.learner
    assert unit.plan.keys is not None, "a flow with learners runs with signing keys"
    examples = unit.plan.topic(stream_of(learner.examples).topic)
    try:
        parts = seal_model(
            learner.snapshots,
            unit.plan.keys,
            step.model,
            learner=step.name,
            partition=unit.partition,
            time_ms=unit.time_ms,
            generation=step.generation + 1,
            version=step.version,
            offset_hint=-1 if step.frozen else unit.offset_hint(examples),
            code_version=unit.plan.flow.code_version,
            factory=learner.model,
        )
    except NO_FAULT_OF_A_RECORD:
        raise
    except Exception as error:  # whatever it is: the example is learnt, and no dead letter
        # The model itself is sound; without a snapshot a restart only has more to fold.
        why = error if isinstance(error, SnapshotError) else f"{type(error).__name__}: {error}"
        LOG.warning("%s@%d has no new snapshot: %s", step.name, unit.partition, why)
        return
    step.generation += 1
    edge = step.edges[learner.snapshots]
    for part in parts:
        header = pack_header(edge.n, step.stamp, varint(step.version + 1), 1, trigger)
        edge.n += 1
        value = edge.codec.encode(part)
        unit.outputs.append((edge.topic, part.key, value, [(HEADER, header)]))
        unit.bytes_out += len(value)


def whole_snapshots(
    log: BackwardsLog,
    topic: str,
    partition: int,
    codec: Codec,
    keys: Keys,
    owner: str,
    refuse: Callable[[str], None],
) -> Iterator[Parts]:
    """The snapshots that are whole and signed, the last first; `refuse` is told of what is not.

    A null forgets what its key held before.
    """
    found: dict[tuple[int, int, str], dict[int, Snapshot]] = {}
    forgotten: set[bytes | None] = set()
    for stored in log.backwards(topic, partition):
        if stored.value is None or stored.key in forgotten:
            forgotten.add(stored.key)
            continue
        try:
            record: Snapshot = codec.decode(stored.value)
            verify(record, keys, owner)
        except (DataError, SnapshotError) as error:
            refuse(f"{topic}[{partition}]@{stored.offset}: {error}")
            continue
        parts = found.setdefault((record.generation, record.version, record.payload_sha256), {})
        if record.part not in parts:
            parts[record.part] = record
            if len(parts) == record.parts:
                yield [parts[part] for part in sorted(parts)]
    for (generation, _, _), parts in found.items():
        count = next(iter(parts.values())).parts
        if len(parts) < count:
            refuse(f"generation {generation} of {owner} is torn: {len(parts)} of {count} parts")


def last_two(
    snapshots: Iterator[Parts], generation: int, refuse: Callable[[str], None]
) -> Iterator[Parts]:
    """Of the snapshots of a topic: that of a generation, then the one before it."""
    previous: Parts | None = None
    for parts in snapshots if generation else ():
        there = parts[0].generation
        if there == generation:
            yield parts
        elif there == generation - 1:
            previous = previous or parts
        else:
            refuse(f"generation {there} is neither the last one, {generation}, nor the one before")
    if previous is not None:
        yield previous
