from __future__ import annotations

from typing import Any

import pytest

from ops.bench.loop import run
from processors.flights import RANK
from processors.flights.features import features
from processors.nycflights.replay import events as nyc_events
from schemas.flights import Arrival, Departure, Weather
from schemas.flights_delay import DepartedFeature, PlannedFeature
from schemas.record import Record
from streams.driver import Driver
from streams.topology import Flow, stream_of


def fold(*records: Record) -> Driver:
    driver = Driver(Flow("flights", (features,), RANK)).run(records)
    assert driver.dead_letters == []
    return driver


def planned(*records: Record) -> PlannedFeature:
    return fold(*records).read(PlannedFeature)[-1]


def departed(*records: Record) -> DepartedFeature:
    return fold(*records).read(DepartedFeature)[-1]


def test_first_question_knows_nothing(events: Any) -> None:
    feature = planned(events.schedule(1))
    assert feature.model_dump() == {
        "flight_id": "2013-01-01.UA.1.EWR",
        "origin": "EWR",
        "asked_ms": 1_357_041_600_000,
        "destination": "ORD",
        "carrier": "UA",
        "distance": 719.0,
        "departure_minute": 540,
        "weekday": 1,
        "observed_ms": None,
        "temperature": None,
        "humidity": None,
        "wind_direction": None,
        "wind_speed": None,
        "wind_gust": None,
        "precipitation": None,
        "pressure": None,
        "visibility": None,
        "aircraft_delay_minutes": None,
        "aircraft_arrived_ms": None,
        "departures": 0,
        "departure_delay_mean": None,
        "departure_late_share": None,
        "overdue": 0,
        "overdue_minutes": 0.0,
        "airport_late_share": 0.2,
        "airport_delay_mean": 0.0,
        "airport_gain_mean": 0.0,
        "carrier_late_share": 0.2,
        "carrier_delay_mean": 0.0,
        "carrier_gain_mean": 0.0,
        "route_late_share": 0.2,
        "route_delay_mean": 0.0,
        "route_gain_mean": 0.0,
        "route_frequency": 0.2,
        "carrier_hour_frequency": 0.2,
        "base_rate": 0.2,
        "last_late": None,
    }


@pytest.mark.parametrize(
    ("minute", "temperature"), [(0, 40.0), (59, 40.0), (180, 40.0), (181, None), (-1, None)]
)
def test_weather_is_as_of_the_question_and_at_most_three_hours_old(
    events: Any, minute: int, temperature: float | None
) -> None:
    feature = planned(events.weather(0), events.schedule(1, minute))
    assert feature.temperature == temperature
    assert feature.observed_ms == (None if temperature is None else events.at(0))


def test_weather_of_the_same_instant_is_known(events: Any) -> None:
    driver = fold(events.schedule(1, 60), events.weather(0, 40.0), events.weather(60, 50.0))
    assert driver.read(PlannedFeature)[0].temperature == 50.0


def test_weather_of_another_airport_is_not_used(events: Any) -> None:
    assert planned(events.weather(0, origin="JFK"), events.schedule(1)).temperature is None


def test_aircraft_brings_the_delay_of_its_last_known_arrival_from_here(events: Any) -> None:
    feature = planned(
        events.arrival(1, 10, delay=50, tail="N1"),
        events.arrival(2, 20, delay=7, tail="N1"),
        events.arrival(3, 25, delay=99, tail="N2"),
        events.arrival(4, 26, delay=98, tail="N1", origin="JFK"),
        events.arrival(5, 27, delay=None, tail="N1"),
        events.schedule(6, 30, tail="N1"),
    )
    assert feature.aircraft_delay_minutes == 7.0
    assert feature.aircraft_arrived_ms == events.at(20)


def test_unknown_aircraft_has_no_history(events: Any) -> None:
    feature = planned(events.arrival(1, 10, delay=50, tail=None), events.schedule(2, 30, tail=None))
    assert feature.aircraft_delay_minutes is None


def test_last_hour_counts_departures_and_their_delays(events: Any) -> None:
    feature = departed(
        events.departure(1, 0, delay=100),
        events.departure(2, 1, delay=20),
        events.departure(3, 30, delay=-5),
        events.departure(4, 60, delay=90),
    )
    assert feature.departures == 2
    assert feature.departure_delay_mean == 7.5
    assert feature.departure_late_share == 0.5
    assert feature.departure_delay_minutes == 90.0


def test_overdue_flights_are_confirmed_due_and_gone_after_three_hours(events: Any) -> None:
    confirmed = [events.schedule(1, 0), events.schedule(2, 30), events.schedule(3, 150)]
    left = events.departure(2, 160, delay=10)
    feature = planned(*confirmed, left, events.schedule(4, 180))
    assert (feature.overdue, feature.overdue_minutes) == (1, 60.0)
    feature = planned(*confirmed, left, events.schedule(4, 301))
    assert (feature.overdue, feature.overdue_minutes) == (1, 31.0)


def test_arrivals_move_frequencies_and_recent_means(events: Any) -> None:
    feature = planned(
        events.departure(1, 0, delay=10),
        events.arrival(1, 120, delay=30),
        events.schedule(2, 130),
    )
    assert feature.last_late is True
    assert feature.base_rate == pytest.approx(2 / 6)
    assert feature.route_frequency == pytest.approx((1 + 8 / 3) / 9)
    assert feature.carrier_hour_frequency == pytest.approx((1 + 8 / 3) / 9)
    assert feature.airport_late_share == pytest.approx(0.224)
    assert feature.airport_delay_mean == pytest.approx(0.9)
    assert feature.airport_gain_mean == pytest.approx(0.6)
    assert feature.carrier_late_share == pytest.approx(0.24)
    assert feature.carrier_delay_mean == pytest.approx(1.0)
    assert feature.carrier_gain_mean == pytest.approx(1.0)
    assert feature.route_late_share == pytest.approx(0.28)
    assert feature.route_delay_mean == 30.0
    assert feature.route_gain_mean == 20.0


def test_frequencies_keep_hours_and_routes_apart(events: Any) -> None:
    feature = planned(
        events.arrival(1, 0, delay=30, departure_minute=600, destination="LAX"),
        events.schedule(2, 10, departure_minute=540, destination="ORD"),
    )
    assert feature.carrier_hour_frequency == feature.route_frequency == feature.base_rate


def test_rule_is_the_frequency_among_flights_that_left_as_late(events: Any) -> None:
    history = [
        events.departure(1, 0, delay=15),
        events.departure(2, 1, delay=14),
        events.arrival(1, 100, delay=15),
        events.arrival(2, 101, delay=14),
    ]
    base = 2 / 7
    late = departed(*history, events.departure(3, 110, delay=20))
    assert late.left_late_frequency == pytest.approx((1 + 8 * base) / 9)
    punctual = departed(*history, events.departure(3, 110, delay=0))
    assert punctual.left_late_frequency == pytest.approx((0 + 8 * base) / 9)


def test_diverted_flight_is_no_label(events: Any) -> None:
    feature = planned(
        events.departure(1, 0, delay=90),
        events.arrival(1, 100, delay=None),
        events.schedule(2, 110),
    )
    assert feature.last_late is None
    assert feature.base_rate == 0.2


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_no_feature_changes_before_its_fact_was_known(share: float) -> None:
    """From some instant on, every label and observation comes later and says something else."""
    history = list(nyc_events(2_500))
    known_ms = time_of(history[int(len(history) * share)])
    moved = [changed(e) if time_of(e) >= known_ms else e for e in history]
    ranks = {kind: rank for rank, kind in enumerate(RANK)}
    moved.sort(key=lambda e: (time_of(e), ranks[type(e)]))
    close_ms = time_of(moved[-1])
    before, after = (
        {(type(f), f.flight_id): f for f in run(e, close_ms).features} for e in (history, moved)
    )
    early = {key for key, feature in before.items() if feature.asked_ms < known_ms}
    assert len(early) > 1_000
    assert {key: after[key] for key in early} == {key: before[key] for key in early}
    later = [key for key in before if key not in early]
    assert sum(before[key] != after[key] for key in later) > 0.9 * len(later)


def time_of(event: Record) -> int:
    time: int = getattr(event, stream_of(type(event)).event_time)
    return time


def changed(event: Record) -> Record:
    """A label or observation, a day later and different; a departure asks, so it keeps its time."""
    if isinstance(event, Weather):
        later_ms = event.observed_ms + 86_400_000
        return event.model_copy(update={"observed_ms": later_ms, "temperature": -40.0})
    if isinstance(event, Arrival):
        later_ms = event.arrived_ms + 86_400_000
        return event.model_copy(update={"arrived_ms": later_ms, "delay_minutes": 500.0})
    if isinstance(event, Departure):
        return event.model_copy(update={"delay_minutes": 600.0})
    return event
