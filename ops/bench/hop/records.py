"""What goes into a hop and what comes out: about 90 bytes each, keyed by the sensor."""

from __future__ import annotations

from schemas.record import Record, Stream, field

OWNER = "bench"


class Reading(Record, stream=Stream("hop.event.reading", "sensor", "measured_ms", OWNER)):
    """What a sensor measured at one instant."""

    sensor: str = field("The sensor.")
    site: str = field("Where it stands.")
    measured_ms: int = field("When it was measured.", unit="ms", ge=0)
    number: int = field("Position of the reading in the run.", ge=0)
    temperature: float = field("Air temperature.", unit="degC", ge=-100, le=100)
    humidity: float = field("Relative humidity.", unit="percent", ge=0, le=100)
    pressure: float = field("Air pressure.", unit="mbar", ge=800, le=1_100)
    wind: float = field("Mean wind speed.", unit="m/s", ge=0, le=120)
    light: float = field("Illuminance.", unit="lux", ge=0, le=200_000)
    noise: float = field("Sound level.", unit="dB", ge=0, le=200)


class Feature(Record, stream=Stream("hop.feature.reading", "sensor", "measured_ms", OWNER)):
    """What follows from a reading alone."""

    sensor: str = field("The sensor.")
    site: str = field("Where it stands.")
    measured_ms: int = field("When it was measured.", unit="ms", ge=0)
    number: int = field("Position of the reading in the run.", ge=0)
    mean: float = field("Mean of the six measurements, whatever their units.", unit="1")
    spread: float = field("The largest of them minus the smallest.", ge=0)
    magnitude: float = field("The root of the sum of their squares.", ge=0)
    surprise: float = field(
        "How far the last lies from the mean, as a share of the spread.", unit="1"
    )
