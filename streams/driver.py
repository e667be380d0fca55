"""The in-memory twin of the transactional loop: the same units, codecs and lineage over lists
instead of topics.

For tests: publish records, run, read what came of them. `CRASH` between records drops everything
that was not committed and
restores the units from the lists, as a killed worker would from Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

from schemas.internal import ClockTick
from schemas.record import Record
from streams.codec import MemoryRegistry, Registry
from streams.dead_letter import Letter, letter_of
from streams.edge import Output
from streams.errors import Rollback
from streams.intake import intake
from streams.lineage import HEADER, Origin, unpack_header
from streams.merge import Merge, Stored
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock, RecordClass
from streams.restore import restore
from streams.snapshot import Keys
from streams.tolerance import Watches
from streams.topology import Flow, Topology, stream_of
from streams.unit import Unit

CRASH: Final = object()
APPENDED_MS = 4_000_000_000_000  # driver time: no event of this century lies ahead of it


class Driver:
    """Runs one flow in memory.

    `batch_records` is the size of a transaction; the outputs do not depend on it.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        partitions: int = 1,
        batch_records: int = 1_000,
        registry: Registry | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.flow = flow
        self.partitions = partitions
        self.batch_records = batch_records
        self.plan = Plan(flow, registry or MemoryRegistry(), keys=keys or Keys.generate())
        self.logs: dict[tuple[str, int], list[Stored]] = {}
        self.committed = {p: [0] * len(self.plan.inputs) for p in range(partitions)}
        self.paused: str | None = None  # why it takes no more records
        self.watches = Watches(flow.tolerances)
        self.units = {p: self._unit(p) for p in range(partitions)}

    # --- Log

    def records(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        """All records of a partition from an offset to another, or to its end."""
        return iter(self.logs.get((topic, partition), [])[max(start, 0) : stop])

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset of a partition, and the one after the last."""
        return 0, len(self.logs.get((topic, partition), []))

    def backwards(self, topic: str, partition: int) -> Iterator[Stored]:
        """All records of a partition, the last first."""
        return reversed(self.logs.get((topic, partition), []))

    def last(self, topic: str, partition: int) -> Stored | None:
        """The last record of a partition."""
        log = self.logs.get((topic, partition))
        return log[-1] if log else None

    # --- producers and readers

    def publish(self, record: Record, **headers: bytes) -> None:
        """Append an event, as a foreign producer would."""
        stream = stream_of(type(record))
        key = getattr(record, stream.key)
        value = self.plan.codec(type(record)).encode(record)
        partition = partition_of(key, self.partitions)
        self.publish_raw(stream.topic, key.encode(), value, partition, **headers)

    def publish_raw(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int = 0,
        **headers: bytes,
    ) -> None:
        """Append any bytes to a topic."""
        log = self.logs.setdefault((topic, partition), [])
        log.append(Stored(len(log), key, value, headers, APPENDED_MS))

    def read(self, record: RecordClass) -> list[Any]:
        """All records of a stream, partition by partition."""
        codec = self.plan.codec(record)
        return [codec.decode(stored.value) for stored in self.stored(stream_of(record).topic)]

    def origins(self, record: RecordClass, names: dict[bytes, str] | None = None) -> list[Origin]:
        """Where the records of a stream came from."""
        known = names or Topology({self.flow.name: self.flow}).names
        topic = stream_of(record).topic
        return [unpack_header(stored.headers[HEADER], known) for stored in self.stored(topic)]

    @property
    def dead_letters(self) -> list[Stored]:
        """What could not be processed."""
        return self.stored(self.flow.dead_letter)

    @property
    def letters(self) -> list[Letter]:
        """The same, read as `doa dlq` reads it."""
        name = self.flow.dead_letter
        return [
            letter_of(name, p, stored)
            for p in range(self.partitions)
            for stored in self.records(name, p)
        ]

    def redrive(self, *letters: Letter, verb: str = "redrive") -> Driver:
        """Have dead letters taken again, or dropped: what `doa dlq` appends is published."""
        codec = self.plan.inputs[self.plan.redrive].codec
        for letter in letters:
            value = codec.encode(letter.redrive(verb, APPENDED_MS))
            partition = letter.target(self.partitions)
            self.publish_raw(self.flow.redrive, letter.key, value, partition, **letter.trace)
        self.process()
        return self

    def stored(self, topic: str) -> list[Stored]:
        """The records of a topic as bytes, partition by partition."""
        return [s for p in range(self.partitions) for s in self.records(topic, p)]

    # --- running

    def run(self, items: Iterable[Record | Clock | object] = ()) -> Driver:
        """Publish items and process all there is. A `Clock` moves time; `CRASH` kills and restores.

        What is published up to a `CRASH` is processed before it, but its last batch is not
        committed.
        """
        for item in items:
            if item is CRASH:
                self.process(commit_last=False)
                self.crash()
            elif isinstance(item, Clock):
                tick = self.plan.inputs[-1].codec.encode(ClockTick(at_ms=item.at_ms))
                for partition in range(self.partitions):
                    self.publish_raw(self.flow.clock, None, tick, partition)
            else:
                assert isinstance(item, Record), (
                    f"a record, a Clock or CRASH was expected, not {item!r}"
                )
                self.publish(item)
        self.process()
        return self

    def resume(self) -> Driver:
        """Go on after a pause, as an operator would have it."""
        self.paused = None
        self.process()
        return self

    def crash(self) -> None:
        """Forget all memory; restore from the lists."""
        self.units = {p: self._restored(p) for p in range(self.partitions)}

    def process(self, commit_last: bool = True) -> None:
        """Take everything that was published, in merged order, partition by partition."""
        for partition in range(self.partitions):
            while not self._process(partition, commit_last):
                pass

    def _process(self, partition: int, commit_last: bool) -> bool:
        """Process one partition to its end; False when a rollback asks to begin again."""
        unit = self.units[partition]
        merge = self._merge(partition)
        positions = list(self.committed[partition])
        taken = 0
        try:
            while self.paused is None and (item := merge.peek()) is not None:
                if not unit.take(item):
                    self._commit(unit, positions)
                    continue
                merge.pop()
                positions[item.source] = item.offset + 1
                taken += 1
                self.paused, unit.letters.excess = unit.letters.excess, None
                if taken % self.batch_records == 0:
                    self._commit(unit, positions)
        except Rollback as rollback:
            refused = unit.refused
            self.units[partition] = self._restored(partition)
            self.units[partition].refused = {
                **refused,
                (rollback.processor, rollback.reference): rollback.cause,
            }
            return False
        if commit_last and positions != self.committed[partition]:
            self._commit(unit, positions)
        return True

    def _merge(self, partition: int) -> Merge:
        logs = [self.logs.get((i.topic, partition), []) for i in self.plan.inputs]
        starts = self.committed[partition]
        decode = partial(intake, self.plan, partition, self.partitions)
        merge = Merge([len(log) for log in logs], list(starts), decode)
        for source, log in enumerate(logs):
            for stored in log[starts[source] :]:
                merge.push(source, stored)
        return merge

    def _commit(self, unit: Unit, positions: list[int]) -> None:
        for output in list(unit.flush()):  # all of it, before anything counts as committed
            self._append(output, unit.partition)
        self.committed[unit.partition] = list(positions)
        unit.refused = {}
        self.watches.mark({unit.partition: unit.records_in})()

    def _append(self, output: Output, partition: int) -> None:
        topic, key, value, headers = output
        log = self.logs.setdefault((topic, partition), [])
        data = key.encode() if isinstance(key, str) else key
        log.append(Stored(len(log), data, value, dict(headers), APPENDED_MS))

    def _unit(self, partition: int) -> Unit:
        unit = Unit(
            self.plan,
            partition,
            self.partitions,
            lambda topic: len(self.logs.get((topic, partition), [])),
        )
        unit.letters.watch = self.watches.of(partition)
        return unit

    def _restored(self, partition: int) -> Unit:
        unit = self._unit(partition)
        restore(unit, self)
        return unit
