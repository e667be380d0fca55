"""A unit as it was: from its changelog, the last snapshot of each model, and the examples since.

Nothing is written while it restores. A record that raised when it was first folded raises again:
the fold then begins anew from the snapshot, without it, as the unit that first met it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappush
from typing import Protocol

from streams.errors import SnapshotError, VersionSkew
from streams.lineage import HEADER, header_number
from streams.merge import Stored
from streams.snapshot import open_model
from streams.steps import FoldStep, LearnerStep
from streams.topology import stream_of
from streams.unit import STATE_HEADER, Unit

RECORDS_PER_S = 100_000  # of a changelog, on one core
SECONDS_TOLD = 1.0


class Log(Protocol):
    """Committed records of the cluster, or of the driver."""

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Stored]:
        """All records from an offset to the end that the topic has when the reading starts."""

    def last(self, topic: str, partition: int) -> Stored | None:
        """The last record of a partition."""


def expectation(changelog_records: int) -> str:
    """What a worker says while it restores; how long, where that is worth saying.

    >>> expectation(1_000_000)
    'restoring at most 1,000,000 records of state, about 10 s'
    >>> expectation(1_000)
    'restoring'
    """
    seconds = changelog_records / RECORDS_PER_S
    if seconds < SECONDS_TOLD:
        return "restoring"
    return f"restoring at most {changelog_records:,} records of state, about {seconds:.0f} s"


def restore(unit: Unit, log: Log) -> None:
    """Bring a new unit to the state that its topics describe."""
    plan = unit.plan
    latest: dict[bytes, Stored] = {}
    for stored in log.records(plan.topic(plan.flow.changelog), unit.partition):
        assert stored.key is not None, "every record of a changelog has a key"
        latest[stored.key] = stored
    for key, stored in latest.items():
        _restore_entry(unit, key.decode(), stored.value, stored.headers.get(STATE_HEADER, b""))
    for step in unit.steps:
        if isinstance(step, LearnerStep):
            _restore_model(unit, step, log)


def _restore_entry(unit: Unit, key: str, value: bytes | None, head: bytes) -> None:
    """Take back one record of the changelog: the unit's own state, an hour of ids, or an entry."""
    if key == "unit":
        state = unit.plan.unit_codec.decode(value)
        unit.time_ms = state.time_ms
        for edge in unit.edges.values():
            edge.n = state.written.get(edge.name, 0)
    elif key.startswith("seen/"):
        _, name, hour = key.split("/")
        if name in unit.seen:
            ids = unit.plan.seen_codec.decode(value).ids if value else []
            unit.seen[name].restore(int(hour), ids)
    else:
        _restore_table(unit, key, value, head)


def _restore_table(unit: Unit, key: str, value: bytes | None, head: bytes) -> None:
    """Entries of tables that are declared no more are left where they are."""
    for step in unit.steps:
        for i, store in enumerate(step.stores if isinstance(step, FoldStep) else ()):
            if value and isinstance(step, FoldStep) and key.startswith(store.prefix):
                name = key[len(store.prefix) :]
                entry = store.restore(name, value, head)
                if entry.deadline is not None:
                    heappush(unit.timers, (entry.deadline, name, step.order, i))
                return


def _restore_model(unit: Unit, step: LearnerStep, log: Log) -> None:
    skipped: set[int] = set()
    snapshot = log.last(step.edges[step.learner.snapshots].topic, unit.partition)
    while not _fold_again(unit, step, log, snapshot, skipped):
        pass


def _fold_again(
    unit: Unit, step: LearnerStep, log: Log, snapshot: Stored | None, skipped: set[int]
) -> bool:
    """Fold from the snapshot; False when an example raised, which is then skipped."""
    start = _load(unit, step, snapshot)
    if start < 0:
        step.frozen = True
        return True
    codec = unit.plan.codec(step.learner.examples)
    topic = unit.plan.topic(stream_of(step.learner.examples).topic)
    following = step.version
    for stored in log.records(topic, unit.partition, start):
        n = header_number(stored.headers[HEADER])
        if n < following or n in skipped:
            following = max(following, n + 1)
            continue
        if n > following:
            raise SnapshotError(
                f"{step.name}: example #{following} of {topic}[{unit.partition}] is gone, so the "
                f"model cannot be folded again; the next one kept is #{n}"
            )
        following = n + 1
        example = codec.decode(stored.value)
        try:
            step.learn(example, n)
        except Exception:  # as when it was first met
            skipped.add(n)
            return False
        if step.frozen:
            break
    return True


def _load(unit: Unit, step: LearnerStep, stored: Stored | None) -> int:
    """Load the snapshot into the step; the offset from which examples follow, -1 when none do."""
    step.model, step.version, step.generation, step.frozen = step.learner.model(), 0, 0, False
    if stored is None:
        return 0
    assert unit.plan.keys is not None, "a flow with learners runs with signing keys"
    record = unit.plan.codec(step.learner.snapshots).decode(stored.value)
    step.generation = record.generation
    try:
        step.model = open_model(
            record, unit.plan.keys, f"{step.name}@{unit.partition}", step.learner.model
        )
    except VersionSkew:
        return 0  # made by another python or river: fold from the first example
    except SnapshotError as error:
        raise SnapshotError(f"{stored.offset} of the snapshots of {step.name}: {error}") from error
    step.version = record.version
    return int(record.offset_hint)
