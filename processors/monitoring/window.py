"""Score what was served, a thousand examples at a time, and add the windows up.

A window counts questions, answers and questions given up at one key; when it holds enough
examples, or when nothing has happened for a day and a half, it becomes a score record. The total
reads those, so that its large histograms are touched once per window only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from processors.monitoring.score import log_loss, merge, tally, tally_ranking
from schemas.flights_delay import Censored, Example, Prediction
from schemas.flights_score import Month, Score, Tally
from schemas.record import Record, State, field
from streams.processor import Processor, fold, hours

WINDOW_EXAMPLES = 1_000
SILENCE_MS_MAX = hours(36)

S = TypeVar("S", bound=Score)
Baselines = Callable[[Any], dict[str, float]]


class Window(State):
    """Examples that are in no score yet, by column. Changed in place, with every flight."""

    origin: str = field("Airport of departure.")
    asked: int = field("Questions that were asked.", default=0)
    censored: int = field("Questions that were given up.", default=0)
    answered_ms: list[int] = field("When the examples were answered.", default=[])
    lates: list[bool] = field("Their labels.", default=[])
    probabilities: list[float] = field("What was served.", default=[])
    errors: list[float] = field("Absolute errors of the minutes served.", default=[])
    frozen_probabilities: list[float | None] = field("What the frozen model said.", default=[])
    frozen_errors: list[float | None] = field("Absolute errors of its minutes.", default=[])
    baselines: dict[str, list[float]] = field("What the baselines said, by name.", default={})


class Total(Record):
    """The score so far."""

    score: Score = field("All windows, added up.")


def score_windows(
    *,
    name: str,
    prediction: type[Prediction],
    example: type[Example],
    censored: type[Censored],
    window: type[Score],
    baselines: Baselines,
    ranking: str | None = None,
) -> Processor:
    """A fold that scores examples in windows.

    `baselines(example)` says what could be predicted without a model, as probabilities by name;
    the one named `ranking` is a position in [0, 1], scored by its order only.
    """

    @fold(
        reads=(prediction, example, censored),
        writes=window,
        state=Window,
        key="origin",
        name=name,
        in_place=True,
        parents="range",
        expires=SILENCE_MS_MAX,
        renews=True,
    )
    def score_window(
        state: Window | None, record: Prediction | Example | Censored
    ) -> tuple[Window | None, list[Score]]:
        """Score what was served: a window of a thousand examples at a time."""
        state = state or Window(origin=record.origin)
        if isinstance(record, Prediction):
            state.asked += 1
            return state, []
        if isinstance(record, Censored):
            state.censored += 1
            return state, []
        _append(state, record, baselines(record))
        if len(state.lates) < WINDOW_EXAMPLES:
            return state, []
        return None, [_score(window, record.answered_ms, state, ranking)]

    @score_window.expired
    def close_window(state: Window, at_ms: int) -> list[Score]:
        """Score what there is after a long silence, such as the end of a replay."""
        return [_score(window, at_ms, state, ranking)]

    return score_window


def add_up_windows(*, name: str, window: type[Score], score: type[S]) -> Processor:
    """A fold that adds windows up to the score so far."""

    @fold(reads=window, writes=score, state=Total, key="origin", name=name, parents="range")
    def add_up(state: Total | None, record: Score) -> tuple[Total, list[S]]:
        """Add a window to the score so far."""
        total = merge(score, [record] if state is None else [state.score, record])
        return Total(score=total), [total]

    return add_up


def _append(state: Window, example: Example, baselines: dict[str, float]) -> None:
    state.answered_ms.append(example.answered_ms)
    state.lates.append(example.late)
    state.probabilities.append(example.probability)
    state.errors.append(abs(example.delay_minutes - example.minutes))
    frozen = example.frozen_minutes
    state.frozen_probabilities.append(example.frozen_probability)
    state.frozen_errors.append(None if frozen is None else abs(example.delay_minutes - frozen))
    columns = state.baselines
    for name, probability in baselines.items():
        if name in columns:
            columns[name].append(probability)
        else:
            columns[name] = [probability]


def _score(kind: type[Score], at_ms: int, state: Window, ranking: str | None) -> Score:
    examples = len(state.lates)
    frozen, beside = _beside(state)
    return kind(
        origin=state.origin,
        begins_ms=state.answered_ms[0] if examples else at_ms,
        at_ms=at_ms,
        asked=state.asked,
        examples=examples,
        censored=state.censored,
        coverage=examples / state.asked if state.asked else None,
        model=tally(state.probabilities, state.lates, state.errors),
        frozen=frozen,
        beside_frozen=beside,
        baselines={
            name: tally_ranking(column, state.lates)
            if name == ranking
            else tally(column, state.lates)
            for name, column in state.baselines.items()
        },
        months=_months(state),
    )


def _beside(state: Window) -> tuple[Tally | None, Tally | None]:
    """The frozen model's tally, and the model's on the same examples."""
    answered = [i for i, p in enumerate(state.frozen_probabilities) if p is not None]
    if not answered:
        return None, None
    lates = _picked(state.lates, answered)
    frozen = tally(
        _picked(state.frozen_probabilities, answered), lates, _picked(state.frozen_errors, answered)
    )
    beside = tally(_picked(state.probabilities, answered), lates, _picked(state.errors, answered))
    return frozen, beside


def _picked(column: list[Any], rows: Iterable[int]) -> list[Any]:
    return [column[row] for row in rows]


def _months(state: Window) -> dict[str, Month]:
    sums: dict[str, list[float]] = {}
    rows = zip(
        state.answered_ms, state.lates, state.probabilities, state.frozen_probabilities, strict=True
    )
    for answered_ms, late, probability, frozen in rows:
        name = datetime.fromtimestamp(answered_ms / 1000, UTC).strftime("%Y-%m")
        month = sums.setdefault(name, [0, 0.0, 0, 0.0, 0.0])
        loss = log_loss(probability, late)
        month[0] += 1
        month[1] += loss
        if frozen is not None:
            month[2] += 1
            month[3] += log_loss(frozen, late)
            month[4] += loss
    return {
        name: Month(
            examples=int(m[0]),
            log_loss_sum=m[1],
            frozen_examples=int(m[2]),
            frozen_log_loss_sum=m[3],
            beside_log_loss_sum=m[4],
        )
        for name, m in sums.items()
    }
