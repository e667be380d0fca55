"""The dead letters of a cluster, and what becomes of them: taken again, or dropped.

Guarantee: each letter is taken again at most once, however often that is asked for, by however
many, and whatever is killed meanwhile. Whoever asks writes to `<flow>-redrive` in transactions of
one id, `<flow>-redrive`; it fences all others who wrote under it, and then reads what stands there.
What stands there was done; what does not was not, and never will be by somebody who was fenced. The
record that asks for a letter is at once the mark that it was asked for, so the two cannot part.

From there on the flow takes it as any other input: exactly once.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from streams.broker import Cluster
from streams.clients import put, translated
from streams.dead_letter import ATTEMPTS_MAX, Letter, letter_of
from streams.errors import BrokerError, DataError
from streams.plan import Plan
from streams.redriven import address_of

WAITING, PARKED, REDRIVEN, DROPPED = "waiting", "parked", "redriven", "dropped"

Starts = Mapping[int, int]  # by partition: the first offset to read


class Fates:
    """What was asked for, letter by letter, in one flow. A reset gives ids away again, so the time
    at which a letter was written counts as well.
    """

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._verbs: dict[tuple[str, int], str] = {}
        codec, topic = plan.inputs[plan.redrive].codec, plan.inputs[plan.redrive].topic
        with closing(cluster.log()) as log:
            for number in range(cluster.partitions().get(topic, 0)):
                for stored in log.records(topic, number):
                    try:
                        asked = codec.decode(stored.value)
                    except DataError:
                        continue  # somebody else's: it is a dead letter of the flow itself
                    self._verbs[(asked.letter, asked.letter_ms)] = asked.verb

    def of(self, letter: Letter) -> str:
        """What became of a letter: waiting, parked, redriven or dropped."""
        verb = self._verbs.get((letter.id, letter.written_ms))
        if verb is not None:
            return DROPPED if verb == "drop" else REDRIVEN
        return PARKED if letter.cause.attempts >= ATTEMPTS_MAX else WAITING


def read_letters(cluster: Cluster, name: str, starts: Starts | None = None) -> Iterator[Letter]:
    """The letters of a topic (its name without namespace), in the order in which they were written.

    `starts` leaves out other partitions, and what lies before these offsets.
    """
    topic = cluster.settings.prefix + name
    count = cluster.partitions().get(topic)
    if count is None:
        raise BrokerError(f"there is no topic {topic!r}; run: doa apply")
    if starts is None:
        starts = dict.fromkeys(range(count), 0)
    with ExitStack() as stack:
        logs = [
            _partition(stack.enter_context(closing(cluster.log())), topic, name, number, start)
            for number, start in starts.items()
            if number < count
        ]
        yield from heapq.merge(*logs, key=attrgetter("written_ms"))


def _partition(log: Any, topic: str, name: str, number: int, start: int) -> Iterator[Letter]:
    for stored in log.records(topic, number, start):
        yield letter_of(name, number, stored)


@dataclass
class Outcome:
    """What became of the letters that were asked for, by id."""

    done: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)  # it had been done
    left: dict[str, str] = field(default_factory=dict)  # it was not done: why

    def note(self, letter: Letter, reason: str | None) -> bool:
        """Note that a letter is done, or why it is not; whether it is."""
        if reason is None:
            self.done.append(letter.id)
        else:
            self.left[letter.id] = reason
        return reason is None


def settle(
    cluster: Cluster,
    plan: Plan,
    letters: Iterable[Letter],
    verb: str,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Have letters of one flow taken again (`redrive`) or by nobody ever (`drop`), in their order.

    `force` takes parked ones too. Fenced is raised when another one begins to do the same.
    """
    topic = plan.inputs[plan.redrive].topic
    if topic not in cluster.partitions():
        raise BrokerError(f"there is no topic {topic!r}; run: doa apply")
    desk = None if dry_run else _Desk(cluster, plan)
    fates, outcome = Fates(cluster, plan), Outcome()
    for letter in letters:
        fate = fates.of(letter)
        if fate == (DROPPED if verb == "drop" else REDRIVEN):
            outcome.before.append(letter.id)
            continue
        if outcome.note(letter, _obstacle(plan, letter, fate, verb, force)) and desk is not None:
            desk.write(letter, verb)
    if desk is not None:
        desk.commit()
    return outcome


def _obstacle(plan: Plan, letter: Letter, fate: str, verb: str, force: bool) -> str | None:
    """Why a letter cannot be had taken again, or dropped; None when it can."""
    if fate == DROPPED:
        return "it was dropped"
    if fate == REDRIVEN:
        return "it was redriven"
    if verb == "drop":
        return None
    if fate == PARKED and not force:
        return f"it is parked after {letter.cause.attempts} attempts; --force tries it once more"
    try:
        address_of(plan, letter.cause.origin, letter.processor, letter.cause.parent)
    except DataError as error:
        return str(error)
    return None


class _Desk:
    """The one transactional writer of `<flow>-redrive`."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._topic = plan.inputs[plan.redrive].topic
        self._codec = plan.inputs[plan.redrive].codec
        self._settings = cluster.settings
        self._partitions = cluster.partitions()[self._topic]
        self._producer: Any = cluster.producer(self._topic)
        self._waiting: list[tuple[int, bytes | None, bytes, list[tuple[str, bytes]]]] = []
        self._bytes = 0

    def write(self, letter: Letter, verb: str) -> None:
        """Ask for a letter; what was asked for is committed when there is enough of it."""
        value = self._codec.encode(letter.redrive(verb, time.time_ns() // 1_000_000))
        partition, headers = letter.target(self._partitions), list(letter.trace.items())
        self._waiting.append((partition, letter.key, value, headers))
        self._bytes += len(value)
        full = len(self._waiting) >= self._settings.redrive_records_max
        if full or self._bytes >= self._settings.batch_bytes_max:
            self.commit()

    def commit(self) -> None:
        """Make visible what was asked for, as one; the transaction is open no longer than that."""
        if not self._waiting:
            return
        with translated("begin_transaction"):
            self._producer.begin_transaction()
        with translated("produce"):
            for partition, key, value, headers in self._waiting:
                put(self._producer, self._topic, value, key, partition, headers=headers)
        with translated("commit_transaction"):
            self._producer.commit_transaction(self._settings.commit_timeout_s)
        self._waiting, self._bytes = [], 0
