"""The planned model of the end of February: what the other would be, had it stopped learning."""

from __future__ import annotations

from processors.flights.inputs import planned_inputs
from processors.flights.planned import learn_planned
from processors.flights.serve import FROZEN_FROM_MS, served
from processors.learning.delay_model import DelayModel
from schemas.flights_delay import PlannedExample, PlannedFeature, PlannedFrozen
from schemas.flights_model import PlannedFrozenModel
from streams.processor import Learner


def predict_planned_frozen(
    model: DelayModel, question: PlannedFeature, version: int
) -> PlannedFrozen | None:
    """Predict like the planned model, but not before it is frozen."""
    if question.asked_ms < FROZEN_FROM_MS:
        return None
    return served(PlannedFrozen, question, model.predict(planned_inputs(question)), version)


planned_frozen = Learner(
    name="planned_frozen",
    doc="Predict two hours before departure with what was learnt until the end of February.",
    questions=PlannedFeature,
    predicts=PlannedFrozen,
    examples=PlannedExample,
    snapshots=PlannedFrozenModel,
    model=DelayModel,
    predict=predict_planned_frozen,
    learn=learn_planned,
    until_ms=FROZEN_FROM_MS,
)
