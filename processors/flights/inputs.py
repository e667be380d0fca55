"""From a feature record to what a linear model reads: one name per category, and numbers brought
to about one by fixed scales.

What is null is left out, which for a linear model means: as usual.
"""

from __future__ import annotations

from math import cos, exp, log, pi, sin

from schemas.flights_delay import DepartedFeature, Feature, PlannedFeature
from streams.processor import hours

HOURS = tuple(f"hour={hour}" for hour in range(24))
WEEKDAYS = tuple(f"weekday={day}" for day in range(7))
LEFT_MINUTES_MIN, LEFT_MINUTES_MAX = -20, 60
LEFT = tuple(f"left={minutes}" for minutes in range(LEFT_MINUTES_MIN, LEFT_MINUTES_MAX + 1))
AIRCRAFT_MS = hours(8)
RADIANS = pi / 180


def planned_inputs(feature: PlannedFeature) -> dict[str, float]:
    """What is shared, and what hints at a late departure: recent delays, usual lateness."""
    inputs = _shared_inputs(feature)
    base = _logit(feature.base_rate)
    inputs["route_frequency"] = _logit(feature.route_frequency) - base
    inputs["carrier_hour_frequency"] = _logit(feature.carrier_hour_frequency) - base
    inputs["carrier_delay"] = feature.carrier_delay_mean / 30
    inputs["overdue"] = feature.overdue / 6
    inputs["overdue_minutes"] = min(feature.overdue_minutes, 1_500) / 250
    if feature.departure_late_share is not None:
        inputs["departure_late"] = (feature.departure_late_share - 0.2) * 4
    if feature.aircraft_delay_minutes is not None and feature.aircraft_arrived_ms is not None:
        fresh = exp((feature.aircraft_arrived_ms - feature.asked_ms) / AIRCRAFT_MS)
        inputs["aircraft_delay"] = fresh * min(max(feature.aircraft_delay_minutes, -30), 180) / 40
    return inputs


def departed_inputs(feature: DepartedFeature) -> dict[str, float]:
    """What is shared, and the departure delay: three slopes, and each minute where most are."""
    inputs = _shared_inputs(feature)
    delay = feature.departure_delay_minutes
    inputs["left"] = min(max(delay, -30), 180) / 40
    inputs["left_late"] = max(min(delay, 90) - 15, 0) / 20
    inputs["left_after"] = min(max(delay, 0), 240) / 40
    minute = int(min(max(delay, LEFT_MINUTES_MIN), LEFT_MINUTES_MAX))
    inputs[LEFT[minute - LEFT_MINUTES_MIN]] = 1.0
    return inputs


def _shared_inputs(feature: Feature) -> dict[str, float]:
    """Categories, time, how flights fared lately, and weather."""
    inputs = {
        "carrier=" + feature.carrier: 1.0,
        "destination=" + feature.destination: 1.0,
        "origin=" + feature.origin: 1.0,
        HOURS[feature.departure_minute // 60]: 1.0,
        WEEKDAYS[feature.weekday]: 1.0,
        "time": feature.departure_minute / 720 - 1,
        "distance": (feature.distance - 1_000) / 700,
        "airport_late": (feature.airport_late_share - 0.2) * 5,
        "airport_delay": feature.airport_delay_mean / 25,
        "airport_gain": feature.airport_gain_mean / 10,
        "carrier_late": (feature.carrier_late_share - 0.2) * 4,
        "carrier_gain": feature.carrier_gain_mean / 12,
        "route_delay": feature.route_delay_mean / 25,
        "route_gain": feature.route_gain_mean / 15,
    }
    if feature.departure_delay_mean is not None:
        inputs["departure_delay"] = min(feature.departure_delay_mean, 120) / 25
    if feature.observed_ms is not None:
        _add_weather(inputs, feature)
    return inputs


def _add_weather(inputs: dict[str, float], feature: Feature) -> None:
    speed, direction = feature.wind_speed, feature.wind_direction
    if feature.temperature is not None:
        inputs["temperature"] = (feature.temperature - 55) / 20
    if feature.humidity is not None:
        inputs["humidity"] = (feature.humidity - 63) / 20
    if speed is not None:
        speed = min(speed, 60)
        inputs["wind"] = (speed - 10) / 6
        if direction is not None:
            inputs["wind_east"] = speed / 10 * sin(direction * RADIANS)
            inputs["wind_north"] = speed / 10 * cos(direction * RADIANS)
    if feature.wind_gust is not None:
        inputs["gust"] = (min(feature.wind_gust, 80) - 15) / 20
    if feature.precipitation:
        inputs["precipitation"] = min(feature.precipitation * 20, 2)
    if feature.pressure is not None:
        inputs["pressure"] = (feature.pressure - 1_018) / 7
    if feature.visibility is not None:
        inputs["haze"] = (10 - min(feature.visibility, 10)) / 4


def _logit(share: float) -> float:
    """Log odds of a frequency, which is drawn to a base rate and so never 0 or 1."""
    return log(share / (1 - share))
