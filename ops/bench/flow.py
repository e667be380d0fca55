"""The flights flow through real Kafka against the bare loop: the same functions, events and
figures, in one run.

What the streams add is fetching, decoding, bounds, lineage, state, encoding and transactions; the
ratio says what that costs.
The streams' time is taken from the first commit of the worker to the last, scaled to all events:
starting up is not counted on either
side, preloading the loop's events is not either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ops import apply as applying
from ops.connect import Connection, connect
from ops.demo import run, watch
from ops.output import say
from streams.broker import Cluster
from streams.errors import StreamsError
from streams.replay import SourceLoop
from streams.settings import Settings
from streams.topology import Flow, Topology

NAMESPACE = "bench"
POLL_S = 1.0  # each look costs the broker time that the worker would have
LOOP = """
import json, sys
from ops.bench.loop import Counting
from processors.nycflights.replay import CLOSING_MS, read_timeline
timeline = read_timeline(int(sys.argv[1]))
loop = Counting(timeline.records(0))
loop.take(len(timeline) // 2)
print(loop.seconds, flush=True)
sys.stdin.read()
loop.take(len(timeline))
loop.close(timeline.last_ms + CLOSING_MS)
print(json.dumps({"seconds": loop.seconds, "predictions": loop.predictions}))
"""


def bench_flow(topology: Topology, flights: int) -> dict[str, Any]:
    """Rates of both in flights/s, and their ratio."""
    connect()  # say what is missing now, and not after minutes of the bare loop
    with _bare_loop(flights) as loop:
        say(f"bare loop, the first half of the events of {flights:,} flights")
        first = float(_line(loop))
        say(f"bare loop: {first:,.0f} s for a half; now the streams")
        streams = _streams(topology, flights)
        say(f"streams: {streams['seconds']:,.0f} s for all; now the other half of the bare loop")
        assert loop.stdin is not None
        loop.stdin.close()
        bare = json.loads(_line(loop))
    rates = {"streams": flights / streams["seconds"], "river_loop": flights / bare["seconds"]}
    return {
        "flights": flights,
        "rates": {name: round(rate, 1) for name, rate in rates.items()},
        "ratios": {"river_loop": round(rates["streams"] / rates["river_loop"], 3)},
        "seconds": {
            "streams": round(streams["seconds"], 2),
            "river_loop": round(bare["seconds"], 2),
        },
        "worker_rss_mb": streams["rss_mb"],
        "worker_rss_mb_max": max(streams["rss_mb"].values(), default=None),
        "predictions": {"streams": streams["predictions"], "river_loop": bare["predictions"]},
    }


@contextmanager
def _bare_loop(flights: int) -> Iterator[subprocess.Popen[str]]:
    """The bare loop in a process of its own, which rests half way until its input is closed: so
    the streams run between its halves, and a machine whose speed drifts is fair to both.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(flights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    """What the loop says next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise StreamsError(f"the bare loop ended with {process.wait()}")
    return line


def _streams(topology: Topology, flights: int) -> dict[str, Any]:
    flow, source_flow = topology.flow(run.FLOW), topology.flow(run.SOURCE_FLOW)
    connection = begin_anew(topology, flow, source_flow)
    loop = SourceLoop(
        topology,
        source_flow,
        source_flow.sources[0],
        connection.cluster,
        connection.registry,
        flights=flights,
    )
    loop.run()
    ends = watch.sealed_ends(flow, connection)
    team = run.Workers(1, connection)
    team.begin()
    try:
        measured = _measure(connection, topology, ends, team)
    finally:
        team.stop()
    counts = watch.written(topology, connection)
    predictions = sum(n for t, n in counts.items() if ".prediction." in t)
    return {**measured, "predictions": predictions}


def _measure(
    connection: Connection, topology: Topology, ends: dict[tuple[str, int], int], team: run.Workers
) -> dict[str, Any]:
    flow = topology.flow(run.FLOW)
    total = sum(ends.values())
    first: tuple[float, int] | None = None
    rss_mb: dict[str, float] = {}
    while True:
        team.check()
        done = watch.committed(flow, connection)
        now, count = time.monotonic(), sum(done.values())
        rss_mb[f"{min(count * 10 // total, 10) * 10} %"] = team.rss_mb_max
        if first is None and count:
            first = (now, count)
        if first is not None and all(done.get(p, 0) >= e for p, e in ends.items()):
            share = (total - first[1]) / total
            return {"seconds": (now - first[0]) / share, "rss_mb": rss_mb}
        time.sleep(POLL_S)


def begin_anew(topology: Topology, *flows: Flow) -> Connection:
    """The cluster, under a namespace of the bench's own, where nothing is left of these flows."""
    connection = connect()
    settings = Settings(namespace=NAMESPACE)
    cluster = Cluster(connection.cluster.bootstrap, settings)
    for one in flows:
        applying.reset(topology, one, cluster, inputs_too=True, group_too=False)
    changes = applying.plan_changes(topology, cluster, connection.registry, 1)
    applying.apply(topology, cluster, connection.registry, changes, None)
    return replace(connection, cluster=cluster, settings=settings)
