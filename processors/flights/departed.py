"""The learner of the departed horizon: asked when a flight leaves, taught by every arrival.

The departure delay is the anchor of the minutes: the model only learns how much a flight gains or
loses on its way.
"""

from __future__ import annotations

from processors.flights.inputs import departed_inputs
from processors.flights.serve import served
from processors.learning.delay_model import DelayModel
from schemas.flights_delay import DepartedExample, DepartedFeature, DepartedPrediction
from schemas.flights_model import DepartedModel
from streams.processor import Learner


def predict_departed(
    model: DelayModel, question: DepartedFeature, version: int
) -> DepartedPrediction:
    """Predict from what is known when the flight leaves."""
    answer = model.predict(departed_inputs(question), question.departure_delay_minutes)
    return served(DepartedPrediction, question, answer, version)


def learn_departed(model: DelayModel, example: DepartedExample) -> None:
    """Learn from what was known when the flight left."""
    model.learn(
        departed_inputs(example.feature),
        late=example.late,
        minutes=example.delay_minutes,
        anchor=example.feature.departure_delay_minutes,
    )


departed = Learner(
    name="departed",
    doc="Predict arrival delays when flights leave, and learn from every arrival.",
    questions=DepartedFeature,
    predicts=DepartedPrediction,
    examples=DepartedExample,
    snapshots=DepartedModel,
    model=DelayModel,
    predict=predict_departed,
    learn=learn_departed,
)
