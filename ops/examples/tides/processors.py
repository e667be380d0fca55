"""The processors of the flow `tides`: a fold of readings into hours, a transform into alerts.

Guarantee: as of every flow, exactly once. An hour begins with the first reading of its gauge and is
closed by time alone, so a gauge that falls silent still gets its last hour.
"""

from __future__ import annotations

from collections.abc import Iterable

from ops.examples.tides.records import FloodAlert, HourLevel, OpenHour, Reading
from streams.errors import Refusal
from streams.processor import fold, hours, transform

LEAP_MAX = 3.0  # metres between two readings; more is a gauge out of order
QUAY = 4.5  # metres above chart datum


@fold(reads=Reading, writes=HourLevel, state=OpenHour, key="gauge", expires=hours(1))
def hour_level(state: OpenHour | None, reading: Reading) -> tuple[OpenHour, list[HourLevel]]:
    """Gather the readings of an hour; refuse those that leap."""
    if state is None:
        return OpenHour(
            gauge=reading.gauge, readings=1, total=reading.level, last=reading.level
        ), []
    if abs(reading.level - state.last) > LEAP_MAX:
        raise Refusal(f"the level leaps from {state.last} to {reading.level} m")
    return OpenHour(
        gauge=state.gauge,
        readings=state.readings + 1,
        total=state.total + reading.level,
        last=reading.level,
    ), []


@hour_level.expired
def close_hour(state: OpenHour, at_ms: int) -> list[HourLevel]:
    """Say how high the water stood, once the hour is over."""
    level = state.total / state.readings
    return [HourLevel(gauge=state.gauge, closed_ms=at_ms, readings=state.readings, level=level)]


@transform(reads=HourLevel, writes=FloodAlert)
def flood(hour: HourLevel) -> Iterable[FloodAlert]:
    """Raise an alert when the water stood above the quay."""
    if hour.level > QUAY:
        yield FloodAlert(gauge=hour.gauge, closed_ms=hour.closed_ms, excess=hour.level - QUAY)
