"""Is what a flow wrote the same as undisturbed? Lost, too many, out of order, changed, and by whom.

Equal means key, value, id and parents of every record of every stream, in order. Every derived
record has a dense number, so that a difference can be named.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from ops.chaos.ground import Ground, Place
from ops.chaos.witness import Contents, Seen, seen
from schemas.internal import JournalEntry
from streams.errors import StreamsError
from streams.reader import Reader

Orders = dict[int, list[tuple[str, int]]]  # by unit: runs of records taken from an input

READ_RECORDS = 5_000
READ_S = 120.0
DIFFERENCES_TOLD = 12


@dataclass
class Differences:
    """How a run differs from the undisturbed one, in records; and the first of them, in words."""

    lost: int = 0
    duplicated: int = 0  # there once too often, or not there at all in the undisturbed run
    reordered: int = 0
    changed: int = 0
    zombie_records: int = 0  # written by somebody who did not know what was there already
    told: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """The counts, by name."""
        return {name: count for name, count in asdict(self).items() if name != "told"}

    def add(self, other: Differences) -> None:
        """Add those of another run."""
        for name, count in other.counts().items():
            setattr(self, name, getattr(self, name) + count)
        for text in other.told:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Say a difference in words, as long as that is readable."""
        if len(self.told) < DIFFERENCES_TOLD:
            self.told.append(text)


def read(ground: Ground) -> Contents:
    """All committed records of a flow's outputs, from a reader of its own."""
    ends = ground.cluster.ends(ground.outputs, committed=True)
    found: Contents = {place: [] for place in ground.outputs}
    left = {place for place, end in ends.items() if end > 0}
    reader = Reader(ground.cluster, "chaos-checker", dict.fromkeys(left, 0))
    deadline = time.monotonic() + READ_S
    while left:
        if time.monotonic() > deadline:
            raise StreamsError(f"not read to the end within {READ_S:.0f} s: {sorted(left)[:3]}")
        for topic, partition, stored, reached in reader.fetch(READ_RECORDS, 0.1):
            place = (topic, partition)
            if stored is not None:
                found[place].append(seen(stored, topic in ground.models))
            if reached >= ends[place]:
                left.discard(place)
    reader.close()
    return found


def compare(found: Contents, expected: Contents) -> Differences:
    """Compare two runs, stream by stream and partition by partition."""
    differences = Differences()
    for place, records in expected.items():
        if found[place] != records:
            _compare_place(place, found[place], records, differences)
    return differences


def _compare_place(
    place: Place, found: list[Seen], expected: list[Seen], differences: Differences
) -> None:
    where = f"{place[0]}[{place[1]}]"
    for name, count in (_count(expected) - _count(found)).items():
        differences.lost += count
        differences.tell(f"{where}: {_text(name)} is lost")
    for name, count in (_count(found) - _count(expected)).items():
        differences.duplicated += count
        differences.tell(f"{where}: {_text(name)} is there {count} times too often")
    digests = {r.identity: r.digest for r in expected}
    order = {r.identity: i for i, r in enumerate(expected)}
    last, last_number = -1, -1
    for record in found:
        if digests.get(record.identity, record.digest) != record.digest:
            differences.changed += 1
            differences.tell(f"{where}: {_text(record.identity)} has changed")
        at = order.get(record.identity, last)
        if at < last:
            differences.reordered += 1
        last = max(last, at)
        if 0 <= record.number <= last_number:
            differences.zombie_records += 1
        last_number = max(last_number, record.number)


def check_journal(ground: Ground, differences: Differences) -> Orders:
    """Every input record stands in the journal once, in order: entries join without a gap. Returned
    is the order in which each unit took its inputs.
    """
    taken: dict[Place, int] = {}
    orders: Orders = {unit: [] for unit in range(ground.partitions)}
    log = ground.cluster.log()
    topic = ground.plan.topic(ground.flow.journal)
    try:
        for unit in range(ground.partitions):
            for stored in log.records(topic, unit):
                entry = ground.plan.journal_codec.decode(stored.value)
                _follow(entry, unit, taken, differences)
                extend(orders[unit], entry)
    finally:
        log.close()
    ends = {(i.name, u): ground.ends.get((i.topic, u), 0) for i in ground.plan.inputs
            for u in range(ground.partitions)}  # fmt: skip
    for place, end in ends.items():
        missing = end - taken.get(place, 0)
        if missing > 0:
            differences.lost += missing
            differences.tell(f"journal: {missing} records of {place[0]}[{place[1]}] are not there")
    return orders


def compare_orders(found: Orders, expected: Orders, differences: Differences) -> None:
    """Sealed inputs are taken in one order, however they are cut into transactions."""
    for unit, order in expected.items():
        if found[unit] != order:
            differences.reordered += 1
            differences.tell(f"journal: unit {unit} took its inputs in another order")


def _follow(
    entry: JournalEntry, unit: int, taken: dict[Place, int], differences: Differences
) -> None:
    counts: Counter[int] = Counter()
    for which, count in zip(entry.runs[::2], entry.runs[1::2], strict=True):
        counts[which] += count
    for which, count in counts.items():
        place, start = (entry.inputs[which], unit), entry.starts[which]
        expected = taken.get(place, 0)
        if start < expected:
            differences.duplicated += expected - start
            differences.tell(f"journal: {place[0]}[{unit}]@{start} was taken twice")
        elif start > expected:
            differences.lost += start - expected
            differences.tell(f"journal: {place[0]}[{unit}]@{expected} was not taken")
        taken[place] = max(expected, start + count)


def extend(order: list[tuple[str, int]], entry: JournalEntry) -> None:
    """Append the runs of an entry; a run may go on where the entry before it ended."""
    for which, count in zip(entry.runs[::2], entry.runs[1::2], strict=True):
        name = entry.inputs[which]
        before = order.pop()[1] if order and order[-1][0] == name else 0
        order.append((name, before + count))


def _count(records: list[Seen]) -> Counter[bytes]:
    return Counter(record.identity for record in records)


def _text(identity: bytes) -> str:
    return identity.decode("utf-8", "replace")
