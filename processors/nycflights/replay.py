"""The source `nycflights`: a year's weather, schedules, departures, arrivals and cancellations.

They come in event-time order; those of one instant in the order of `TIES`, then of their airport of
departure, then of the name of their flight. That is the same in every run: a position is a count. A
cut takes the first flights by this order of their schedules with all that happened to them, and the
weather up to the last of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.nycflights.frames import Columns, Flights, read_flights, read_weather
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.record import Record, field
from streams.errors import StreamsError
from streams.processor import Clock, days, source

FLIGHTS = 336_776
TIES: tuple[type[Record], ...] = (Weather, Arrival, Cancellation, Departure, Schedule)
CLOSING_MS = days(4)
CHUNK_EVENTS = 8_192


class Cursor(Record):
    """How far a replay has come."""

    count: int = field("Items that were emitted, the closing clock included.", ge=0)
    flights: int = field("Flights of the cut; another cut has another order.", ge=1)


@source(writes=(Weather, Schedule, Departure, Arrival, Cancellation), position=Cursor)
def nycflights(
    position: Cursor | None, *, flights: int = FLIGHTS
) -> Iterator[tuple[Cursor, Record | Clock]]:
    """Replay the flights that left New York City in 2013, or the first of them by schedule."""
    count = 0 if position is None else position.count
    if position is not None and position.flights != flights:
        raise StreamsError(
            f"a replay of {position.flights} flights cannot go on with {flights}; "
            f"go on with {position.flights}, or begin afresh"
        )
    timeline = read_timeline(flights)
    for record in timeline.records(count):
        count += 1
        yield Cursor(count=count, flights=flights), record
    if count == len(timeline):
        yield Cursor(count=count + 1, flights=flights), Clock(timeline.last_ms + CLOSING_MS)


def events(flights: int = FLIGHTS) -> Iterator[Record]:
    """The events of the first flights by schedule, in the order in which the source emits them."""
    return read_timeline(flights).records(0)


@dataclass(frozen=True)
class Timeline:
    """The events of a replay, not yet built: for each an index into `TIES` and a row of columns.

    Records are many times as large as their columns, so they are built a chunk at a time.
    """

    columns: tuple[Columns, ...]
    kinds: NDArray[Any]
    rows: NDArray[Any]
    last_ms: int

    def __len__(self) -> int:
        return len(self.kinds)

    def records(self, start: int) -> Iterator[Record]:
        """Build the events from number `start` on."""
        for begin in range(start, len(self), CHUNK_EVENTS):
            yield from self._chunk(begin, begin + CHUNK_EVENTS)

    def _chunk(self, begin: int, end: int) -> list[Record]:
        kinds, rows = self.kinds[begin:end], self.rows[begin:end]
        chunk: list[Any] = [None] * len(kinds)
        for kind, record in enumerate(TIES):
            places = np.flatnonzero(kinds == kind)
            names = tuple(self.columns[kind])
            columns = (c[rows[places]].tolist() for c in self.columns[kind].values())
            for place, values in zip(places.tolist(), zip(*columns, strict=True), strict=True):
                chunk[place] = record(**dict(zip(names, values, strict=True)))
        return chunk


@lru_cache(1)  # it is read only, and a demo reads it while its servers start
def read_timeline(flights: int) -> Timeline:
    """Read the tables and put what happened in order."""
    if not 1 <= flights <= FLIGHTS:
        raise StreamsError(f"flights is {flights}; the year has from 1 to {FLIGHTS}")
    table = read_flights(flights)
    weather, weather_ties = read_weather()
    columns = (weather, *(_columns(table, record) for record in TIES[1:]))
    every = np.arange(flights)
    happened = (table.arrived, table.cancelled, table.departed, every)
    last_ms = max(
        int(_times(record, c)[rows].max(initial=0))
        for record, c, rows in zip(TIES[1:], columns[1:], happened, strict=True)
    )
    observed = np.flatnonzero(weather["observed_ms"] <= last_ms)
    rows = (observed, *happened)
    ties = (weather_ties, *(table.ties for _ in happened))
    times = [_times(t, c)[r] for t, c, r in zip(TIES, columns, rows, strict=True)]
    kinds = np.repeat(np.arange(len(TIES), dtype=np.int8), [len(r) for r in rows])
    ranks = np.concatenate([t[r] for t, r in zip(ties, rows, strict=True)])
    order = np.lexsort((ranks, kinds, np.concatenate(times)))
    return Timeline(columns, kinds[order], np.concatenate(rows)[order].astype(np.int32), last_ms)


def _columns(table: Flights, record: type[Record]) -> Columns:
    delays = {Departure: "departure_delay", Arrival: "arrival_delay"}
    return {
        name: table.columns[delays[record] if name == "delay_minutes" else name]
        for name in record.model_fields
    }


def _times(record: type[Record], columns: Columns) -> NDArray[Any]:
    assert record.stream is not None
    return columns[record.stream.event_time]
