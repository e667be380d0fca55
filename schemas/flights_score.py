"""How well the predictions about flights held: scores of windows and of all so far, and changes
of the error.

A score holds sums and histograms, not only figures, so that a reader can add up airports or
windows and get the figures of the whole (`processors.monitoring.score.merge`).
"""

from __future__ import annotations

from schemas.flights import OWNER, airport, instant
from schemas.record import Record, Stream, field


class Tally(Record):
    """Sums over examples of one way to predict, and the figures that follow from them.

    The histogram counts examples by the probability that was served, in 1,000 bins of [0, 1];
    only bins that are not empty are listed.
    """

    examples: int = field("Examples counted.", ge=0)
    correct: int = field("Those whose label was more probable than not.", ge=0)
    log_loss_sum: float = field(
        "Sum of log losses, probabilities clipped at 1e-6.", unit="nat", ge=0
    )
    absolute_error_sum: float = field("Sum of absolute errors of the minutes.", unit="minute", ge=0)
    bins: list[int] = field("Histogram: index of the bin, ascending.")
    lates: list[int] = field("Histogram: late flights in the bin.")
    punctuals: list[int] = field("Histogram: other flights in the bin.")
    accuracy: float | None = field(
        "Share of correct ones; null if it does not say.", ge=0, le=1, default=None
    )
    log_loss: float | None = field(
        "Mean log loss; null if it has no probabilities.", unit="nat", ge=0, default=None
    )
    roc_auc: float | None = field(
        "Area under the ROC curve; null unless both labels occur.", ge=0, le=1, default=None
    )
    mae: float | None = field(
        "Mean absolute error; null if it says no minutes.", unit="minute", ge=0, default=None
    )


class Month(Record):
    """Log losses of a month of arrivals (UTC), and of those that the frozen model answered."""

    examples: int = field("Examples counted.", ge=0)
    log_loss_sum: float = field("Sum of log losses of the model.", unit="nat", ge=0)
    frozen_examples: int = field("Examples that the frozen model answered.", ge=0)
    frozen_log_loss_sum: float = field("Sum of log losses of the frozen model.", unit="nat", ge=0)
    beside_log_loss_sum: float = field(
        "Sum of log losses of the model on the same ones.", unit="nat", ge=0
    )


class Score(Record):
    """How well one horizon's predictions held at one airport."""

    origin: str = airport("Airport of departure.")
    begins_ms: int = instant("When the first of the examples was answered.")
    at_ms: int = instant("When the score was taken.")
    asked: int = field("Questions that were asked.", ge=0)
    examples: int = field("Examples: questions that got an answer.", ge=0)
    censored: int = field("Questions that were given up.", ge=0)
    coverage: float | None = field("Examples per question.", ge=0, default=None)
    model: Tally = field("The model that keeps learning.")
    frozen: Tally | None = field(
        "The model that stopped learning after February; null before March.", default=None
    )
    beside_frozen: Tally | None = field(
        "The model on just those examples that the frozen one answered.", default=None
    )
    baselines: dict[str, Tally] = field("What could be said without a model, by name.")
    months: dict[str, Month] = field("Log losses by month of arrival, like 2013-07.")


class PlannedWindow(
    Score, stream=Stream("flights.signal.planned_window", "origin", "at_ms", OWNER)
):
    """The last thousand planned examples of an airport; fewer at the end of a replay."""


class PlannedScore(Score, stream=Stream("flights.signal.planned_score", "origin", "at_ms", OWNER)):
    """All examples of the planned horizon at an airport so far."""


class DepartedWindow(
    Score, stream=Stream("flights.signal.departed_window", "origin", "at_ms", OWNER)
):
    """The last thousand departed examples of an airport; fewer at the end of a replay."""


class DepartedScore(
    Score, stream=Stream("flights.signal.departed_score", "origin", "at_ms", OWNER)
):
    """All examples of the departed horizon at an airport so far."""


class Drift(Record):
    """The error rate of what was served changed more than chance explains."""

    origin: str = airport("Airport of the example at which it was noticed.")
    at_ms: int = instant("When it was noticed.")
    examples: int = field("Examples that were observed until then.", ge=0)
    error_rate_before: float = field("Share of wrong predictions in the window before.", ge=0, le=1)
    error_rate_after: float = field(
        "Share of wrong predictions in what was kept of it.", ge=0, le=1
    )
    worse: bool = field("Whether the error rate rose.")


class PlannedDrift(Drift, stream=Stream("flights.signal.planned_drift", "origin", "at_ms", OWNER)):
    """A change of the planned horizon's error."""


class DepartedDrift(
    Drift, stream=Stream("flights.signal.departed_drift", "origin", "at_ms", OWNER)
):
    """A change of the departed horizon's error."""
