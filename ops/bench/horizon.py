"""One horizon of the bare loop: its models, open questions, scores and drift detector."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappush
from typing import TYPE_CHECKING, Any

from schemas.flights import Arrival, Cancellation
from schemas.flights_delay import Censored
from streams.processor import Learner, Processor

if TYPE_CHECKING:
    from ops.bench.loop import Loop


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
        self.open_ms_max, self.silence_ms_max = expires_of(join), expires_of(window)
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


def expires_of(processor: Processor, table: int = 0) -> int:
    """After how many ms an entry of a table is forgotten."""
    expires = processor.tables[table].expires
    assert expires is not None
    return expires
