"""How soon a worker is back: from its start to what it writes first, and how long it needs to take
back a unit with so many keys, how much memory that takes, how much changelog.

The changelog is what a unit of the flights flow would have written, had so many flights been in the
air: one record per key, each with a deadline and a parent. What is timed is what a worker does
after it was given the partition: reading all of it, and building the entries and their timers. Each
size is taken back by a process of its own, whose memory has held nothing before.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from typing import Any

import psutil

from ops.bench.flow import NAMESPACE, begin_anew
from ops.bench.track import Track
from ops.connect import Connection, connect
from ops.output import say
from processors.flights.known import Left
from streams.clients import put
from streams.edge import Output
from streams.fold_step import FoldStep
from streams.lineage import FOREIGN, place
from streams.plan import Plan
from streams.restore import expectation, restore
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.unit import Unit
from streams.validation import checked
from streams.varint import varint

FLOW, STEP, TABLE = "flights", "features", "left"
NOW_MS = 1_357_000_000_000
MEGABYTE = 1e6
STARTS, STARTED_RECORDS, STARTED_NAMESPACE = 3, 1_000, "bench_start"


def bench_recovery(packages: Sequence[str], sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds until a worker with nothing behind it has written; and by number of keys the seconds
    to take them back, what the worker would have promised, the memory, and the bytes per key.
    """
    track = Track(STARTED_RECORDS, STARTED_NAMESPACE)
    track.prepare()
    starts = [track.first_output_s() for _ in range(STARTS)]
    say(f"a worker has written {statistics.median(starts):.1f} s after its start")
    return {
        "start_seconds": {
            "median": round(statistics.median(starts), 2),
            "max": round(max(starts), 2),
        },
        "keys": {str(keys): _recovery(packages, keys) for keys in sizes},
    }


def _recovery(packages: Sequence[str], keys: int) -> dict[str, Any]:
    topology = checked(discover(packages))
    connection = begin_anew(topology, topology.flow(FLOW))
    say(f"writing the state of {keys:,} keys")
    written = _write(connection, _plan(topology, connection), keys)
    say(f"{expectation(keys)}; now it is timed")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        seconds, rss = pool.submit(_restore, tuple(packages), keys).result()
    return {
        "seconds": round(seconds, 2),
        "keys_per_second": round(keys / seconds),
        "promised": expectation(keys),
        "rss_mb": round(rss / MEGABYTE),
        "rss_bytes_per_key": round(rss / keys),
        "changelog_bytes_per_key": round(written / keys),
    }


def _restore(packages: tuple[str, ...], keys: int) -> tuple[float, int]:
    """Seconds, and how many bytes of memory it took."""
    connection = connect(Settings(namespace=NAMESPACE))
    unit = Unit(_plan(checked(discover(packages)), connection), 0, 1)
    before = psutil.Process().memory_info().rss
    gc.freeze()
    gc.disable()  # as the loop of a worker does
    began = time.perf_counter()
    with closing(connection.cluster.log()) as log:
        restore(unit, log)
    seconds = time.perf_counter() - began
    found, first_ms = len(_store(unit).entries), unit.timers.next_ms
    assert found == keys, f"{found} entries"
    assert first_ms == NOW_MS + _store(unit).expires, "the first entry is due first"
    return seconds, psutil.Process().memory_info().rss - before


def _plan(topology: Topology, connection: Connection) -> Plan:
    flow, settings = topology.flow(FLOW), connection.settings
    return Plan(flow, connection.registry, settings.namespace, connection.keys)


def _write(connection: Connection, plan: Plan, keys: int) -> int:
    """Write the state of so many keys; how many bytes that are, before they are compressed."""
    unit = Unit(plan, 0, 1)
    store = _store(unit)
    left = place("flights.event.departure", 0, FOREIGN)
    for number in range(keys):
        trigger = (left + varint(number), left, number)
        store.create(
            f"2013-01-01.UA.{number}.EWR", Left(delay_minutes=7.0), NOW_MS + number, trigger
        )
    producer = connection.cluster.producer()
    outputs = list(unit.flush())
    for topic, key, value, headers in outputs:
        put(producer, topic, value, key, 0, headers=headers)
    left_over = producer.flush(connection.settings.restore_timeout_s)
    assert left_over == 0, f"{left_over} records were not written"
    return sum(map(_bytes_of, outputs))


def _bytes_of(output: Output) -> int:
    _, key, value, headers = output
    return len(key or "") + len(value or b"") + sum(len(n) + len(data) for n, data in headers)


def _store(unit: Unit) -> Any:
    step = next(s for s in unit.steps if s.name == STEP)
    assert isinstance(step, FoldStep), "features is a fold"
    return next(s for s in step.stores if s.table.name == TABLE)
