"""A worker that is killed, or told to stop, leaves streams as if nothing had happened."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from streams.reader import Reader

pytestmark = pytest.mark.broker

PARTITIONS, COUNT, BATCH_RECORDS = 4, 3_000, 50
STALL_S_MAX = 5.0
STOP_S_MAX = 5.0


class Watch:
    """A reader of committed predictions; when each came to it, beside when it was appended."""

    def __init__(self, system: Any) -> None:
        self.seen: list[tuple[float, int]] = []  # seconds, milliseconds since the epoch
        self._stopping = threading.Event()
        topic = system.plan.topic("flights.prediction.departed")
        starts = {(topic, p): 0 for p in range(system.partitions)}
        self._reader = Reader(system.connection.cluster, "watch", starts)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            fetched = self._reader.fetch(1_000, 0.02)
            now = time.time()
            self.seen += [(now, found.stored.appended_ms) for found in fetched if found.stored]

    def stalled_s(self, since: float) -> float | None:
        """Seconds until something written after an instant could be read, None as long as nothing can."""
        return next((seen - since for seen, ms in self.seen if ms > since * 1_000), None)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._reader.close()


def test_streams_after_kills_are_those_of_an_undisturbed_run(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    same: Callable[..., None],
    record_property: Callable[[str, object], None],
) -> None:
    system = flights(PARTITIONS)
    system.load(COUNT)
    watch = Watch(system)
    stalls = []
    try:
        for share in (0.1, 0.3, 0.5, 0.7):
            worker = begin(start)
            until(f"{share:.0%} done", lambda share=share: check(worker, system) >= share)
            worker.process.kill()
            killed_at = time.time()
            assert system.progress() < 1
            worker.process.wait()
            worker = begin(start)
            stalls.append(until("new records", lambda at=killed_at: watch.stalled_s(at)))
            worker.process.kill()
            worker.process.wait()
        worker = begin(start)
        until("all done", lambda: check(worker, system) and system.finished())
        assert worker.end() == 0
    finally:
        watch.close()
    record_property("stalls_s", stalls)
    assert max(stalls) <= STALL_S_MAX, stalls
    same(system.contents(), system.undisturbed())


def test_stopped_worker_commits_and_ends_with_zero(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    same: Callable[..., None],
) -> None:
    system = flights(PARTITIONS)
    system.load(COUNT)
    for share, number in ((0.2, signal.SIGTERM), (0.5, signal.SIGINT)):
        worker = begin(start)
        until(f"{share:.0%} done", lambda share=share: check(worker, system) >= share)
        began = time.monotonic()
        assert worker.end(number) == 0
        assert time.monotonic() - began < STOP_S_MAX
        assert system.progress() < 1
        assert system.contents()  # which fails when a transaction hangs
    worker = begin(start)
    until("all done", lambda: check(worker, system) and system.finished())
    assert worker.end() == 0
    same(system.contents(), system.undisturbed())


def begin(start: Callable[..., Any]) -> Any:
    return start("worker", "flights", "--slot", "0", DOA_BATCH_RECORDS_MAX=BATCH_RECORDS)


def check(worker: Any, system: Any) -> float:
    worker.check()
    return float(system.progress())
