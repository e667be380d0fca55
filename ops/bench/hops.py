"""One hop, decode, compute, encode, produce, by us and by others: the same topic, the same records,
by turns in one run.

Each engine gets a window of time and not a number of records, so a slow one does not hold up the
rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ops.bench.engines import DOA, Engine
from ops.bench.track import Round, Track
from ops.output import say


def bench_hop(
    engines: Sequence[Engine], records: int, rounds: int, window_s: float
) -> dict[str, Any]:
    """Rates in records/s and CPU in us per record, medians of all rounds; ratios of ours to
    theirs.
    """
    track = Track(records)
    versions = {engine.name: engine.version(track.home) for engine in engines}
    track.prepare()
    done: dict[str, list[Round]] = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            found = track.run(engine, number, window_s)
            done[engine.name].append(found)
            say(f"round {number + 1}, {engine.name}: {found.rate:,.0f} records/s")
    rates = _medians(done, "rate")
    return {
        "records": records,
        "rounds": rounds,
        "guarantees": {engine.name: engine.guarantee for engine in engines},
        "versions": versions,
        "rates": {name: round(rate) for name, rate in rates.items()},
        "spread": {
            name: [round(min(one.rate for one in all_)), round(max(one.rate for one in all_))]
            for name, all_ in done.items()
        },
        "cpu_us_per_record": _rounded(_medians(done, "cpu_us")),
        "broker_cpu_us_per_record": _rounded(_medians(done, "broker_us")),
        "ratios": {
            name: round(rates[DOA.name] / rate, 2)
            for name, rate in rates.items()
            if name != DOA.name and DOA.name in rates
        },
    }


def _medians(done: dict[str, list[Round]], figure: str) -> dict[str, float]:
    return {n: statistics.median(getattr(one, figure) for one in all_) for n, all_ in done.items()}


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 1) for name, figure in figures.items()}
