"""The departed model of the end of February: what the other would be, had it stopped learning."""

from __future__ import annotations

from processors.flights.departed import learn_departed
from processors.flights.inputs import departed_inputs
from processors.flights.serve import FROZEN_FROM_MS, served
from processors.learning.delay_model import DelayModel
from schemas.flights_delay import DepartedExample, DepartedFeature, DepartedFrozen
from schemas.flights_model import DepartedFrozenModel
from streams.processor import Learner


def predict_departed_frozen(
    model: DelayModel, question: DepartedFeature, version: int
) -> DepartedFrozen | None:
    """Predict like the departed model, but not before it is frozen."""
    if question.asked_ms < FROZEN_FROM_MS:
        return None
    answer = model.predict(departed_inputs(question), question.departure_delay_minutes)
    return served(DepartedFrozen, question, answer, version)


departed_frozen = Learner(
    name="departed_frozen",
    doc="Predict when flights leave with what was learnt until the end of February.",
    questions=DepartedFeature,
    predicts=DepartedFrozen,
    examples=DepartedExample,
    snapshots=DepartedFrozenModel,
    model=DelayModel,
    predict=predict_departed_frozen,
    learn=learn_departed,
    until_ms=FROZEN_FROM_MS,
)
