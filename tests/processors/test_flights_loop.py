from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ops.bench.loop import run, run_partitioned
from processors.nycflights.replay import events
from streams.driver import CRASH, Driver
from streams.partition import partition_of
from streams.processor import Clock
from streams.topology import discover

CLOSING_MS = 1_357_700_000_000  # 2013-01-09, more than four days after the last of the flights

HASHED = """
import hashlib
from ops.bench.loop import run
from processors.nycflights.replay import events
print(hashlib.sha256(repr(run(events(600), 0).predictions).encode()).hexdigest())
"""


def test_runtime_equals_the_bare_loop_float_for_float_through_crashes(
    equal: Callable[..., None],
) -> None:
    history: list[Any] = list(events(2_000))
    third = len(history) // 3
    items = [*history[:third], CRASH, *history[third:-third], CRASH, *history[-third:]]
    driver = Driver(discover().flow("flights"), batch_records=700).run([*items, Clock(CLOSING_MS)])
    result = run(history, CLOSING_MS)
    assert len(result.predictions) > 3_900
    assert driver.dead_letters == []
    equal(driver.read, [result])


@pytest.mark.parametrize("batch_records", [50, 5_000])
def test_runtime_equals_loops_that_are_partitioned_alike(
    batch_records: int, equal: Callable[..., None]
) -> None:
    history: list[Any] = list(events(800))
    driver = Driver(discover().flow("flights"), partitions=4, batch_records=batch_records)
    driver.run([*history, Clock(CLOSING_MS)])
    partitions: list[list[str]] = [[], [], [], []]
    for origin in ("EWR", "JFK", "LGA"):
        partitions[partition_of(origin, 4)].append(origin)
    assert sorted(map(len, partitions)) == [0, 1, 1, 1]
    equal(driver.read, run_partitioned(history, CLOSING_MS, partitions))


def test_predictions_do_not_depend_on_the_hash_seed() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASHED],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
