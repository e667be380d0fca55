"""What more workers gain: the hop over eight partitions and 20,000 keys, by one, two, four workers.

They share the cores of this machine with the broker, so the rate says how well they share; the CPU
that a record costs must not rise.
"""

from __future__ import annotations

from typing import Any

from ops.bench.readings import SENSORS
from ops.bench.track import Track
from ops.output import say

NAMESPACE, PARTITIONS = "bench_scale", 8


def bench_scale(records: int, teams: list[int], window_s: float) -> dict[str, Any]:
    """Records/s, and the workers' and the broker's CPU in us per record, by the number of workers;
    what records take on disk.
    """
    track = Track(records, NAMESPACE, PARTITIONS)
    track.prepare()
    found = {}
    for workers in teams:
        done = track.run_ours(workers, window_s)
        found[str(workers)] = {
            "records_per_second": round(done.rate),
            "cpu_us_per_record": round(done.cpu_us, 1),
            "broker_cpu_us_per_record": round(done.broker_us, 1),
        }
        say(f"{workers} workers: {done.rate:,.0f} records/s")
    return {
        "records": records,
        "partitions": PARTITIONS,
        "keys": SENSORS,
        "workers": found,
        "disk_bytes_per_record": {
            "in": round(track.disk_bytes(track.source), 1),
            "out": round(track.disk_bytes(track.target), 1),
        },
    }
