"""The records of the service desk. Everything is keyed by the airport."""

from __future__ import annotations

from schemas.record import Record, Stream, field

OWNER = "desk"


class Delay(
    Record, stream=Stream("desk.event.delay", "airport", "announced_ms", OWNER, unique="flight")
):
    """An airline announces that a flight will leave late."""

    airport: str = field("Airport of departure, IATA.", pattern="^[A-Z]{3}$")
    flight: str = field("The flight, unique for some days.")
    announced_ms: int = field("When it was announced.", unit="ms", ge=0)
    minutes: int = field("How late it will leave.", unit="min", ge=0, le=2_880)


class LateAlert(Record, stream=Stream("desk.alert.late", "airport", "announced_ms", OWNER)):
    """A delay that makes passengers miss their connection."""

    airport: str = field("Airport of departure, IATA.", pattern="^[A-Z]{3}$")
    flight: str = field("The flight.")
    announced_ms: int = field("When the delay was announced.", unit="ms", ge=0)


class Rebooking(
    Record, stream=Stream("desk.event.rebooking", "airport", "booked_ms", OWNER, unique="flight")
):
    """The passengers of a late flight have other seats."""

    airport: str = field("Airport of departure, IATA.", pattern="^[A-Z]{3}$")
    flight: str = field("The late flight.")
    booked_ms: int = field("When they were rebooked.", unit="ms", ge=0)


class DeskLoad(Record, stream=Stream("desk.feature.load", "airport", "changed_ms", OWNER)):
    """How many late flights of an airport wait for rebooking."""

    airport: str = field("The airport, IATA.", pattern="^[A-Z]{3}$")
    changed_ms: int = field("When the number changed.", unit="ms", ge=0)
    open_cases: int = field("Late flights that wait.", ge=0)


class OpenCases(Record):
    """The late flights of one airport."""

    flights: list[str] = field("Flights that wait, in order of their announcement.")
