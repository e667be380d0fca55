"""The raw events of the flights domain: what airports, airlines and weather stations publish.

Any producer may publish here. Every event repeats what it takes to understand it alone (carrier,
route, schedule), so that no processor has to look anything up. All streams are keyed by the airport
of departure.
"""

from __future__ import annotations

from typing import Any

from schemas.record import Record, Stream, field

OWNER = "flights"
TIME_MS_MIN = 946_684_800_000
TIME_MS_MAX = 4_102_444_800_000


def flight_id() -> Any:
    """The field that names a flight: `2013-01-31.UA.1545.EWR`."""
    return field(
        "Scheduled local date, carrier, flight number and airport of departure of the flight.",
        pattern=r"^\d{4}-\d\d-\d\d\.[A-Z0-9]{2}\.\d{1,4}\.[A-Z]{3}$",
    )


def airport(doc: str) -> Any:
    """The field that names an airport by its IATA code."""
    return field(doc, pattern="^[A-Z]{3}$")


def instant(doc: str) -> Any:
    """The field that holds an instant, in ms since 1970-01-01 UTC."""
    return field(doc, unit="ms", ge=TIME_MS_MIN, le=TIME_MS_MAX)


class Weather(Record, stream=Stream("flights.event.weather", "origin", "observed_ms", OWNER)):
    """What the weather station of an airport measured in the hour that ends at `observed_ms`."""

    origin: str = airport("Airport of the station.")
    observed_ms: int = instant("End of the hour that was observed.")
    temperature: float | None = field("Air temperature.", unit="degF", ge=-80, le=140, default=None)
    dew_point: float | None = field("Dew point.", unit="degF", ge=-80, le=140, default=None)
    humidity: float | None = field("Relative humidity.", unit="percent", ge=0, le=100, default=None)
    wind_direction: float | None = field(
        "Direction the wind blows from.", unit="degree", ge=0, le=360, default=None
    )
    wind_speed: float | None = field(
        "Mean wind speed.", unit="mile/h", ge=0, le=2_000, default=None
    )
    wind_gust: float | None = field("Speed of gusts.", unit="mile/h", ge=0, le=2_000, default=None)
    precipitation: float | None = field(
        "Precipitation in the hour.", unit="inch", ge=0, le=20, default=None
    )
    pressure: float | None = field(
        "Sea-level pressure.", unit="mbar", ge=800, le=1_100, default=None
    )
    visibility: float | None = field("Visibility.", unit="mile", ge=0, le=100, default=None)


class Schedule(
    Record,
    stream=Stream("flights.event.schedule", "origin", "published_ms", OWNER, unique="flight_id"),
):
    """An airline confirms a flight, two hours before its scheduled departure."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    published_ms: int = instant("When the flight was confirmed.")
    destination: str = airport("Airport of arrival.")
    carrier: str = field("IATA code of the airline.", pattern="^[A-Z0-9]{2}$")
    tail: str | None = field(
        "Registration of the aircraft.", pattern="^[A-Z0-9]{2,8}$", default=None
    )
    distance: float = field("Great-circle distance.", unit="mile", ge=0, le=12_000)
    scheduled_departure_ms: int = instant("Scheduled departure.")
    scheduled_arrival_ms: int = instant("Scheduled arrival.")
    departure_minute: int = field(
        "Scheduled departure, local time of day.", unit="minute", ge=0, le=1_439
    )
    weekday: int = field("Local weekday of scheduled departure, Monday is 0.", ge=0, le=6)
    year_day: int = field("Local day of the year of scheduled departure.", unit="day", ge=1, le=366)


class Departure(
    Record,
    stream=Stream("flights.event.departure", "origin", "departed_ms", OWNER, unique="flight_id"),
):
    """A flight left the gate."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    departed_ms: int = instant("When the flight left.")
    delay_minutes: float = field(
        "Departure later than scheduled.", unit="minute", ge=-1_440, le=2_880
    )
    destination: str = airport("Airport of arrival.")
    carrier: str = field("IATA code of the airline.", pattern="^[A-Z0-9]{2}$")
    tail: str | None = field(
        "Registration of the aircraft.", pattern="^[A-Z0-9]{2,8}$", default=None
    )
    distance: float = field("Great-circle distance.", unit="mile", ge=0, le=12_000)
    scheduled_departure_ms: int = instant("Scheduled departure.")
    scheduled_arrival_ms: int = instant("Scheduled arrival.")
    departure_minute: int = field(
        "Scheduled departure, local time of day.", unit="minute", ge=0, le=1_439
    )
    weekday: int = field("Local weekday of scheduled departure, Monday is 0.", ge=0, le=6)
    year_day: int = field("Local day of the year of scheduled departure.", unit="day", ge=1, le=366)


class Arrival(
    Record,
    stream=Stream("flights.event.arrival", "origin", "arrived_ms", OWNER, unique="flight_id"),
):
    """A flight reached a gate: that of its destination, or another one when it was diverted."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    arrived_ms: int = instant("When the flight arrived.")
    delay_minutes: float | None = field(
        "Arrival later than scheduled; null when diverted.",
        unit="minute",
        ge=-1_440,
        le=2_880,
        default=None,
    )
    diverted: bool = field("Whether the flight ended elsewhere than planned.")
    destination: str = airport("Airport of arrival as planned.")
    carrier: str = field("IATA code of the airline.", pattern="^[A-Z0-9]{2}$")
    tail: str | None = field(
        "Registration of the aircraft.", pattern="^[A-Z0-9]{2,8}$", default=None
    )
    departure_minute: int = field(
        "Scheduled departure, local time of day.", unit="minute", ge=0, le=1_439
    )


class Cancellation(
    Record,
    stream=Stream(
        "flights.event.cancellation", "origin", "cancelled_ms", OWNER, unique="flight_id"
    ),
):
    """An airline cancels a flight; assumed to be known six hours after its scheduled departure."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    cancelled_ms: int = instant("When the cancellation was published.")
