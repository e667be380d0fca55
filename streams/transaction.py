"""The transactional producer of one slot: what it writes becomes visible as one, or not at all.

A commit takes the broker a while. It runs on a thread of its own, so that the next batch can be
fetched and processed meanwhile; nothing of that is produced before the commit has ended well.

A producer whose transaction ended in doubt is never used again: a new one with the same id makes
the broker finish or abort what was open (librdkafka lacks KIP-890), and what came of it is read
from the committed offsets. The broker aborts a transaction that grows too old, and fences its
producer as it fences one whose place another has taken. To tell them apart, no commit is waited
for so long: what a broker that is away for a while has not answered by then is in doubt.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from confluent_kafka import TopicPartition

from streams.beside import beside
from streams.broker import Cluster
from streams.clients import put, translated
from streams.edge import Output
from streams.errors import Fenced, StreamsError
from streams.settings import Settings

ABORT_MARGIN_S = 1.0  # we give a transaction up so much earlier than the broker does
WAIT_S_MIN = 0.001  # to ask without waiting; Kafka's client takes what is negative for endless


class Transaction:
    """A batch, the commit of the one before it, and the producer that is renewed when in doubt.

    `open` says that a batch has begun which no commit covers yet.
    """

    def __init__(self, cluster: Cluster, transactional_id: str) -> None:
        self.open = False
        self.began = 0.0
        self._cluster = cluster
        self._id = transactional_id
        self._producer: Any = None
        self._producing = False  # the producer is in a transaction, which is not being committed
        self._in_doubt = False  # what came of the producer's transaction, which only a new one ends
        self._aborts_at = 0.0  # when the broker may give it up
        self._commit: Future[None] | None = None  # the one under way
        self._then: Callable[[], None] = lambda: None

    @property
    def age_ms(self) -> float:
        """How long it has been open."""
        return (time.monotonic() - self.began) * 1_000

    @property
    def committing(self) -> bool:
        """Whether the broker still works on a commit."""
        return self._commit is not None and not self._commit.done()

    def renew(self) -> None:
        """Have a producer of which nothing is in doubt; a new one fences its predecessor."""
        if self._producer is None or self._in_doubt:
            self._producer = None
            self._producer = self._cluster.producer(self._id)
            self._producing = self._in_doubt = False

    def begin(self) -> None:
        """Open it; with records in hand only, since an open transaction holds up readers."""
        self.open, self.began = True, time.monotonic()

    def write(self, partition: int, outputs: Iterable[Output]) -> None:
        """Hand records to the producer, which sends them while others are made. Waits for a commit
        under way.
        """
        assert not self._in_doubt, "a producer is renewed before it writes again"
        self._enter()
        produce = self._producer.produce
        with translated("produce"):
            for topic, key, value, headers in outputs:
                try:
                    produce(topic, value, key, partition, None, None, 0, headers)  # by place: fast
                except BufferError:
                    put(self._producer, topic, value, key, partition, headers=headers)
            self._producer.poll(0)

    def _enter(self) -> None:
        """Have the producer in a transaction, once a commit under way has ended."""
        self.settle()
        if not self._producing:
            with translated("begin_transaction"):
                self._producer.begin_transaction()
            self._producing = True
            self._aborts_at = (
                time.monotonic() + self._cluster.settings.transaction_timeout_ms / 1_000
            )

    def commit(self, offsets: list[TopicPartition], group: Any, then: Callable[[], None]) -> None:
        """Begin to make everything that was written visible, and the offsets of what it was made
        from (KIP-447). `settle` says how that ends, and calls `then` if well.
        """
        self.open, self._producing, self._then = False, False, then
        name = f"commit-{self._id}"
        self._commit = beside(name, self.commit_now, self._producer, offsets, group)

    def commit_now(self, producer: Any, offsets: list[TopicPartition], group: Any) -> None:
        """Commit, and wait for it."""
        patience = self._patience_s()
        until = time.monotonic() + patience
        with translated("send_offsets_to_transaction"):
            producer.send_offsets_to_transaction(offsets, group, patience)
        with translated("commit_transaction"):
            producer.commit_transaction(max(until - time.monotonic(), WAIT_S_MIN))

    def _patience_s(self) -> float:
        return patience_s(self._cluster.settings, self._aborts_at)

    def settle(self, *, wait: bool = True) -> None:
        """Have done with a commit that has ended, or wait for its end; its error is raised here."""
        if self._commit is not None and (wait or self._commit.done()):
            commit, self._commit = self._commit, None
            commit.result()
            self._then()

    def prove(self, offsets: list[TopicPartition], group: Any) -> None:
        """Raise Fenced if a younger producer has this one's id. The offsets of a member that the
        group does not know are refused, but before that the coordinator looks at the producer; one
        that is past asking still has its transaction to abort. A transaction in doubt that is too
        old proves nothing: the broker itself has fenced it.
        """
        if self._producer is None or (self._in_doubt and time.monotonic() > self._aborts_at):
            return
        with _unless_fenced():
            self._enter()
            with translated("send_offsets_to_transaction"):
                self._producer.send_offsets_to_transaction(offsets, group, self._patience_s())
        with _unless_fenced(), translated("abort_transaction"):
            self._producer.abort_transaction(self._patience_s())
        self._in_doubt = True

    def abort(self) -> None:
        """Leave no trace of what no commit covers; when its end is in doubt, the producer is given
        up. Fenced is told.
        """
        self.open = False
        try:
            self.settle()
            if self._producing and not self._in_doubt:
                self._producing = False
                with translated("abort_transaction"):
                    self._producer.abort_transaction(self._patience_s())
        except Fenced:
            raise
        except StreamsError:
            self.give_up()

    def give_up(self) -> None:
        """Use this producer no more, but to `prove`: an abort would wait for a broker that may be
        gone.
        """
        self.open = False
        self._commit = None
        self._in_doubt = True


def patience_s(settings: Settings, aborts_at: float) -> float:
    """How long to wait for the broker's answer about a transaction, by the instant (monotonic) at
    which the broker may give it up. When that has passed, whoever waits stood still; whether it is
    fenced is for the broker to say.
    """
    left = aborts_at - ABORT_MARGIN_S - time.monotonic()
    return min(left, settings.commit_timeout_s) if left > 0 else settings.commit_timeout_s


@contextlib.contextmanager
def _unless_fenced() -> Iterator[None]:
    """Go on after any error but Fenced, which alone says something for sure."""
    try:
        yield
    except Fenced:
        raise
    except StreamsError:
        pass
