"""The fold that gathers what is known when a flight's delay is asked for.

Reads weather, schedules, departures and arrivals; writes a feature record when a flight is
confirmed and another when it leaves. It only ever looks back: weather as of the question, and
flights whose arrival has been heard of. The record that asks is added to what is known after its
question is answered.
"""

from __future__ import annotations

from typing import Any

from processors.flights.known import (
    Aircraft,
    Airport,
    Carrier,
    Left,
    Route,
    WeatherNow,
    base_rate,
    clipped_delay,
    clipped_gain,
    drawn,
    is_late,
    toward,
)
from schemas.flights import Arrival, Departure, Schedule, Weather
from schemas.flights_delay import DepartedFeature, PlannedFeature
from streams.processor import days, fold, hours, table

AIRPORT_RATE = 0.03
CARRIER_RATE = 0.05
CARRIER_DEPARTURE_RATE = 0.1
ROUTE_RATE = 0.1
LAST_HOUR_MS = hours(1)
OVERDUE_MS_MAX = hours(3)
DUE_MAX = 2_000
DEPARTURES_MAX = 500

Tables = tuple[
    WeatherNow | None, Airport | None, Carrier | None, Route | None, Aircraft | None, Left | None
]
FLIGHTS = (Schedule, Departure, Arrival)


@fold(
    reads=(Weather, Arrival, Departure, Schedule),
    writes=(PlannedFeature, DepartedFeature),
    tables=(
        table(
            "weather",
            state=WeatherNow,
            key="origin",
            expires=hours(3),
            renews=True,
            parents="latest",
            touched_by=(Weather, Schedule, Departure),
        ),
        table(
            "airport",
            state=Airport,
            key="origin",
            parents="range",
            in_place=True,
            touched_by=FLIGHTS,
        ),
        table(
            "carrier",
            state=Carrier,
            key=("origin", "carrier"),
            parents="latest",
            touched_by=FLIGHTS,
        ),
        table(
            "route",
            state=Route,
            key=("origin", "destination"),
            parents="latest",
            touched_by=FLIGHTS,
        ),
        table(
            "aircraft", state=Aircraft, key=("origin", "tail"), parents="latest", touched_by=FLIGHTS
        ),
        table(
            "left",
            state=Left,
            key="flight_id",
            expires=days(2),
            parents="latest",
            touched_by=(Departure, Arrival),
        ),
    ),
)
def features(
    tables: Tables, record: Weather | Arrival | Departure | Schedule
) -> tuple[Tables, list[PlannedFeature | DepartedFeature]]:
    """Say what is known about a flight when it is confirmed and when it leaves."""
    if isinstance(record, Weather):
        return (WeatherNow(weather=record), *tables[1:]), []
    if isinstance(record, Arrival):
        return _after_arrival(tables, record), []
    weather, airport, carrier, route, aircraft, left = tables
    airport = airport or Airport()
    tables = (weather, airport, carrier, route, aircraft, left)
    if isinstance(record, Schedule):
        known = _known(tables, record, record.published_ms)
        airport.due_ms[record.flight_id] = record.scheduled_departure_ms
        if len(airport.due_ms) > DUE_MAX:
            del airport.due_ms[next(iter(airport.due_ms))]
        return tables, [PlannedFeature(**known)]
    airport.due_ms.pop(record.flight_id, None)
    known = _known(tables, record, record.departed_ms)
    base, left_late = known["base_rate"], is_late(record.delay_minutes)
    labels, lates = airport.left_late_labels, airport.left_late_lates
    if not left_late:
        labels, lates = airport.left_labels - labels, airport.left_lates - lates
    feature = DepartedFeature(
        departure_delay_minutes=record.delay_minutes,
        left_late_frequency=drawn(lates, labels, base),
        **known,
    )
    return _after_departure(tables, record), [feature]


def _known(tables: Tables, flight: Schedule | Departure, asked_ms: int) -> dict[str, Any]:
    """What both horizons know."""
    now, airport, carrier, route, aircraft, _ = tables
    assert airport is not None
    carrier, route = carrier or NO_CARRIER, route or NO_ROUTE
    hour, base = flight.departure_minute // 60, base_rate(airport)
    known: dict[str, Any] = {
        "flight_id": flight.flight_id,
        "origin": flight.origin,
        "asked_ms": asked_ms,
        "destination": flight.destination,
        "carrier": flight.carrier,
        "distance": flight.distance,
        "departure_minute": flight.departure_minute,
        "weekday": flight.weekday,
        "airport_late_share": airport.late_share,
        "airport_delay_mean": airport.delay_mean,
        "airport_gain_mean": airport.gain_mean,
        "carrier_late_share": carrier.late_share,
        "carrier_delay_mean": carrier.delay_mean,
        "carrier_gain_mean": carrier.gain_mean,
        "route_late_share": route.late_share,
        "route_delay_mean": route.delay_mean,
        "route_gain_mean": route.gain_mean,
        "route_frequency": drawn(route.lates, route.labels, base),
        "carrier_hour_frequency": drawn(carrier.lates[hour], carrier.labels[hour], base),
        "base_rate": base,
        "last_late": airport.last_late,
    }
    if aircraft is not None:
        known["aircraft_delay_minutes"] = aircraft.delay_minutes
        known["aircraft_arrived_ms"] = aircraft.arrived_ms
    if now is not None:
        _add_weather(known, now.weather)
    _add_last_hour(known, airport, asked_ms)
    _add_overdue(known, airport, asked_ms)
    return known


def _add_weather(known: dict[str, Any], weather: Weather) -> None:
    known["observed_ms"] = weather.observed_ms
    known["temperature"] = weather.temperature
    known["humidity"] = weather.humidity
    known["wind_direction"] = weather.wind_direction
    known["wind_speed"] = weather.wind_speed
    known["wind_gust"] = weather.wind_gust
    known["precipitation"] = weather.precipitation
    known["pressure"] = weather.pressure
    known["visibility"] = weather.visibility


def _add_last_hour(known: dict[str, Any], airport: Airport, asked_ms: int) -> None:
    times, delays = airport.departed_ms, airport.departed_minutes
    old = 0
    while old < len(times) and times[old] <= asked_ms - LAST_HOUR_MS:
        old += 1
    del times[:old], delays[:old]
    known["departures"] = len(delays)
    if delays:
        known["departure_delay_mean"] = sum(delays) / len(delays)
        known["departure_late_share"] = sum(map(is_late, delays)) / len(delays)


def _add_overdue(known: dict[str, Any], airport: Airport, asked_ms: int) -> None:
    """Flights are confirmed in the order of their schedule, so those that are due stand first."""
    count, total, given_up = 0, 0, []
    for flight_id, due_ms in airport.due_ms.items():
        if due_ms >= asked_ms:
            break
        if due_ms < asked_ms - OVERDUE_MS_MAX:
            given_up.append(flight_id)
        else:
            count += 1
            total += asked_ms - due_ms
    for flight_id in given_up:
        del airport.due_ms[flight_id]
    known["overdue"] = count
    known["overdue_minutes"] = total / 60_000


def _after_departure(tables: Tables, departure: Departure) -> Tables:
    weather, airport, carrier, route, aircraft, _ = tables
    assert airport is not None
    airport.departed_ms.append(departure.departed_ms)
    airport.departed_minutes.append(departure.delay_minutes)
    if len(airport.departed_ms) > DEPARTURES_MAX:
        del airport.departed_ms[0], airport.departed_minutes[0]
    before = carrier or NO_CARRIER
    delay = clipped_delay(departure.delay_minutes)
    carrier = before.model_copy(
        update={"delay_mean": toward(before.delay_mean, delay, CARRIER_DEPARTURE_RATE)}
    )
    return weather, airport, carrier, route, aircraft, Left(delay_minutes=departure.delay_minutes)


def _after_arrival(tables: Tables, arrival: Arrival) -> Tables:
    """A diverted flight has no arrival delay: it only is in the air no more."""
    weather, airport, carrier, route, aircraft, left = tables
    minutes = arrival.delay_minutes
    if minutes is None:
        return weather, airport, carrier, route, aircraft, None
    late, delay = is_late(minutes), clipped_delay(minutes)
    gain = None if left is None else clipped_gain(minutes - left.delay_minutes)
    airport = airport or Airport()
    airport.labels += 1
    airport.lates += late
    airport.last_late = late
    airport.late_share = toward(airport.late_share, late, AIRPORT_RATE)
    airport.delay_mean = toward(airport.delay_mean, delay, AIRPORT_RATE)
    if left is not None and gain is not None:
        airport.gain_mean = toward(airport.gain_mean, gain, AIRPORT_RATE)
        airport.left_labels += 1
        airport.left_lates += late
        if is_late(left.delay_minutes):
            airport.left_late_labels += 1
            airport.left_late_lates += late
    carrier = _carrier_after(carrier or NO_CARRIER, arrival.departure_minute // 60, late, gain)
    route = _route_after(route or NO_ROUTE, late, delay, gain)
    return (
        weather,
        airport,
        carrier,
        route,
        Aircraft(arrived_ms=arrival.arrived_ms, delay_minutes=minutes),
        None,
    )


def _carrier_after(carrier: Carrier, hour: int, late: bool, gain: float | None) -> Carrier:
    labels, lates = carrier.labels.copy(), carrier.lates.copy()
    labels[hour] += 1
    lates[hour] += late
    return Carrier(
        labels=labels,
        lates=lates,
        late_share=toward(carrier.late_share, late, CARRIER_RATE),
        delay_mean=carrier.delay_mean,
        gain_mean=carrier.gain_mean
        if gain is None
        else toward(carrier.gain_mean, gain, CARRIER_RATE),
    )


def _route_after(route: Route, late: bool, delay: float, gain: float | None) -> Route:
    """The first flights count for more, or a rare route would take weeks to leave its beginning."""
    rate = max(ROUTE_RATE, 1 / (route.labels + 1))
    return Route(
        labels=route.labels + 1,
        lates=route.lates + late,
        late_share=toward(route.late_share, late, ROUTE_RATE),
        delay_mean=toward(route.delay_mean, delay, rate),
        gain_mean=route.gain_mean if gain is None else toward(route.gain_mean, gain, rate),
    )


NO_CARRIER = Carrier()
NO_ROUTE = Route()
