"""Builders of events of the flights domain; a test overrides the defaults that matter to it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather

NOON_MS = 1_357_041_600_000  # 2013-01-01 12:00 UTC
MINUTE_MS = 60_000


class Events:
    """Flights of 2013-01-01; times are in minutes after noon UTC."""

    def at(self, minute: float) -> int:
        return NOON_MS + int(minute * MINUTE_MS)

    def flight_id(self, number: int, **fields: Any) -> str:
        carrier, origin = fields.get("carrier", "UA"), fields.get("origin", "EWR")
        return f"2013-01-01.{carrier}.{number}.{origin}"

    def schedule(self, number: int, minute: float = 0, **fields: Any) -> Schedule:
        """A flight that is confirmed at a minute, and due two hours later."""
        return Schedule(
            **self._flight(number, fields, self.at(minute + 120)), published_ms=self.at(minute)
        )

    def departure(
        self, number: int, minute: float = 120, delay: float = 0.0, **fields: Any
    ) -> Departure:
        """A flight that leaves at a minute."""
        return Departure(
            **self._flight(number, fields, self.at(minute - delay)),
            departed_ms=self.at(minute),
            delay_minutes=float(delay),
        )

    def arrival(
        self, number: int, minute: float = 240, delay: float | None = 0.0, **fields: Any
    ) -> Arrival:
        """A flight that arrives at a minute; diverted if it has no delay."""
        flight = self._flight(number, fields, 0)
        kept = ("flight_id", "origin", "destination", "carrier", "tail", "departure_minute")
        return Arrival(
            **{name: flight[name] for name in kept},
            arrived_ms=self.at(minute),
            delay_minutes=None if delay is None else float(delay),
            diverted=delay is None,
        )

    def cancellation(self, number: int, minute: float, **fields: Any) -> Cancellation:
        """A flight that is cancelled at a minute."""
        return Cancellation(
            flight_id=self.flight_id(number, **fields),
            origin=fields.get("origin", "EWR"),
            cancelled_ms=self.at(minute),
        )

    def weather(self, minute: float, temperature: float = 40.0, origin: str = "EWR") -> Weather:
        """An hour of weather that ends at a minute."""
        return Weather(origin=origin, observed_ms=self.at(minute), temperature=temperature)

    def _flight(self, number: int, fields: dict[str, Any], scheduled_ms: int) -> dict[str, Any]:
        return {
            "flight_id": self.flight_id(number, **fields),
            "origin": "EWR",
            "destination": "ORD",
            "carrier": "UA",
            "tail": "N1",
            "distance": 719.0,
            "scheduled_departure_ms": scheduled_ms,
            "scheduled_arrival_ms": scheduled_ms + 120 * MINUTE_MS,
            "departure_minute": 540,
            "weekday": 1,
            "year_day": 1,
            **fields,
        }


@pytest.fixture
def events() -> Events:
    return Events()
