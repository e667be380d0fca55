"""What the flow `flights` derives about delays: features, predictions, and the examples that
compare both with what happened.

Each flight asks twice: *planned* when it is confirmed, *departed* when it leaves. A feature
record holds all that was known when the question was asked, the baselines included, so that
whatever is compared later was served at the same moment.
"""

from __future__ import annotations

from typing import Any, Literal

from schemas.flights import OWNER, airport, flight_id, instant
from schemas.record import Record, Stream, field

LATE_MINUTES = 15.0
MINUTES_MAX = 2_880.0


def share(doc: str, **options: Any) -> Any:
    """The field that holds a probability or a frequency."""
    return field(doc, ge=0, le=1, **options)


def delay(doc: str, **options: Any) -> Any:
    """The field that holds a delay; negative is early."""
    return field(doc, unit="minute", ge=-MINUTES_MAX, le=MINUTES_MAX, **options)


class Feature(Record):
    """What was known about a flight when its delay was asked for. Means are of clipped delays."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    asked_ms: int = instant("When the question was asked; nothing later is in here.")
    destination: str = airport("Airport of arrival.")
    carrier: str = field("IATA code of the airline.", pattern="^[A-Z0-9]{2}$")
    distance: float = field("Great-circle distance.", unit="mile", ge=0, le=12_000)
    departure_minute: int = field(
        "Scheduled departure, local time of day.", unit="minute", ge=0, le=1_439
    )
    weekday: int = field("Local weekday of scheduled departure, Monday is 0.", ge=0, le=6)

    observed_ms: int | None = field(
        "End of the hour of the weather; null if the last one known is over three hours old.",
        unit="ms",
        ge=0,
        default=None,
    )
    temperature: float | None = field("Air temperature.", unit="degF", ge=-80, le=140, default=None)
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

    aircraft_delay_minutes: float | None = delay(
        "Arrival delay of this aircraft's last flight from here whose arrival is known.",
        default=None,
    )
    aircraft_arrived_ms: int | None = field(
        "When that flight arrived.", unit="ms", ge=0, default=None
    )

    departures: int = field("Flights that left the airport in the last hour.", ge=0)
    departure_delay_mean: float | None = delay(
        "Their mean departure delay; null if none left.", default=None
    )
    departure_late_share: float | None = share(
        "Share of them that left at least 15 minutes late.", default=None
    )
    overdue: int = field(
        "Confirmed flights that should have left within the last three hours, and have not.", ge=0
    )
    overdue_minutes: float = field("How long they are overdue, in total.", unit="minute", ge=0)

    airport_late_share: float = share("Recent share of late arrivals among flights from here.")
    airport_delay_mean: float = delay("Recent mean arrival delay of flights from here.")
    airport_gain_mean: float = delay("Recent mean of arrival delay minus departure delay.")
    carrier_late_share: float = share(
        "Recent share of late arrivals of the carrier's flights from here."
    )
    carrier_delay_mean: float = delay(
        "Recent mean departure delay of the carrier's flights from here."
    )
    carrier_gain_mean: float = delay(
        "Recent mean of the carrier's arrival delay minus departure delay."
    )
    route_late_share: float = share("Recent share of late arrivals on the route.")
    route_delay_mean: float = delay("Recent mean arrival delay on the route.")
    route_gain_mean: float = delay(
        "Recent mean of arrival delay minus departure delay on the route."
    )

    route_frequency: float = share(
        "Frequency of late arrivals on the route so far, drawn to the base rate."
    )
    carrier_hour_frequency: float = share(
        "Frequency of late arrivals of the carrier's flights of this hour from here, drawn to the "
        "base rate; a baseline."
    )
    base_rate: float = share(
        "Frequency of late arrivals of all flights from here so far; a baseline."
    )
    last_late: bool | None = field(
        "Whether the last flight from here to arrive was late; a baseline. Null before any.",
        default=None,
    )


class PlannedFeature(
    Feature, stream=Stream("flights.feature.planned", "origin", "asked_ms", OWNER)
):
    """What is known two hours before scheduled departure."""


class DepartedFeature(
    Feature, stream=Stream("flights.feature.departed", "origin", "asked_ms", OWNER)
):
    """What is known when a flight leaves."""

    departure_delay_minutes: float = delay(
        "Departure later than scheduled; as a ranking, a baseline."
    )
    left_late_frequency: float = share(
        "Frequency of late arrivals among flights from here that left late, if this one did, "
        "or else among those that did not; a baseline."
    )


class Prediction(Record):
    """What a model says about the arrival of a flight."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    asked_ms: int = instant("When the question was asked.")
    probability: float = share("Probability that it arrives at least 15 minutes late.")
    minutes: float = delay("Median of its arrival delay.")
    model_version: int = field("Number of examples the model had learnt from.", ge=0)


class PlannedPrediction(
    Prediction, stream=Stream("flights.prediction.planned", "origin", "asked_ms", OWNER)
):
    """Asked two hours before scheduled departure, of the model that keeps learning."""


class DepartedPrediction(
    Prediction, stream=Stream("flights.prediction.departed", "origin", "asked_ms", OWNER)
):
    """Asked when the flight leaves, of the model that keeps learning."""


class PlannedFrozen(
    Prediction, stream=Stream("flights.prediction.planned_frozen", "origin", "asked_ms", OWNER)
):
    """Asked two hours before scheduled departure, of the model frozen after February 2013."""


class DepartedFrozen(
    Prediction, stream=Stream("flights.prediction.departed_frozen", "origin", "asked_ms", OWNER)
):
    """Asked when the flight leaves, of the model frozen after February 2013."""


class Example(Record):
    """How a flight ended, beside what was known and said when its delay was asked for."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    asked_ms: int = instant("When the question was asked.")
    answered_ms: int = instant("When the flight arrived.")
    late: bool = field("Whether it arrived at least 15 minutes late: the label.")
    delay_minutes: float = delay("Arrival later than scheduled: the label.")
    probability: float = share("The probability that was served.")
    minutes: float = delay("The median arrival delay that was served.")
    model_version: int = field("Version of the model that served them.", ge=0)
    frozen_probability: float | None = share(
        "What the frozen model said; null before March.", default=None
    )
    frozen_minutes: float | None = delay(
        "What the frozen model said; null before March.", default=None
    )


class PlannedExample(
    Example, stream=Stream("flights.example.planned", "origin", "answered_ms", OWNER)
):
    """The answer to a question asked two hours before scheduled departure."""

    feature: PlannedFeature = field("What was known, as it was served.")


class DepartedExample(
    Example, stream=Stream("flights.example.departed", "origin", "answered_ms", OWNER)
):
    """The answer to a question asked when the flight left."""

    feature: DepartedFeature = field("What was known, as it was served.")


class Censored(Record):
    """A question that got no answer, and why."""

    flight_id: str = flight_id()
    origin: str = airport("Airport of departure.")
    asked_ms: int = instant("When the question was asked.")
    closed_ms: int = instant("When it was given up.")
    reason: Literal["cancelled", "diverted", "expired"] = field(
        "Cancelled by the airline, landed elsewhere, or never heard of again."
    )


class PlannedCensored(
    Censored, stream=Stream("flights.example.planned_censored", "origin", "closed_ms", OWNER)
):
    """A planned flight that never got a label."""


class DepartedCensored(
    Censored, stream=Stream("flights.example.departed_censored", "origin", "closed_ms", OWNER)
):
    """A flight that left and never got a label."""
