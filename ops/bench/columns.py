"""A stream as a table: ours, by columns, against the loop that anyone would write.

The loop consumes, decodes each value with fastavro, and makes a table of the list of dicts. It uses
the same client of Kafka with the same settings, looks up no schema, and keeps no coordinates. Both
read the same topic by turns, in one process.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa

from ops.bench.hop.records import Reading as Measured
from ops.bench.track import Track
from ops.frames import Reading
from ops.output import say
from schemas.derive import avro_schema
from streams.clients import places
from streams.columns.fetched import FETCH_RECORDS, OPTIONS, Fetch
from streams.columns.types import wanted_columns
from streams.extent import extent_now
from streams.outline import outline
from streams.plain import without_logical_types
from streams.topology import stream_of

TOPIC = stream_of(Measured).topic
VALUES = tuple(Measured.model_fields)
TWO = ("measured_ms", "temperature")
MICRO = 1e6


def bench_columns(records: int, rounds: int) -> dict[str, Any]:
    """Microseconds per record of each side by the clock and of CPU (that of Kafka's client is
    part of it), medians of all rounds; and how many times as fast as the loop ours is.
    """
    track = Track(records)
    track.prepare()
    sides = _sides(track)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    worked: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            gc.collect()
            began, worked_before = time.perf_counter(), time.process_time()
            count = side()
            taken[name].append((time.perf_counter() - began) / records * MICRO)
            worked[name].append((time.process_time() - worked_before) / records * MICRO)
            assert count == records, f"{name} read {count} of {records} records"
            say(f"round {number + 1}, {name}: {taken[name][-1]:.2f} us per record")
    micros = {name: statistics.median(all_) for name, all_ in taken.items()}
    return {
        "records": records,
        "rounds": rounds,
        "us_per_record": {name: round(one, 2) for name, one in micros.items()},
        "cpu_us_per_record": {n: round(statistics.median(one), 2) for n, one in worked.items()},
        "spread": {n: [round(min(one), 2), round(max(one), 2)] for n, one in taken.items()},
        "ratios": {
            name: round(micros["loop"] / one, 2)
            for name, one in micros.items()
            if name not in ("loop", "fetching alone")
        },
    }


def _sides(track: Track) -> dict[str, Callable[[], int]]:
    known = outline(track.topology)

    def ours(names: tuple[str, ...] | None) -> Callable[[], int]:
        def side() -> int:
            extent = extent_now(track.cluster, TOPIC)
            wanted = wanted_columns(Measured, names)
            reading = Reading(track.connection, known, extent, wanted)
            return int(reading.batches().read_all().num_rows)

        return side

    return {
        "loop": lambda: _loop(track),
        "all columns": ours(None),
        "its fields": ours(VALUES),
        "two fields": ours(TWO),
        "fetching alone": lambda: _fetching(track),
    }


def _loop(track: Track) -> int:
    """What a plain loop makes of the topic."""
    schema = fastavro.parse_schema(without_logical_types(avro_schema(Measured)))
    with closing(track.cluster.consumer("doa-bench-loop", **OPTIONS)) as consumer:
        consumer.assign(places({(track.source, 0): 0}))
        found: list[Any] = []
        ended = False
        while not ended:
            for one in consumer.consume(FETCH_RECORDS, 0.1):
                if one.error() is not None:
                    ended = True
                else:
                    body = BytesIO((one.value() or b"")[5:])
                    found.append(fastavro.schemaless_reader(body, schema, None))
        return int(pa.Table.from_pylist(found).num_rows)


def _fetching(track: Track) -> int:
    """What both sides have to do: take values from Kafka's client."""
    [(first, end)] = extent_now(track.cluster, TOPIC).partitions.values()
    with closing(Fetch(track.cluster)) as fetch:
        found = fetch.batches(track.source, 0, first, end, set())
        return sum(len(one.values) for one in found)
