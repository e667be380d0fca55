"""How long a worker needs to take back a unit with many keys.

The changelog is what a unit of the flights flow would have written, had so many flights been in the
air: one record per key, each with a deadline and a parent. What is timed is what a worker does
after it was given the partition: reading all of it, and building the entries and their timers.
"""

from __future__ import annotations

import gc
import time
from contextlib import closing
from typing import Any

import psutil

from ops.bench.flow import begin_anew
from ops.connect import Connection
from ops.output import say
from processors.flights.known import Left
from streams.clients import put
from streams.lineage import FOREIGN, place, varint
from streams.plan import Plan
from streams.restore import expectation, restore
from streams.steps import FoldStep
from streams.topology import Topology
from streams.unit import Unit

FLOW, STEP, TABLE = "flights", "features", "left"
NOW_MS = 1_357_000_000_000
MEGABYTE = 1e6


def bench_restore(topology: Topology, keys: int) -> dict[str, Any]:
    """Seconds, keys/s, what the worker would have promised, and the memory that it took."""
    flow = topology.flow(FLOW)
    connection = begin_anew(topology, flow)
    plan = Plan(flow, connection.registry, connection.settings.namespace, connection.keys)
    say(f"writing the state of {keys:,} keys")
    _write(connection, plan, keys)
    say(f"{expectation(keys)}; now it is timed")
    unit = Unit(plan, 0, 1)
    before = psutil.Process().memory_info().rss
    gc.freeze()
    gc.disable()  # as the loop of a worker does
    began = time.perf_counter()
    with closing(connection.cluster.log()) as log:
        restore(unit, log)
    seconds = time.perf_counter() - began
    gc.enable()
    found = len(_store(unit).entries)
    assert found == keys == len(unit.timers), f"{found} entries, {len(unit.timers)} timers"
    return {
        "keys": keys,
        "seconds": round(seconds, 2),
        "keys_per_second": round(keys / seconds),
        "promised": expectation(keys),
        "rss_mb": round((psutil.Process().memory_info().rss - before) / MEGABYTE),
    }


def _write(connection: Connection, plan: Plan, keys: int) -> None:
    unit = Unit(plan, 0, 1)
    store = _store(unit)
    left = place("flights.event.departure", 0, FOREIGN)
    for number in range(keys):
        trigger = (left + varint(number), left, number)
        store.create(f"2013-01-01.UA.{number}.EWR", Left(delay_minutes=7.0), NOW_MS, trigger)
    producer = connection.cluster.producer()
    for topic, key, value, headers in unit.flush():
        put(producer, topic, value, key, 0, headers=headers)
    left_over = producer.flush(connection.settings.restore_timeout_s)
    assert left_over == 0, f"{left_over} records were not written"


def _store(unit: Unit) -> Any:
    step = next(s for s in unit.steps if s.name == STEP)
    assert isinstance(step, FoldStep), "features is a fold"
    return next(s for s in step.stores if s.table.name == TABLE)
