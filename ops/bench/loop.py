"""The bare loop: the flow `flights` in one process, without Avro, Kafka, lineage or the runtime.

It calls the same functions on raw events preloaded in a list, with states in plain dicts. Its
predictions equal those of the runtime, float for float, and its speed is what the runtime is
measured against.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop
from itertools import islice
from time import perf_counter
from typing import Any

from ops.bench.horizon import Horizon, expires_of
from processors.flights.departed import departed
from processors.flights.departed_drift import departed_drift
from processors.flights.departed_frozen import departed_frozen
from processors.flights.departed_join import departed_join
from processors.flights.departed_score import departed_score
from processors.flights.departed_window import departed_window
from processors.flights.features import features
from processors.flights.planned import planned
from processors.flights.planned_drift import planned_drift
from processors.flights.planned_frozen import planned_frozen
from processors.flights.planned_join import planned_join
from processors.flights.planned_score import planned_score
from processors.flights.planned_window import planned_window
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.record import Record
from streams.errors import Refusal

PART_EVENTS = 50_000


@dataclass
class LoopResult:
    """What a loop wrote, in the order of writing, and how long it took."""

    features: list[Any] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    examples: list[Any] = field(default_factory=list)
    censored: list[Any] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)
    drifts: list[Any] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0


class Loop:
    """All that the flow remembers, in plain dicts."""

    def __init__(self) -> None:
        self.result = LoopResult()
        self.timers: list[tuple[int, str, int, Any]] = []
        self.time_ms = 0
        self.planned = Horizon(
            self,
            (planned, planned_frozen),
            planned_join,
            planned_window,
            planned_score,
            planned_drift,
        )
        self.departed = Horizon(
            self,
            (departed, departed_frozen),
            departed_join,
            departed_window,
            departed_score,
            departed_drift,
        )
        self.weather_ms_max, self.left_ms_max = expires_of(features, 0), expires_of(features, -1)
        self.weather: dict[str, tuple[int, Any]] = {}
        self.airports: dict[str, Any] = {}
        self.carriers: dict[tuple[str, str], Any] = {}
        self.routes: dict[tuple[str, str], Any] = {}
        self.aircraft: dict[tuple[str, str], Any] = {}
        self.left: dict[str, tuple[int, Any]] = {}
        self.fold = features.function

    def take(self, event: Any) -> None:
        """Run one event to the end."""
        kind = event.__class__
        now_ms = self.advance(getattr(event, TIMES[kind]))
        if kind is Weather:
            (state, *_), _ = self.fold((None,) * 6, event)
            self.weather[event.origin] = (now_ms, state)
            return
        if kind is not Cancellation:
            written = self.known(event, kind, now_ms)
        if kind is Schedule:
            self.planned.ask(written[0], now_ms)
        elif kind is Departure:
            self.departed.ask(written[0], now_ms)
        else:
            try:
                self.planned.answer(event, now_ms)
            except Refusal:
                self.result.refused += 1
            self.departed.answer(event, now_ms)

    def known(self, event: Any, kind: type[Record], now_ms: int) -> Any:
        """Run the fold `features` with the states that the event touches."""
        origin, tail, flight_id = event.origin, event.tail, event.flight_id
        carrier, route = (origin, event.carrier), (origin, event.destination)
        aircraft = None if tail is None else self.aircraft.get((origin, tail))
        now = left = None
        if kind is not Arrival:
            at_ms, now = self.weather.get(origin, (now_ms, None))
            now = now if at_ms + self.weather_ms_max >= now_ms else None
        if kind is not Schedule:
            at_ms, left = self.left.pop(flight_id, (now_ms, None))
            left = left if at_ms + self.left_ms_max >= now_ms else None
        before = (
            now,
            self.airports.get(origin),
            self.carriers.get(carrier),
            self.routes.get(route),
            aircraft,
            left,
        )
        after, written = self.fold(before, event)
        self.airports[origin], self.carriers[carrier], self.routes[route] = after[1:4]
        if tail is not None:
            self.aircraft[(origin, tail)] = after[4]
        left = after[5]
        if left is not None and kind is not Schedule:
            self.left[flight_id] = (now_ms, left)
        self.result.features += written
        return written

    def advance(self, time_ms: int) -> int:
        """Move time on; what is due before it expires first, in (deadline, key) order."""
        timers = self.timers
        while timers and timers[0][0] < time_ms:
            deadline_ms, key, _, expire = heappop(timers)
            self.time_ms = max(self.time_ms, deadline_ms)
            expire(key, deadline_ms)
        self.time_ms = max(self.time_ms, time_ms)
        return self.time_ms


TIMES = {
    kind: kind.stream.event_time
    for kind in (Weather, Arrival, Cancellation, Departure, Schedule)
    if kind.stream
}


def run(events: Iterable[Record], closing_ms: int) -> LoopResult:
    """Take events in event order, then move time to the close."""
    loop = Loop()
    loop.result.seconds = _timed(loop, events, closing_ms)
    return loop.result


class Counting:
    """The loop over events that are loaded a part at a time: predictions made, seconds taken.

    What was read or written is forgotten after each part: a year of it would be paged out, and
    that would be timed instead.
    """

    def __init__(self, events: Iterator[Record]) -> None:
        self.predictions, self.seconds = 0, 0.0
        self._loop, self._events = Loop(), events

    def take(self, events: int) -> None:
        """Take so many events more, or all that are left."""
        while part := list(islice(self._events, min(events, PART_EVENTS))):
            self._time(part, self._loop.time_ms)
            events -= len(part)

    def close(self, closing_ms: int) -> None:
        """Move time to the close."""
        self._time([], closing_ms)

    def _time(self, part: list[Record], then_ms: int) -> None:
        self.seconds += _timed(self._loop, part, then_ms)
        self.predictions += len(self._loop.result.predictions)
        self._loop.result = LoopResult()


def _timed(loop: Loop, events: Iterable[Record], closing_ms: int) -> float:
    gc.collect()
    gc.disable()
    began = perf_counter()
    for event in events:
        loop.take(event)
    loop.advance(closing_ms)
    seconds = perf_counter() - began
    gc.enable()
    return seconds


def run_partitioned(
    events: Sequence[Any], closing_ms: int, partitions: Sequence[Sequence[str]]
) -> list[LoopResult]:
    """A loop of its own for each partition, given the airports that it holds."""
    return [run([e for e in events if e.origin in origins], closing_ms) for origins in partitions]
