"""The flights flow through real Kafka against the bare loop: the same functions, events and
figures, in one run.

What the streams add is fetching, decoding, bounds, lineage, state, encoding and transactions; the
ratio says what that costs.
The streams' time is taken from the first commit of the worker to the last, scaled to all events:
starting up is not counted on either side, preloading the loop's events is not either. Both sides
work by turns, the worker being suspended while the loop works: a machine whose speed drifts is fair
to both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from ops import apply as applying
from ops.connect import Connection, connect
from ops.demo import run, watch
from ops.output import say
from streams.errors import StreamsError
from streams.replay import SourceLoop
from streams.settings import Settings
from streams.topology import Flow, Topology

NAMESPACE = "bench"
POLL_S = 1.0  # each look costs the broker time that the worker would have
TURNS = 160  # so many that the worker, while it is suspended, is missed by nobody
PATIENT = {  # the worker is suspended now and then, which its transactions count as time
    "DOA_BATCH_MS_MAX": "4000",
    "DOA_SESSION_TIMEOUT_MS": "60000",
    "DOA_TRANSACTION_TIMEOUT_MS": "60000",
}
LOOP = """
import json, sys
from ops.bench.loop import Counting
from processors.nycflights.replay import CLOSING_MS, read_timeline
timeline = read_timeline(int(sys.argv[1]))
loop = Counting(timeline.records(0))
print("ready", flush=True)
for _ in sys.stdin:
    loop.take(-(-len(timeline) // int(sys.argv[2])))
    print("taken", flush=True)
loop.close(timeline.last_ms + CLOSING_MS)
print(json.dumps({"seconds": loop.seconds, "predictions": loop.predictions}))
"""


def bench_flow(topology: Topology, flights: int) -> dict[str, Any]:
    """Rates of both in flights/s, and their ratio."""
    connect()  # say what is missing now, and not after a while
    with _BareLoop(flights) as loop:
        streams = _streams(topology, flights, loop)
        bare = loop.end()
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


class _BareLoop:
    """The bare loop in a process of its own, which takes its events in `TURNS` parts, each when it
    is asked to.
    """

    def __init__(self, flights: int) -> None:
        self.turns = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(flights), str(TURNS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> _BareLoop:
        self._line()
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            process.kill()

    def turn(self) -> None:
        """Take the next part."""
        self.turns += 1
        self._asks.write("\n")
        self._asks.flush()
        self._line()

    def end(self) -> dict[str, Any]:
        """Take what is left; what came of it all."""
        while self.turns < TURNS:
            self.turn()
        self._asks.close()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _line(self) -> str:
        line = self._answers.readline()
        if not line:
            raise StreamsError(f"the bare loop ended with {self._process.wait()}")
        return line


def _streams(topology: Topology, flights: int, loop: _BareLoop) -> dict[str, Any]:
    flow, source_flow = topology.flow(run.FLOW), topology.flow(run.SOURCE_FLOW)
    connection = begin_anew(topology, flow, source_flow)
    say(f"writing the events of {flights:,} flights")
    SourceLoop(
        topology,
        source_flow,
        source_flow.sources[0],
        connection.cluster,
        connection.registry,
        flights=flights,
    ).run()
    ends = watch.sealed_ends(flow, connection)
    team = run.Workers(1, connection, PATIENT)
    team.begin()
    try:
        measured = _measure(connection, topology, ends, team, loop)
    finally:
        team.stop()
    counts = watch.written(topology, connection)
    predictions = sum(n for t, n in counts.items() if ".prediction." in t)
    return {**measured, "predictions": predictions}


def _measure(
    connection: Connection,
    topology: Topology,
    ends: dict[tuple[str, int], int],
    team: run.Workers,
    loop: _BareLoop,
) -> dict[str, Any]:
    flow = topology.flow(run.FLOW)
    total = sum(ends.values())
    rested_s = 0.0
    first: tuple[float, int] | None = None
    rss_mb: dict[str, float] = {}
    while True:
        team.check()
        done = watch.committed(flow, connection)
        now, count = time.monotonic() - rested_s, sum(done.values())
        rss_mb[f"{min(count * 10 // total, 10) * 10} %"] = team.rss_mb_max
        if first is None and count:
            first = (now, count)
        if first is not None and all(done.get(p, 0) >= e for p, e in ends.items()):
            share = (total - first[1]) / total
            return {"seconds": (now - first[0]) / share, "rss_mb": rss_mb}
        if first is not None and _behind(loop, count / total):
            began = time.monotonic()
            with team.suspended():
                while _behind(loop, count / total):
                    loop.turn()
            rested_s += time.monotonic() - began
            say(f"{count / total:.0%} of the streams, after {now - first[0]:,.0f} s of theirs")
        time.sleep(POLL_S)


def _behind(loop: _BareLoop, share: float) -> bool:
    return loop.turns < TURNS and loop.turns <= share * TURNS


def begin_anew(topology: Topology, *flows: Flow) -> Connection:
    """The cluster, under a namespace of the bench's own, where nothing is left of these flows."""
    connection = connect(Settings(namespace=NAMESPACE))
    cluster = connection.cluster
    for one in flows:
        applying.reset(topology, one, cluster, inputs_too=True, group_too=False)
    changes = applying.plan_changes(topology, cluster, connection.registry, 1)
    applying.apply(topology, cluster, connection.registry, changes, None)
    return connection
