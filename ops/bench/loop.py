"""The bare loop: the flow `flights` in one process, without Avro, Kafka, lineage or the runtime.

It calls the same functions on raw events preloaded in a list, with states in plain dicts. Its
predictions equal those of the runtime, float for float, and its speed is what the runtime is
measured against.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import perf_counter
from typing import Any

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
from schemas.flights_delay import Censored
from schemas.record import Record
from streams.errors import Refusal
from streams.processor import Learner, Processor


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


class Model:
    """A learner's model, its version, and whether it is frozen."""

    def __init__(self, learner: Learner) -> None:
        assert learner.predict is not None
        self.model = learner.model()
        self.predict = learner.predict
        self.fold = learner.learn
        self.until_ms = learner.until_ms
        self.version = 0
        self.frozen = False

    def learn(self, example: Any) -> None:
        """Fold an example, unless it is too late for that."""
        if self.frozen:
            return
        if self.until_ms is not None and example.answered_ms >= self.until_ms:
            self.frozen = True
            return
        self.fold(self.model, example)
        self.version += 1


class Horizon:
    """One horizon: its models, open questions, scores and drift detector."""

    def __init__(
        self,
        loop: Loop,
        learners: tuple[Learner, Learner],
        join: Processor,
        window: Processor,
        score: Processor,
        drift: Learner,
    ) -> None:
        self.loop = loop
        self.model, self.frozen = map(Model, learners)
        self.join, self.window, self.score = join, window, score
        self.open_ms_max, self.silence_ms_max = _expires(join), _expires(window)
        self.detector = drift.model()
        self.observe = drift.learn
        self.pending: dict[str, Any] = {}
        self.windows: dict[str, Any] = {}
        self.silent_ms: dict[str, int] = {}
        self.totals: dict[str, Any] = {}

    def ask(self, feature: Any, now_ms: int) -> None:
        """Answer a question and keep it open."""
        loop, result, key = self.loop, self.loop.result, feature.flight_id
        state, _ = self.join.function(self.pending.get(key), feature)
        if key not in self.pending:
            heappush(loop.timers, (now_ms + self.open_ms_max, key, id(self), self.expire))
        for model in (self.model, self.frozen):
            prediction = model.predict(model.model, feature, model.version)
            if prediction is not None:
                result.predictions.append(prediction)
                state, _ = self.join.function(state, prediction)
                if model is self.model:
                    self.count(prediction, now_ms)
        self.pending[key] = state

    def answer(self, answer: Arrival | Cancellation, now_ms: int) -> None:
        """Close a question."""
        _, closed = self.join.function(self.pending.pop(answer.flight_id, None), answer)
        self.close(closed, now_ms)

    def expire(self, key: str, deadline_ms: int) -> None:
        """Give up a question."""
        pending = self.pending.get(key)
        if pending is None or pending.feature.asked_ms + self.open_ms_max != deadline_ms:
            return
        assert self.join.expired_function is not None
        closed = list(self.join.expired_function(pending, deadline_ms))
        del self.pending[key]
        self.close(closed, deadline_ms)

    def close(self, closed: Iterable[Any], now_ms: int) -> None:
        """Learn from an example; count it, or what was given up."""
        for record in closed:
            if isinstance(record, Censored):
                self.loop.result.censored.append(record)
                self.count(record, now_ms)
                continue
            self.loop.result.examples.append(record)
            self.model.learn(record)
            self.frozen.learn(record)
            self.loop.result.drifts.extend(self.observe(self.detector, record) or ())
            self.count(record, now_ms)

    def count(self, record: Any, now_ms: int) -> None:
        """Score."""
        origin = record.origin
        state, scores = self.window.function(self.windows.get(origin), record)
        if state is None:
            self.windows.pop(origin, None)
        else:
            if origin not in self.windows:
                heappush(
                    self.loop.timers,
                    (now_ms + self.silence_ms_max, origin, id(self), self.silence),
                )
            self.windows[origin] = state
            self.silent_ms[origin] = now_ms + self.silence_ms_max
        self.add_up(scores)

    def silence(self, origin: str, deadline_ms: int) -> None:
        """Score what there is after a silence."""
        if origin not in self.windows:
            return
        if self.silent_ms[origin] > deadline_ms:
            heappush(self.loop.timers, (self.silent_ms[origin], origin, id(self), self.silence))
            return
        assert self.window.expired_function is not None
        self.add_up(self.window.expired_function(self.windows.pop(origin), deadline_ms))

    def add_up(self, windows: Iterable[Any]) -> None:
        """Add windows to the score so far."""
        for window in windows:
            state, scores = self.score.function(self.totals.get(window.origin), window)
            self.totals[window.origin] = state
            self.loop.result.scores += [window, *scores]


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
        self.weather_ms_max, self.left_ms_max = _expires(features, 0), _expires(features, -1)
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
    gc.collect()
    gc.disable()
    began = perf_counter()
    for event in events:
        loop.take(event)
    loop.advance(closing_ms)
    loop.result.seconds = perf_counter() - began
    gc.enable()
    return loop.result


def run_partitioned(
    events: Sequence[Any], closing_ms: int, partitions: Sequence[Sequence[str]]
) -> list[LoopResult]:
    """A loop of its own for each partition, given the airports that it holds."""
    return [run([e for e in events if e.origin in origins], closing_ms) for origins in partitions]


def _expires(processor: Processor, table: int = 0) -> int:
    expires = processor.tables[table].expires
    assert expires is not None
    return expires
