"""The transactional loop: fetch, merge, process, produce, and commit outputs, state, journal and
offsets as one.

Guarantee: exactly once. Whatever is killed at any time, what readers of committed records see is
what an undisturbed run would have written. State in memory is only trusted while its transaction
lives: on abort it is dropped and restored. While a batch is being committed the next is processed;
if that commit fails, both are dropped.

One loop runs on one thread with one consumer and one transactional producer. Order at the start:
the producer fences its predecessor, then committed offsets, then the horizon, then the state.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.asked_aside import AskedAside
from streams.assignment import starts_of, units_in
from streams.backpressure import Backpressure
from streams.broker import Cluster
from streams.clients import FIRST, Callbacks, deliver, places, translated
from streams.codec import Codec
from streams.errors import (
    OUTAGES,
    DataError,
    Evicted,
    Fenced,
    Rollback,
    StreamsError,
    Unregistered,
)
from streams.intake import intake
from streams.merge import Merge
from streams.moment import take_for_a_moment
from streams.plan import Plan
from streams.progress import Progress
from streams.restore import expectation, restore
from streams.settings import recorded
from streams.stable_ends import StableEnds
from streams.tally import Tally
from streams.tolerance import Watches
from streams.transaction import Transaction
from streams.unit import Unit

YOUNG, ALL = 1, 2  # garbage is collected after a batch, never during one: what is young, seldom all
COLLECT_COMMITS, COLLECT_ALL_COMMITS = 8, 512
OUTPUTS_CHUNK = 500  # records handed to the producer at once: it sends while the unit goes on
OUTPUTS_HELD_MAX = 5_000  # while a commit is under way, which is waited for then
LOOKUPS_MAX = 8  # that are asked of the registry at once


class FlowLoop:
    """Runs one flow as one member of its group until it is stopped."""

    def __init__(self, plan: Plan, cluster: Cluster, slot: int) -> None:
        self.plan, self.cluster, self.slot = plan, cluster, slot
        self.settings = cluster.settings
        self.group = plan.topic(plan.flow.name)
        self.transaction = Transaction(cluster, f"{self.group}.{slot}")
        for one in plan.inputs:
            one.codec.registry = AskedAside(one.codec.registry)
        self.units: dict[int, Unit] = {}
        self.merges: dict[int, Merge] = {}
        self.refused: dict[tuple[str, bytes], DataError] = {}
        self.tally, self._stable_ends = Tally(), StableEnds(cluster)
        self.watches = Watches(plan.flow.tolerances)
        self.failures, self._failed_at = 0, -1
        self.commits = self.aborts = self.records_in = self.records_out = self.dead_letters = 0
        self.progressed_at = time.monotonic()
        self._waits: str | None = "starting"
        self._told: str | None = None
        self._stopping, self._paused = threading.Event(), threading.Event()
        self._inputs = {i.topic: n for n, i in enumerate(plan.inputs)}
        self._taken, self._starved = 0, True
        self._age_ms_max = 0  # of a transaction; see `_restore_units`
        self._backpressure = Backpressure(plan, self.settings)
        self._progress = Progress(plan, cluster)
        self._assigned: list[int] | None = None  # our partitions, None between assignments
        self._reassigned: list[int] | None = None  # those whose units are yet to be restored
        self._consumer: Any = None

    # --- what operators say

    def stop(self) -> None:
        """Commit what is in hand and end."""
        self._stopping.set()

    def pause(self, reason: str) -> None:
        """Take no more records, but keep the partitions."""
        self._told = reason
        self._paused.set()

    def resume(self) -> None:
        """Go on after a pause."""
        self._told = None
        self._progress.all_moved(self.merges)
        self.progressed_at = time.monotonic()
        self._paused.clear()

    @property
    def reason(self) -> str | None:
        """Why no records are taken; None while they are."""
        return self._waits or self._told or self._progress.waits(self.merges)

    def lags(self) -> dict[tuple[str, int], int]:
        """Records not yet taken, by topic and partition, as of a few seconds ago."""
        return self._progress.lags(self.merges)

    @property
    def stuck(self) -> bool:
        """Records wait, nothing moves, and there is no reason."""
        committing = self.transaction.open or self.transaction.committing
        uncommitted_s = time.monotonic() - self.progressed_at if committing else 0.0
        stands_s = max(uncommitted_s, self._progress.stands_s(self.merges))
        return not (self._waits or self._told) and stands_s > self.settings.stuck_s

    # --- the loop

    def run(self) -> None:
        """Run until stopped; Fenced when a younger worker has the same slot."""
        gc.freeze()
        gc.disable()
        try:
            while not self._stopping.is_set():
                try:
                    if self._consumer is None:
                        self._connect()
                    self._turn()
                except Rollback as rollback:
                    self._forget()
                    self.refused[(rollback.processor, rollback.reference)] = rollback.cause
                except (Fenced, Unregistered):
                    raise
                except OUTAGES as error:
                    self._outage(error)
            self._commit_all()
        finally:
            gc.unfreeze()
            gc.enable()
            self._close()

    def _turn(self) -> None:
        """Fetch once, process what is ready, commit when the batch is full or old."""
        ready = any(m.ready for m in self.merges.values()) and not self._paused.is_set()
        self._fetch(0.0 if ready else self._patience())
        if self._reassigned is not None:
            self._restore_units()
        for number in self._in_turn():
            self._process(self.units[number], self.merges[number])
        self._backpressure.look(self._consumer, self.merges)
        self.transaction.settle(wait=False)
        if self.transaction.open and self._due():
            self._commit()
        self._progress.look(self.merges)

    def _patience(self) -> float:
        age_ms = self.transaction.age_ms if self.transaction.open else 0.0
        return max((self.settings.idle_commit_ms - age_ms) / 1_000, 0.001)

    def _due(self) -> bool:
        full = self._taken >= self.settings.batch_records_max
        heavy = self._bytes_out >= self.settings.batch_bytes_max
        idle = self._starved and not any(m.ready for m in self.merges.values())
        rests = idle and self.transaction.age_ms >= self.settings.idle_commit_ms
        return full or heavy or rests or self._batch_ends

    @property
    def _bytes_out(self) -> int:
        return sum(unit.bytes_out for unit in self.units.values())

    @property
    def _batch_ends(self) -> bool:
        """Whether no more is taken: by an operator's wish, or as the batch is old enough."""
        old = self.transaction.open and self.transaction.age_ms >= self._age_ms_max
        return old or self._paused.is_set()

    def _in_turn(self) -> list[int]:
        """The units, after each commit another one first: a whole batch may be of the first."""
        numbers = list(self.merges)
        first = self.commits % max(len(numbers), 1)
        return numbers[first:] + numbers[:first]

    def _process(self, unit: Unit, merge: Merge) -> None:
        """Take what the merge gives, until the batch is full or old, or to a pause."""
        bytes_max = self.settings.batch_bytes_max - (self._bytes_out - unit.bytes_out)
        records_max = self.settings.batch_records_max
        while self._taken < records_max and unit.bytes_out < bytes_max and not self._batch_ends:
            if not merge.ready:
                break
            if not self.transaction.open:
                self.transaction.begin()
                self.progressed_at = time.monotonic()
            self._taken += take_for_a_moment(unit, merge, records_max - self._taken, bytes_max)
            if unit.letters.excess is not None:
                self.pause(unit.letters.take_excess())
            held = len(unit.outputs)
            if held >= (OUTPUTS_HELD_MAX if self.transaction.committing else OUTPUTS_CHUNK):
                self.transaction.write(unit.partition, unit.take_outputs())
        if unit.changed:
            self._progress.moved(unit.partition)

    def _fetch(self, patience_s: float) -> None:
        """Hand what has arrived to the merges; wait for a first record, never for a full fetch."""
        messages = self._consumer.consume(1, patience_s)
        if messages:
            messages += self._consumer.consume(self.settings.fetch_records - 1, 0.0)
        self._starved = len(messages) < self.settings.fetch_records
        # What was fetched before a rebalance will be fetched again.
        deliver(messages, {} if self._reassigned is not None else self.merges, self._inputs)
        self._callbacks.check()

    def _commit(self) -> None:
        """Write state and journal, and begin to make everything of this batch visible together."""
        counts = self.tally.read(self.units).values()
        self.records_out = sum(c.records_out for c in counts)
        self.dead_letters = sum(c.dead_letters for c in counts)
        offsets = []
        for number, unit in self.units.items():
            offsets += [
                TopicPartition(self.plan.inputs[source].topic, number, offset)
                for source, offset in unit.taken.reached.items()
            ]
            if unit.changed:
                self.transaction.write(number, unit.flush())
        keep = self.watches.mark({n: u.records_in for n, u in self.units.items()})
        then = partial(self._committed, self._taken, keep)
        self.transaction.commit(offsets, self._consumer.consumer_group_metadata(), then)
        self._taken, self._age_ms_max = 0, self.settings.batch_ms_max
        self.refused.clear()  # a refusal ends with its batch: what is redriven is tried again
        if self.commits % COLLECT_COMMITS == 0:
            gc.collect(YOUNG if self.commits % COLLECT_ALL_COMMITS else ALL)

    def _committed(self, taken: int, keep: Callable[[], None]) -> None:
        """Count what is visible now."""
        keep()
        self.commits += 1
        self.records_in += taken
        self.progressed_at = time.monotonic()

    def _commit_all(self) -> None:
        """Commit what is in hand, and wait for that."""
        if self.transaction.open:
            self._commit()
        self.transaction.settle()

    # --- partitions come and go

    def _connect(self) -> None:
        with ThreadPoolExecutor(LOOKUPS_MAX) as pool:  # broker and registry take their time
            fenced = pool.submit(self.transaction.renew)
            list(pool.map(Codec.register, self.plan.subjects().values()))
            fenced.result()
        self._consumer = self.cluster.member(self.group, self.slot)
        topics = [i.topic for i in self.plan.inputs]
        self._callbacks = Callbacks()
        self._consumer.subscribe(
            topics,
            on_assign=self._callbacks("assign", self._on_assign),
            on_revoke=self._callbacks("revoke", self._on_revoke),
            on_lost=self._callbacks("lost", self._on_lost),
        )
        self._waits = "waiting for partitions"

    def _close(self) -> None:
        with contextlib.suppress(Fenced):
            self.transaction.abort()
        if self._consumer is not None:
            self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Check that units are whole, and start from what is committed."""
        given = ((p.topic, p.partition) for p in partitions)
        self._assigned = self._reassigned = units_in(given, self._inputs)
        consumer.assign([])  # nothing is fetched before the state is restored

    def _on_revoke(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        """Commit what is in hand, or leave no trace of it; then give the partitions up."""
        try:
            self._commit_all()
        except Fenced:
            raise
        except StreamsError:
            self.transaction.give_up()
        finally:
            self._drop_units()
            consumer.unassign()

    def _on_lost(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        """Forget everything; the broker may be gone, so that even an abort would have to wait."""
        self.transaction.give_up()
        self._drop_units()
        consumer.unassign()

    def _drop_units(self) -> None:
        self._forget_state()
        self._assigned = self._reassigned = None
        self._waits = "waiting for partitions"

    def _forget_state(self) -> None:
        self.tally.drop(self.units)
        self.merges, self._taken = {}, 0
        self._backpressure.forget()

    def _restore_units(self) -> None:
        """Build the units of all assigned partitions from their topics."""
        numbers = self._reassigned or []
        state = [(self.plan.topic(self.plan.flow.changelog), n) for n in numbers]
        self._waits = expectation(sum(self.cluster.ends(state).values()))
        self.transaction.renew()
        wanted = [(i.topic, n) for n in numbers for i in self.plan.inputs]
        with translated("committed"):
            timeout = self.settings.transaction_timeout_ms / 1_000 + self.settings.request_timeout_s
            committed = self._consumer.committed([TopicPartition(t, n) for t, n in wanted], timeout)
        horizons = self.cluster.ends(wanted)
        with contextlib.closing(self.cluster.log()) as log:
            for n in numbers:
                unit = Unit(self.plan, n, self.partitions, partial(self._stable_ends.at_most, n))
                restore(unit, log)
                unit.taken.settings = recorded(self.settings)
                unit.refused = self.refused
                unit.letters.watch = self.watches.of(n)
                self.units[n] = unit
        starts = starts_of(committed, {n: self.units[n].time_ms for n in numbers})
        for n in numbers:
            self._progress.moved(n)
            self.merges[n] = Merge(
                [horizons[(i.topic, n)] for i in self.plan.inputs],
                [starts[(i.topic, n)] for i in self.plan.inputs],
                partial(intake, self.plan, n, self.partitions),
            )
        assigned = places({place: start or FIRST for place, start in starts.items()})
        with translated("assign"):
            self._consumer.assign(assigned)
            self._consumer.resume(assigned)  # a pause outlives its assignment
        # The next transaction is short, so that readers see soon that the flow goes on.
        self._age_ms_max, self.progressed_at = self.settings.idle_commit_ms, time.monotonic()
        self._reassigned = self._waits = None

    @cached_property
    def partitions(self) -> int:
        """Partition count of the flow."""
        return self.cluster.partitions()[self.plan.inputs[0].topic]

    # --- trouble

    def _leave(self) -> None:
        """Be a new member next time, unless a younger worker has our place, which is Fenced."""
        first = TopicPartition(self.plan.inputs[0].topic, 0, 0)
        self.transaction.prove([first], self._consumer.consumer_group_metadata())
        self._close()
        self._callbacks.check()
        self._consumer = None
        self._drop_units()

    def _forget(self) -> None:
        """Leave no trace of the open transaction, and begin again from what is committed."""
        self.transaction.abort()
        self.aborts += 1
        self._forget_state()
        self._reassigned = self._assigned

    def _outage(self, error: StreamsError) -> None:
        """Say why nothing moves, wait, and begin again with a new producer: only the broker knows
        what came of an open transaction.

        The first failure since the last commit is tried again at once, later ones after a pause.
        """
        self.failures = self.failures + 1 if self._failed_at == self.commits else 0
        self._failed_at = self.commits
        self._waits = f"outage: {error}"
        if isinstance(error, Evicted):
            self._leave()
        self.transaction.give_up()
        self._forget()
        self._stopping.wait(self.settings.retry_pause_s if self.failures else 0)
