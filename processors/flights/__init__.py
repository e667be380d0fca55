"""The flow `flights`: will a flight from New York arrive late? Asked two hours before departure,
and again when it leaves.

Events (weather, schedule, departure, arrival, cancellation) are folded into features; a model per
horizon answers them and learns from what arrives; beside it runs one that stopped learning after
February. A join per horizon pairs questions with answers, and what was served is scored against
simple baselines and watched for drift. Everything is keyed by the airport of departure.
"""

from __future__ import annotations

from processors.monitoring.score import log_loss
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.flights_delay import DepartedExample, Example, PlannedExample
from streams.loss import Loss


def lateness_loss(example: Example) -> float:
    """Log loss of the probability that was served."""
    return log_loss(example.probability, example.late)


def minutes_error(example: Example) -> float:
    """Absolute error of the minutes that were served."""
    return abs(example.minutes - example.delay_minutes)


RANK = (Weather, Arrival, Cancellation, Departure, Schedule)
LOSSES = tuple(
    Loss(name, examples, of)
    for examples in (PlannedExample, DepartedExample)
    for name, of in (("log loss", lateness_loss), ("error, minutes", minutes_error))
)
