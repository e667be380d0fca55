"""What sensors have measured, made up: the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator

from ops.bench.hop.records import Reading

BEGAN_MS, STEP_MS, SENSORS, SEED = 1_357_000_000_000, 10, 20_000, 7


def readings(sensors: int = SENSORS) -> Iterator[Reading]:
    """The same readings in every run, for ever."""
    chance = random.Random(SEED)
    number = 0
    while True:
        sensor = number % sensors
        yield Reading(
            sensor=f"sensor-{sensor:05d}",
            site=f"site-{sensor % 40:02d}-north",
            measured_ms=BEGAN_MS + STEP_MS * number,
            number=number,
            temperature=chance.uniform(-20, 40),
            humidity=chance.uniform(0, 100),
            pressure=chance.uniform(950, 1_050),
            wind=chance.uniform(0, 30),
            light=chance.uniform(0, 100_000),
            noise=chance.uniform(20, 100),
        )
        number += 1
