"""Does a record cost more the more came before it, the more partitions or streams there are, or the
more keys are remembered?

One worker takes a whole log of readings. What is told is the CPU that a record costs it, in a
stretch of the log before which all there is to remember has been seen.

With more keys more is written, too: of a batch, the changelog gets one record of each key. So for
keys the same is also told by record moved: read, written as an output, or to the changelog; and of
a bare loop, which remembers as much in a dictionary and writes each key once per batch, too.
"""

from __future__ import annotations

import statistics
from typing import Any

from ops.bench.engines import DOA, KEYED_LOOP, Engine
from ops.bench.track import Track
from ops.bench.wide import STREAMS as MANY_STREAMS
from ops.output import say

KEYED, WIDE = "ops.bench.keyed", "ops.bench.wide"
MORE_PARTITIONS = (8, 64)
KEYS = (1, 1_000, 20_000, 1_000_000)  # from the third on, each record of a batch has its own
FIRST_MARK, MARKS_APART = 10_000, 10
SHORT_RUNS = 4  # of all but the longest stretch
KEYED_RUNS = 3
SETTLED_SHARE = 0.7  # of a log, after which its costs are taken


def bench_growth(records: int, most: int) -> dict[str, Any]:
    """CPU in us per record by what grows, and for each the largest over the smallest."""
    hop = _settled(Track(records, "growth_hop"))  # one partition, two streams
    by_keys, loop_by_keys, by_moved = _by_keys(records)
    found = {
        "records": _by_records(most),
        "partitions": {
            1: hop,
            **{n: _settled(Track(records, f"growth_p{n}", n)) for n in MORE_PARTITIONS},
        },
        "streams": {
            2: hop,
            MANY_STREAMS: _settled(Track(records, "growth_wide", package=WIDE)),
        },
        "keys": by_keys,
        "keys_by_record_moved": by_moved,
        "keys_of_a_bare_loop": loop_by_keys,
    }
    return {
        "cpu_us_per_record": {
            name: {str(size): round(cost, 1) for size, cost in costs.items()}
            for name, costs in found.items()
        },
        "largest_over_smallest": {
            name: round(max(costs.values()) / min(costs.values()), 2)
            for name, costs in found.items()
        },
    }


def _by_records(most: int) -> dict[int, float]:
    """Costs in the stretches that end at 10 to the 5th, 6th, ... of one log, medians of several
    runs but for the last.
    """
    marks = [FIRST_MARK]
    while marks[-1] * MARKS_APART < most:
        marks.append(marks[-1] * MARKS_APART)
    marks.append(most)
    track = Track(most, "growth_records")
    track.prepare()
    runs = [track.costs(marks)]
    if len(marks) > 2:
        runs += [track.costs(marks[:-1]) for _ in range(SHORT_RUNS)]
    return {
        mark: statistics.median(run[number] for run in runs if number < len(run))
        for number, mark in enumerate(marks[1:])
    }


def _by_keys(records: int) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
    """Costs of ours, of a bare loop, and of ours by record moved: medians of runs by turns."""
    tracks = [
        Track(records, f"growth_k{n}", package=KEYED, sensors=n)
        for n in KEYS
        if n <= records * SETTLED_SHARE
    ]
    ours: dict[int, list[float]] = {track.sensors: [] for track in tracks}
    theirs: dict[int, list[float]] = {track.sensors: [] for track in tracks}
    for _ in range(KEYED_RUNS):
        for track in tracks:
            ours[track.sensors].append(_settled(track))
            theirs[track.sensors].append(_settled(track, KEYED_LOOP))
    medians, loop_medians = (
        {keys: statistics.median(costs) for keys, costs in found.items()}
        for found in (ours, theirs)
    )
    by_moved = {track.sensors: medians[track.sensors] / _moved(track) for track in tracks}
    return medians, loop_medians, by_moved


def _moved(track: Track) -> float:
    """Records that were read, written as outputs, or to the changelog, by record read."""
    written = [track.target, track.plan.topic(track.flow.changelog)]
    return 1 + sum(map(track.count, written)) / track.records


def _settled(track: Track, engine: Engine = DOA) -> float:
    track.prepare()
    [cost] = track.costs([int(track.records * SETTLED_SHARE), track.records], engine)
    what = f"{track.partitions} partitions, {track.sensors:,} keys"
    say(f"{engine.name}, {track.flow.name}, {what}: {cost:.1f} us a record")
    return cost
