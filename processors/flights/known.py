"""What is known of airports, carriers, routes and aircraft: the states of the fold `features`."""

from __future__ import annotations

from schemas.flights import Weather
from schemas.flights_delay import LATE_MINUTES
from schemas.record import Record, State, field

LATE_PRIOR = 0.2
BASE_WEIGHT = 5.0
FREQUENCY_WEIGHT = 8.0
DELAY_MINUTES_MIN, DELAY_MINUTES_MAX = -60.0, 180.0
GAIN_MINUTES_MAX = 60.0


class WeatherNow(Record):
    """The last weather of an airport."""

    weather: Weather = field("As it was observed.")


class Airport(State):
    """What happened at an airport. Changed in place: its lists change with every flight."""

    departed_ms: list[int] = field("When flights left within the last hour.", default=[])
    departed_minutes: list[float] = field("Their departure delays.", default=[])
    due_ms: dict[str, int] = field(
        "Scheduled departure of confirmed flights that have not left.", default={}
    )
    labels: int = field("Flights from here that arrived.", default=0)
    lates: int = field("Those that arrived late.", default=0)
    left_labels: int = field("Those whose departure was heard of.", default=0)
    left_lates: int = field("Those of them that arrived late.", default=0)
    left_late_labels: int = field("Those of them that left late.", default=0)
    left_late_lates: int = field("Those of them that left late and arrived late.", default=0)
    last_late: bool | None = field("Whether the last to arrive was late.", default=None)
    late_share: float = field("Recent share of late arrivals.", default=LATE_PRIOR)
    delay_mean: float = field("Recent mean arrival delay.", default=0.0)
    gain_mean: float = field("Recent mean of arrival delay minus departure delay.", default=0.0)


class Carrier(Record):
    """A carrier at an airport, all hours in one state: the hour is no field of a record."""

    labels: list[int] = field(
        "Flights that arrived, by scheduled hour of departure.", default=[0] * 24
    )
    lates: list[int] = field("Those that arrived late.", default=[0] * 24)
    late_share: float = field("Recent share of late arrivals.", default=LATE_PRIOR)
    delay_mean: float = field("Recent mean departure delay.", default=0.0)
    gain_mean: float = field("Recent mean of arrival delay minus departure delay.", default=0.0)


class Route(Record):
    """A route from an airport."""

    labels: int = field("Flights that arrived.", default=0)
    lates: int = field("Those that arrived late.", default=0)
    late_share: float = field("Recent share of late arrivals.", default=LATE_PRIOR)
    delay_mean: float = field("Recent mean arrival delay.", default=0.0)
    gain_mean: float = field("Recent mean of arrival delay minus departure delay.", default=0.0)


class Aircraft(Record):
    """The last flight of an aircraft from an airport whose arrival is known."""

    arrived_ms: int = field("When it arrived.", unit="ms")
    delay_minutes: float = field("How late.", unit="minute")


class Left(Record):
    """A flight in the air."""

    delay_minutes: float = field("How late it left.", unit="minute")


def is_late(delay_minutes: float) -> bool:
    """Whether a delay counts as late.

    >>> is_late(14.0), is_late(15.0)
    (False, True)
    """
    return delay_minutes >= LATE_MINUTES


def base_rate(airport: Airport) -> float:
    """The frequency of late arrivals, which begins at the prior."""
    return (airport.lates + LATE_PRIOR * BASE_WEIGHT) / (airport.labels + BASE_WEIGHT)


def drawn(lates: int, labels: int, base: float) -> float:
    """A frequency, drawn to the base rate while there are few labels.

    >>> drawn(0, 0, 0.25), drawn(8, 8, 0.25)
    (0.25, 0.625)
    """
    return (lates + FREQUENCY_WEIGHT * base) / (labels + FREQUENCY_WEIGHT)


def toward(mean: float, value: float, rate: float) -> float:
    """Move a recent mean towards a new value.

    >>> toward(0.0, 1.0, 0.25)
    0.25
    """
    return mean + rate * (value - mean)


def clipped_delay(minutes: float) -> float:
    """A delay without its outliers, for means."""
    return min(max(minutes, DELAY_MINUTES_MIN), DELAY_MINUTES_MAX)


def clipped_gain(minutes: float) -> float:
    """A difference of delays without its outliers, for means."""
    return min(max(minutes, -GAIN_MINUTES_MAX), GAIN_MINUTES_MAX)
