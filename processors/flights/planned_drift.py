"""Watch the error of what was served at the planned horizon for a change."""

from __future__ import annotations

from processors.monitoring.drift import ErrorDrift
from schemas.flights_delay import PlannedExample
from schemas.flights_model import PlannedDriftModel
from schemas.flights_score import PlannedDrift
from streams.processor import Learner


def observe_planned(model: ErrorDrift, example: PlannedExample) -> list[PlannedDrift]:
    """Take in whether the served prediction was wrong; say so if the error rate changed."""
    change = model.observe((example.probability >= 0.5) != example.late)
    if change is None:
        return []
    before, after = change
    signal = PlannedDrift(
        origin=example.origin,
        at_ms=example.answered_ms,
        examples=model.observed,
        error_rate_before=before,
        error_rate_after=after,
        worse=after > before,
    )
    return [signal]


planned_drift = Learner(
    name="planned_drift",
    doc="Watch the error of what was served for a change.",
    examples=PlannedExample,
    snapshots=PlannedDriftModel,
    model=ErrorDrift,
    learn=observe_planned,
    writes=(PlannedDrift,),
)
