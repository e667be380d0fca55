"""What Kafka serves is what the driver computes, and what a plain loop computes, float for
float."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from ops.bench.loop import LoopResult, run_partitioned
from processors.nycflights.replay import CLOSING_MS, read_timeline
from streams.partition import partition_of

pytestmark = pytest.mark.broker

PARTITIONS = 4


@pytest.mark.parametrize(
    ("count", "batch_records", "workers"),
    [
        (2_000, 50, 1),
        (2_000, 5_000, 3),
        *(
            pytest.param(20_000, b, w, marks=[pytest.mark.full, pytest.mark.timeout(900)])
            for b in (50, 5_000)
            for w in (1, 3)
        ),
    ],
)
def test_served_predictions_equal_those_of_driver_and_bare_loop(
    flights: Callable[[int], Any],
    start: Callable[..., Any],
    until: Callable[..., Any],
    same: Callable[..., None],
    equal: Callable[..., None],
    count: int,
    batch_records: int,
    workers: int,
) -> None:
    system = flights(PARTITIONS)
    system.load(count)
    team = [
        start("worker", "flights", "--slot", str(slot), DOA_BATCH_RECORDS_MAX=batch_records)
        for slot in range(workers)
    ]
    expected = system.undisturbed()

    def finished() -> bool:
        for worker in team:
            worker.check()
        return bool(system.finished())

    until("all events committed", finished, 600)
    assert [worker.end() for worker in team] == [0] * workers
    same(system.contents(), expected)
    equal(lambda kind: system.read(kind)[kind], loops(count))


@cache
def loops(count: int) -> list[LoopResult]:
    airports: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for origin in ("EWR", "JFK", "LGA"):
        airports[partition_of(origin, PARTITIONS)].append(origin)
    assert airports == [["LGA"], ["JFK"], [], ["EWR"]]
    timeline = read_timeline(count)
    return run_partitioned(list(timeline.records(0)), timeline.last_ms + CLOSING_MS, airports)
