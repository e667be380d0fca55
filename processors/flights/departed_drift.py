"""Watch the error of what was served at the departed horizon for a change."""

from __future__ import annotations

from processors.monitoring.drift import ErrorDrift
from schemas.flights_delay import DepartedExample
from schemas.flights_model import DepartedDriftModel
from schemas.flights_score import DepartedDrift
from streams.processor import Learner


def observe_departed(model: ErrorDrift, example: DepartedExample) -> list[DepartedDrift]:
    """Take in whether the served prediction was wrong; say so if the error rate changed."""
    change = model.observe((example.probability >= 0.5) != example.late)
    if change is None:
        return []
    before, after = change
    signal = DepartedDrift(
        origin=example.origin,
        at_ms=example.answered_ms,
        examples=model.observed,
        error_rate_before=before,
        error_rate_after=after,
        worse=after > before,
    )
    return [signal]


departed_drift = Learner(
    name="departed_drift",
    doc="Watch the error of what was served for a change.",
    examples=DepartedExample,
    snapshots=DepartedDriftModel,
    model=ErrorDrift,
    learn=observe_departed,
    writes=(DepartedDrift,),
)
