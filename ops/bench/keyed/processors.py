"""The only processor of the flow `keyed`."""

from __future__ import annotations

from ops.bench.hop.formula import derived
from ops.bench.hop.records import Feature, Reading
from schemas.record import Record, field
from streams.processor import fold


class Before(Record):
    """What is known of a sensor."""

    readings: int = field("How many readings there were.", ge=0)
    noise: float = field("The last noise.", unit="dB", ge=0)


@fold(reads=Reading, writes=Feature, state=Before, key="sensor", parents="latest")
def keyed(before: Before | None, reading: Reading) -> tuple[Before, list[Feature]]:
    """Say what follows from a reading and the noise before it."""
    mean, spread, magnitude, surprise = derived(
        reading.temperature,
        reading.humidity,
        reading.pressure,
        reading.wind,
        reading.light,
        reading.noise if before is None else before.noise,
    )
    feature = Feature(
        sensor=reading.sensor,
        site=reading.site,
        measured_ms=reading.measured_ms,
        number=reading.number,
        mean=mean,
        spread=spread,
        magnitude=magnitude,
        surprise=surprise,
    )
    count = 0 if before is None else before.readings
    return Before(readings=count + 1, noise=reading.noise), [feature]
