"""The only processor of the flow `hop`."""

from __future__ import annotations

from ops.bench.hop.formula import derived
from ops.bench.hop.records import Feature, Reading
from streams.processor import transform


@transform(reads=Reading, writes=Feature)
def hop(reading: Reading) -> list[Feature]:
    """Say what follows from a reading."""
    return [feature_of(reading, reading.noise)]


def feature_of(reading: Reading, noise: float) -> Feature:
    """What follows from a reading, had it this noise."""
    mean, spread, magnitude, surprise = derived(
        reading.temperature,
        reading.humidity,
        reading.pressure,
        reading.wind,
        reading.light,
        noise,
    )
    return Feature(
        sensor=reading.sensor,
        site=reading.site,
        measured_ms=reading.measured_ms,
        number=reading.number,
        mean=mean,
        spread=spread,
        magnitude=magnitude,
        surprise=surprise,
    )
