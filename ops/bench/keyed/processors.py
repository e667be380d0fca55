"""The only processor of the flow `keyed`."""

from __future__ import annotations

from ops.bench.hop.processors import feature_of
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
    noise, count = (reading.noise, 0) if before is None else (before.noise, before.readings)
    return Before(readings=count + 1, noise=reading.noise), [feature_of(reading, noise)]
