"""What really happened, done again: the journal's order of input, fed to a fresh unit.

A unit's outputs are a function of its input in the order in which it was taken. Over sealed inputs
event time decides that order, live it is the order of arrival; either way each transaction wrote
down what it took. Taking the same again, and flushing where a transaction ended, gives what the
topics hold: outputs, dead letters, changelog and journal. Three things are not the same: ids of
schemas, where another registry gives them; the bytes of a snapshot; its `offset_hint`.

Whoever compares should look at `code_version` first: other code may rightly write something else.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from functools import partial
from itertools import count, islice
from typing import NamedTuple

from schemas.internal import JournalEntry
from streams.edge import Output
from streams.errors import DataError, Rollback, StreamsError
from streams.intake import intake
from streams.merge import Stored
from streams.plan import Plan
from streams.restore import Log
from streams.unit import Unit

CHUNK_RECORDS = 20_000


class InputGone(StreamsError):
    """The journal names input that its topic does not hold, or no longer."""


class Replayed(NamedTuple):
    """One transaction of one unit, done again."""

    entry: JournalEntry
    outputs: list[Output]


def replay_journal(plan: Plan, log: Log, partition: int, partitions: int) -> Iterator[Replayed]:
    """Do again, transaction by transaction, what the journal of a unit says it did.

    Nothing is written anywhere. A record that raised while it changed a state was refused, and its
    batch taken again without it. That is not in the journal but follows from it: the replay meets
    the same exception, and begins anew with the same refusal, which ends with its transaction: a
    dead letter that is redriven has the reference of the record that was refused.
    """
    refused: defaultdict[int, dict[tuple[str, bytes], DataError]] = defaultdict(dict)
    told = 0
    while True:
        unit = Unit(plan, partition, partitions)
        try:
            for replayed in islice(_transactions(unit, log, refused), told, None):
                yield replayed
                told += 1
            return
        except Rollback as rollback:
            unit.refused[(rollback.processor, rollback.reference)] = rollback.cause


def _transactions(
    unit: Unit, log: Log, refused: defaultdict[int, dict[tuple[str, bytes], DataError]]
) -> Iterator[Replayed]:
    plan = unit.plan
    decode = partial(intake, plan, unit.partition, unit.partitions)
    sources = {i.name: n for n, i in enumerate(plan.inputs)}
    tapes = [Tape(log, i.topic, unit.partition) for i in plan.inputs]
    journal = Tape(log, plan.topic(plan.flow.journal), unit.partition)
    for number in count():
        stored = journal.next()
        if stored is None:
            return
        unit.refused = refused[number]
        entry: JournalEntry = plan.journal_codec.decode(stored.value)
        starts = list(entry.starts)
        for which, length in zip(entry.runs[::2], entry.runs[1::2], strict=True):
            name = entry.inputs[which]
            if name not in sources:
                raise InputGone(
                    f"{name} is in the journal of {plan.flow.name}, which does not read it"
                )
            source = sources[name]
            for _ in range(length):
                item = decode(source, tapes[source].expect(starts[which]))
                while not unit.take(item):
                    pass  # given again until all has expired that falls due before it
                starts[which] = -1
        unit.advance(entry.time_ms)
        unit.taken.settings = entry.settings
        yield Replayed(entry, list(unit.flush()))


class Tape:
    """A partition read from its beginning, a chunk at a time: a log reads one partition at once."""

    def __init__(self, log: Log, topic: str, partition: int) -> None:
        self._log = log
        self._topic, self._partition = topic, partition
        self._position = 0
        self._ahead: deque[Stored] = deque()

    def next(self) -> Stored | None:
        """The next record, None at the end."""
        if not self._ahead:
            records = self._log.records(self._topic, self._partition, self._position)
            self._ahead.extend(islice(records, CHUNK_RECORDS))
            if not self._ahead:
                return None
            self._position = self._ahead[-1].offset + 1
        return self._ahead.popleft()

    def expect(self, offset: int) -> Stored:
        """The next record, which must lie at an offset unless that is -1."""
        stored = self.next()
        if stored is None or offset not in (-1, stored.offset):
            where = f"{self._topic}[{self._partition}]"
            found = "its end" if stored is None else f"offset {stored.offset}"
            raise InputGone(
                f"{where}: the journal goes on at offset {offset}, the topic at {found}"
            )
        return stored
