"""A unit as it was: from its changelog, the last snapshot of each model, and the examples since.

Nothing is written while it restores. A record that raised when it was first folded raises again:
the fold then begins anew from the snapshot, without it, as the unit that first met it did.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from schemas.internal import UnitState
from schemas.record import Record
from streams.codec import Codec
from streams.errors import NO_FAULT_OF_A_RECORD, SnapshotError
from streams.fold_step import FoldStep
from streams.learner_step import LearnerStep
from streams.lineage import HEADER, header_number
from streams.merge import Stored
from streams.seen import Page
from streams.snapshot import open_model
from streams.snapshot_log import Parts, last_two, whole_snapshots
from streams.tables import STATE_HEADER, TableStore
from streams.topology import stream_of
from streams.unit import Unit

LOG = logging.getLogger("doa.snapshot")
REFUSED_TOLD_MAX = 5
RECORDS_PER_S = 100_000  # of a changelog, on one core
SECONDS_TOLD = 1.0
KEPT_MAX = 5_000  # examples that are kept for the next learner of their stream


class Log(Protocol):
    """Committed records of the cluster, or of the driver."""

    def records(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        """All records from an offset to another, or to the end that the topic has when the reading
        starts.
        """

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        """All records of a partition, the last first."""


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
    tables = {
        store.prefix: (step, i, store)
        for step in unit.steps
        if isinstance(step, FoldStep)
        for i, store in enumerate(step.stores)
    }
    seen: dict[str, dict[Page, list[str]]] = {}
    for key, stored in latest.items():
        processor, _, rest = key.decode().partition("/")
        if processor == "unit":
            _restore_unit(unit, stored.value)
        elif processor == "seen":
            if stored.value and rest.count("/") == 2:  # else it is of before there were pages
                name, hour, page = rest.split("/")
                ids = plan.seen_codec.decode(stored.value).ids
                seen.setdefault(name, {})[int(hour), int(page)] = ids
        elif stored.value:
            table, _, name = rest.partition("/")
            found = tables.get(f"{processor}/{table}/")
            if found is not None:  # else it is of a table that is declared no more
                _restore_entry(unit, *found, name, stored)
    for name, pages in seen.items():
        if name in unit.seen:  # else nobody asks for that any more
            unit.seen[name].restore(pages)
    examples = Examples(log, unit.partition)
    for step in unit.steps:
        if isinstance(step, LearnerStep):
            _restore_model(unit, step, log, examples)


def last_state(unit: Unit, log: Log) -> UnitState | None:
    """What a unit last said of itself in its changelog; None when it has never committed."""
    changelog = unit.plan.topic(unit.plan.flow.changelog)
    for stored in log.backwards(changelog, unit.partition):
        if stored.key == b"unit":
            state: UnitState = unit.plan.unit_codec.decode(stored.value)
            return state
    return None


def _restore_unit(unit: Unit, value: bytes | None) -> None:
    """Take back what a unit says of itself."""
    state = unit.plan.unit_codec.decode(value)
    unit.time_ms = state.time_ms
    for edge in unit.edges.values():
        edge.n = state.written.get(edge.name, 0)
    for step in unit.steps:
        if isinstance(step, LearnerStep):
            step.generation = state.generations.get(step.name, 0)


def _restore_entry(
    unit: Unit, step: FoldStep, i: int, store: TableStore, name: str, stored: Stored
) -> None:
    """Take back an entry of a table, and its timer."""
    assert stored.value, "a tombstone is no entry"
    entry = store.restore(name, stored.value, stored.headers.get(STATE_HEADER, b""))
    if entry.deadline is not None:
        unit.timers.add(entry.deadline, name, step.order, i)


class Examples:
    """What learners fold again, read once for those of them that learn from the same stream."""

    def __init__(self, log: Log, partition: int) -> None:
        self._log = log
        self._partition = partition
        self._read: dict[tuple[str, int], list[tuple[int, Record]]] = {}

    def since(
        self, topic: str, codec: Codec, number: int, offset: int
    ) -> Iterator[tuple[int, Record]]:
        """The examples from #number on, which is not below an offset, each with its number."""
        if (topic, number) in self._read:
            yield from self._read[(topic, number)]
            return
        kept: list[tuple[int, Record]] = []
        for stored in self._log.records(topic, self._partition, offset):
            n = header_number(stored.headers[HEADER])
            if n < number:
                continue
            found = n, codec.decode(stored.value)
            if len(kept) <= KEPT_MAX:
                kept.append(found)
            yield found
        if len(kept) <= KEPT_MAX:
            self._read[(topic, number)] = kept


def _restore_model(unit: Unit, step: LearnerStep, log: Log, examples: Examples) -> None:
    """Load the last snapshot that opens, and fold the examples since; or all, where none does: a
    snapshot is only a cache.
    """
    refused: list[str] = []
    found = snapshots_of(unit, step, log, refused.append)
    for parts in last_two(found, step.generation, refused.append):
        try:
            opened = open_snapshot(unit, step, parts)
        except SnapshotError as error:
            refused.append(str(error))
            continue
        _tell(f"{step.name}@{unit.partition}", refused, f"generation {parts[0].generation}")
        return refold(unit, step, examples, (parts, opened))
    _tell(f"{step.name}@{unit.partition}", refused, "the first example")
    return refold(unit, step, examples)


def _tell(owner: str, refused: list[str], start: str) -> None:
    for text in refused[:REFUSED_TOLD_MAX]:
        LOG.warning("snapshot refused: %s", text)
    if refused:
        LOG.warning("%s: %d refused; its examples are folded from %s", owner, len(refused), start)


def snapshots_of(
    unit: Unit, step: LearnerStep, log: Log, refuse: Callable[[str], None]
) -> Iterator[Parts]:
    """The snapshots of a learner in a partition, the last first."""
    assert unit.plan.keys is not None, "a flow with learners runs with signing keys"
    edge, owner = step.edges[step.learner.snapshots], f"{step.name}@{unit.partition}"
    keys = unit.plan.keys
    return whole_snapshots(log, edge.topic, unit.partition, edge.codec, keys, owner, refuse)


def open_snapshot(unit: Unit, step: LearnerStep, parts: Parts) -> Any:
    """The model of a snapshot."""
    assert unit.plan.keys is not None, "a flow with learners runs with signing keys"
    owner = f"{step.name}@{unit.partition}"
    return open_model(parts, unit.plan.keys, owner, step.learner.model)


def refold(
    unit: Unit,
    step: LearnerStep,
    examples: Examples,
    start: tuple[Parts, Any] | None = None,
    stop: int | None = None,
    told: Callable[[int], None] = lambda version: None,
) -> None:
    """Fold from a snapshot and its model, or from the first example, up to the last or to #stop.

    `told` hears of every version on the way.
    """
    skipped: set[int] = set()
    while not _fold_again(unit, step, examples, start, skipped, stop, told):
        if start is not None:  # its model has learnt by now
            start = start[0], open_snapshot(unit, step, start[0])


def _fold_again(
    unit: Unit,
    step: LearnerStep,
    examples: Examples,
    start: tuple[Parts, Any] | None,
    skipped: set[int],
    stop: int | None,
    told: Callable[[int], None],
) -> bool:
    """Fold; False when an example raised, which is then skipped."""
    step.model, step.version, step.frozen, offset = step.learner.model(), 0, False, 0
    if start is not None:
        parts, step.model = start
        step.version, offset = parts[0].version, parts[0].offset_hint
    if offset < 0:
        step.frozen = True
        return True
    codec = unit.plan.codec(step.learner.examples)
    topic = unit.plan.topic(stream_of(step.learner.examples).topic)
    following = step.version
    for n, example in examples.since(topic, codec, step.version, offset):
        if stop is not None and n >= stop:
            break
        if n in skipped:
            following = n + 1
            continue
        if n > following:
            raise SnapshotError(
                f"{step.name}: example #{following} of {topic}[{unit.partition}] is gone, so the "
                f"model cannot be folded again; the next one kept is #{n}"
            )
        following = n + 1
        try:
            step.learn(example, n)
        except NO_FAULT_OF_A_RECORD:
            raise
        except Exception:  # as when it was first met
            skipped.add(n)
            return False
        told(step.version)
        if step.frozen:
            break
    return True
