"""The records of the tide gauges. Everything is keyed by the gauge."""

from __future__ import annotations

from schemas.record import Record, Stream, field

OWNER = "harbour"


class Reading(
    Record,
    stream=Stream("tides.event.reading", "gauge", "measured_ms", OWNER, unique="reading_id"),
):
    """A gauge measures how high the water stands."""

    reading_id: str = field("Name of this reading, given by the gauge.")
    gauge: str = field("The gauge.", pattern="^[A-Z]{3}$")
    measured_ms: int = field("When it was measured.", unit="ms", ge=0)
    level: float = field("Height of the water above chart datum.", unit="m", ge=-20, le=20)


class HourLevel(Record, stream=Stream("tides.feature.level", "gauge", "closed_ms", OWNER)):
    """How high the water stood in an hour."""

    gauge: str = field("The gauge.", pattern="^[A-Z]{3}$")
    closed_ms: int = field("When the hour ended; it began with its first reading.", unit="ms", ge=0)
    readings: int = field("Readings within the hour.", ge=1)
    level: float = field("Their mean height above chart datum.", unit="m", ge=-20, le=20)


class FloodAlert(Record, stream=Stream("tides.alert.flood", "gauge", "closed_ms", OWNER)):
    """The water stood too high for an hour."""

    gauge: str = field("The gauge.", pattern="^[A-Z]{3}$")
    closed_ms: int = field("When the hour ended.", unit="ms", ge=0)
    excess: float = field("How far the mean was above the quay.", unit="m", ge=0, le=20)


class OpenHour(Record):
    """The readings of one gauge since its hour began."""

    gauge: str = field("The gauge.")
    readings: int = field("Readings so far.", ge=1)
    total: float = field("Sum of their heights.", unit="m")
    last: float = field("Height of the last.", unit="m")
