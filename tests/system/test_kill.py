"""A worker that is killed, or told to stop, leaves streams as if nothing had happened."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
import pytest

from streams.reader import Reader

pytestmark = [pytest.mark.broker, pytest.mark.timed]

PARTITIONS, COUNT, BATCH_RECORDS = 4, 2_000, 50
ENDINGS = (
    (0.1, signal.SIGKILL),
    (0.25, signal.SIGTERM),
    (0.4, signal.SIGKILL),
    (0.55, signal.SIGINT),
    (0.7, signal.SIGKILL),
)
STALL_S = 5.0  # what is promised, of the median: a machine may have something else to do once
STALL_S_MAX = 10.0  # a successor that had to wait for its predecessor's session takes longer
STOP_S_MAX = 10.0


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
        """Seconds until something written after an instant could be read; None until then."""
        return next((seen - since for seen, ms in self.seen if ms > since * 1_000), None)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._reader.close()


def test_streams_after_kills_and_stops_are_those_of_an_undisturbed_run(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    same: Callable[..., None],
) -> None:
    system = flights(PARTITIONS)
    system.load(COUNT)
    watch = Watch(system)
    stalls_s: list[float] = []
    try:
        worker = begin(start)
        for share, number in ENDINGS:
            until(f"{share:.0%} done", partial(reached, worker, system, share))
            began_at = time.time()
            if number == signal.SIGKILL:
                [working] = psutil.Process(worker.process.pid).children()
                working.kill()
            else:
                assert worker.end(number) == 0
                assert time.time() - began_at < STOP_S_MAX
                began_at = time.time()
                worker = begin(start)
            assert system.progress() < 1
            stalled_s = until("new records", lambda since=began_at: watch.stalled_s(since))
            assert stalled_s <= STALL_S_MAX, f"after {number.name} at {share:.0%}"
            stalls_s.append(round(stalled_s, 1))
        until("all done", lambda: reached(worker, system, 1))
        assert worker.end() == 0
    finally:
        watch.close()
    print(f"readers stalled for {stalls_s} s")
    assert statistics.median(stalls_s) <= STALL_S
    same(system.contents(), system.undisturbed())


def begin(start: Callable[..., Any]) -> Any:
    """A worker, and who stands by for it."""
    words = ("worker", "flights", "--slot", "0", "--restart")
    return start(*words, DOA_BATCH_RECORDS_MAX=BATCH_RECORDS)


def reached(worker: Any, system: Any, share: float) -> bool:
    """Whether so much was committed; the worker must live."""
    worker.check()
    return bool(system.finished() if share == 1 else system.progress() >= share)
