"""The learner of the planned horizon: asked two hours before, taught by every arrival."""

from __future__ import annotations

from processors.flights.inputs import planned_inputs
from processors.flights.serve import served
from processors.learning.delay_model import DelayModel
from schemas.flights_delay import PlannedExample, PlannedFeature, PlannedPrediction
from schemas.flights_model import PlannedModel
from streams.processor import Learner


def predict_planned(model: DelayModel, question: PlannedFeature, version: int) -> PlannedPrediction:
    """Predict from what is known two hours before departure."""
    return served(PlannedPrediction, question, model.predict(planned_inputs(question)), version)


def learn_planned(model: DelayModel, example: PlannedExample) -> None:
    """Learn from what was known two hours before departure."""
    inputs = planned_inputs(example.feature)
    model.learn(inputs, late=example.late, minutes=example.delay_minutes)


planned = Learner(
    name="planned",
    doc="Predict arrival delays two hours before departure, and learn from every arrival.",
    questions=PlannedFeature,
    predicts=PlannedPrediction,
    examples=PlannedExample,
    snapshots=PlannedModel,
    model=DelayModel,
    predict=predict_planned,
    learn=learn_planned,
)
