"""What Kafka serves is what the driver computes, and what a plain loop computes, float for
float."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from ops.bench.loop import LoopResult, run_partitioned
from processors.nycflights.replay import CLOSING_MS, read_timeline
from schemas import flights_delay as delay
from schemas import flights_score as score
from streams.partition import partition_of

pytestmark = pytest.mark.broker

PARTITIONS = 4
STREAMS: dict[str, tuple[Any, ...]] = {
    "features": (delay.PlannedFeature, delay.DepartedFeature),
    "predictions": (delay.PlannedPrediction, delay.DepartedPrediction),
    "examples": (delay.PlannedExample, delay.DepartedExample),
    "censored": (delay.PlannedCensored, delay.DepartedCensored),
    "scores": (
        score.PlannedWindow, score.PlannedScore, score.DepartedWindow, score.DepartedScore,
    ),
    "drifts": (score.PlannedDrift, score.DepartedDrift),
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "batch_records", "workers"),
    [
        (3_000, 50, 1),
        (3_000, 5_000, 3),
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
    assert_equals_the_loop(system, loops(count))


@cache
def loops(count: int) -> list[LoopResult]:
    airports: list[list[str]] = [[] for _ in range(PARTITIONS)]
    for origin in ("EWR", "JFK", "LGA"):
        airports[partition_of(origin, PARTITIONS)].append(origin)
    assert airports == [["LGA"], ["JFK"], [], ["EWR"]]
    timeline = read_timeline(count)
    return run_partitioned(list(timeline.records(0)), timeline.last_ms + CLOSING_MS, airports)


def assert_equals_the_loop(system: Any, results: list[LoopResult]) -> None:
    """Compare decoded records, so that each float is compared as a float."""
    served = system.read(*(kind for kinds in STREAMS.values() for kind in kinds))
    assert all(served[kind] for kind in STREAMS["predictions"] + STREAMS["scores"])
    for name, kinds in STREAMS.items():
        for kind in kinds:
            expected = [r for result in results for r in getattr(result, name) if type(r) is kind]
            equal = served[kind] == expected
            assert equal, f"{kind.__name__}: {len(served[kind])} served, {len(expected)} expected"
