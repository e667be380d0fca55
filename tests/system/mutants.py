"""Workers that break a promise on purpose: a campaign that does not see it proves nothing.

Run as `python -m tests.system.mutants NAME EVERY worker FLOW --slot N`, as `ops.chaos.worker` is.
No production code knows of them.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import streams.snapshot_log
from ops.chaos import worker
from schemas.internal import JournalEntry
from streams.broker import Cluster
from streams.clients import translated
from streams.flow import FlowLoop
from streams.merge import Stored
from streams.reader import KafkaLog, Reader
from streams.taken import Taken
from streams.transaction import Transaction

GAP_S = 0.2  # how long a breach stays open, so that a kill finds it
READ_RECORDS, READ_S = 5_000, 0.05


def offsets_outside() -> None:
    """Offsets are committed before the transaction, by the consumer."""

    def commit(self: Transaction, producer: Any, offsets: Any, group: Any) -> None:
        with translated("commit"):  # the pause keeps the breach open, for a kill to find it
            CONSUMERS[-1].commit(offsets=offsets, asynchronous=False)
            time.sleep(GAP_S)
            producer.commit_transaction(20)

    remember_consumers()
    Transaction.commit_now = commit  # type: ignore[method-assign]


def state_kept_on_abort() -> None:
    """After an abort the flow goes on with the state it has in memory."""

    def forget(self: FlowLoop) -> None:
        self.transaction.give_up()
        self.aborts += 1
        self.transaction.renew()
        self._waits, self._taken = None, 0

    FlowLoop._forget = forget  # type: ignore[method-assign]


def commit_taken_for_granted() -> None:
    """What was processed during a commit is kept although that commit failed."""

    def settle(self: Transaction, *, wait: bool = True) -> None:
        if self._commit is None or not (wait or self._commit.done()):
            return
        error = self._commit.exception()
        self._commit = None
        if error is not None:
            self.give_up()
            self.renew()
        self._then()

    Transaction.settle = settle  # type: ignore[method-assign]


def snapshot_too_new() -> None:
    """A snapshot says that it holds one example more than it does."""
    seal = streams.snapshot_log.seal_model

    def seal_later(*args: Any, version: int, **options: Any) -> Any:
        return seal(*args, version=version + 1, **options)

    streams.snapshot_log.seal_model = seal_later  # type: ignore[assignment]


def changelog_outside() -> None:
    """State is written at once, not with the transaction."""
    write_outside("-changelog")


def journal_outside() -> None:
    """The journal is written at once, not with the transaction."""
    write_outside("-journal")


def journal_unordered() -> None:
    """The journal says how much was taken of each input, but not in which order."""
    entry = Taken.entry

    def sorted_entry(self: Taken, code_version: str, time_ms: int) -> JournalEntry:
        pairs = sorted(zip(self.runs[::2], self.runs[1::2], strict=True))
        self.runs = [number for pair in pairs for number in pair]
        return entry(self, code_version, time_ms)

    Taken.entry = sorted_entry  # type: ignore[method-assign]


def dead_letter_outside() -> None:
    """Dead letters are written at once, not with the transaction."""
    write_outside(".dead_letter")


def restore_without_waiting() -> None:
    """A restore takes the last stable offset for the end, and the first silence too."""

    def records(
        self: KafkaLog, topic: str, partition: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Stored]:
        stable = self._cluster.ends([(topic, partition)], committed=True)[(topic, partition)]
        end = stable if stop is None else stop
        if start >= end:
            return
        reader = Reader(self._cluster, "hasty", {(topic, partition): max(start, 0)})
        for _, _, stored, _ in reader.fetch(READ_RECORDS, READ_S):
            if stored is not None and stored.offset < end:
                yield stored
        reader.close()

    KafkaLog.records = records  # type: ignore[method-assign]


def no_fencing() -> None:
    """Every start has a transactional id of its own, and a commit does not say which generation of
    the group it belongs to.
    """
    make, commit = Cluster.producer, Transaction.commit_now
    strangers: list[Any] = []

    def producer(self: Cluster, transactional_id: str | None = None) -> Any:
        name = transactional_id and f"{transactional_id}.{uuid.uuid4()}"
        return make(self, name)

    def commit_unsigned(self: Transaction, producer: Any, offsets: Any, group: Any) -> None:
        if not strangers:
            strangers.append(self._cluster.consumer(self._id.rsplit(".", 1)[0]))
        commit(self, producer, offsets, strangers[0].consumer_group_metadata())

    Cluster.producer = producer  # type: ignore[method-assign]
    Transaction.commit_now = commit_unsigned  # type: ignore[method-assign]


CONSUMERS: list[Any] = []


def remember_consumers() -> None:
    """Keep the consumer of a flow where a breach can reach it."""
    make = Cluster.member

    def member(self: Cluster, group: str, slot: int) -> Any:
        CONSUMERS.append(make(self, group, slot))
        return CONSUMERS[-1]

    Cluster.member = member  # type: ignore[method-assign]


def write_outside(suffix: str) -> None:
    """Write topics of a suffix by a producer that knows of no transaction."""
    write = Transaction.write
    producers: list[Any] = []

    def split(self: Transaction, partition: int, outputs: Any) -> None:
        inside = [output for output in outputs if not output[0].endswith(suffix)]
        write(self, partition, inside)
        if len(inside) == len(outputs):
            return
        if not producers:
            producers.append(self._cluster.producer())
        for topic, key, value, headers in outputs:
            if topic.endswith(suffix):
                producers[0].produce(topic, value, key, partition, headers=headers)
        producers[0].flush(20)
        time.sleep(GAP_S)

    Transaction.write = split  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        offsets_outside,
        state_kept_on_abort,
        commit_taken_for_granted,
        snapshot_too_new,
        changelog_outside,
        journal_outside,
        journal_unordered,
        dead_letter_outside,
        restore_without_waiting,
        no_fencing,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    worker.main()
