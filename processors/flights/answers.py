"""What the label joins write: an example when the flight arrived, else why there is none."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from processors.flights.known import is_late
from schemas.flights import Arrival, Cancellation
from schemas.flights_delay import (
    Censored,
    DepartedExample,
    DepartedFeature,
    DepartedFrozen,
    DepartedPrediction,
    Feature,
    PlannedExample,
    PlannedFeature,
    PlannedFrozen,
    PlannedPrediction,
)
from schemas.record import Record, field

C = TypeVar("C", bound=Censored)
Reason = Literal["cancelled", "diverted", "expired"]
E = TypeVar("E", PlannedExample, DepartedExample)


class PlannedPending(Record):
    """An open question of the planned horizon."""

    feature: PlannedFeature = field("What was known.")
    prediction: PlannedPrediction | None = field("What was served.", default=None)
    frozen: PlannedFrozen | None = field("What the frozen model said.", default=None)


class DepartedPending(Record):
    """An open question of the departed horizon."""

    feature: DepartedFeature = field("What was known.")
    prediction: DepartedPrediction | None = field("What was served.", default=None)
    frozen: DepartedFrozen | None = field("What the frozen model said.", default=None)


def answered(
    example: type[E], censored: type[C], pending: Any, answer: Arrival | Cancellation
) -> E | C:
    """The example, or the censored question, that an answer makes of an open one."""
    if isinstance(answer, Cancellation):
        return given_up(censored, pending.feature, answer.cancelled_ms, "cancelled")
    if answer.delay_minutes is None:
        return given_up(censored, pending.feature, answer.arrived_ms, "diverted")
    feature, prediction, frozen = pending.feature, pending.prediction, pending.frozen
    return example(
        flight_id=feature.flight_id,
        origin=feature.origin,
        asked_ms=feature.asked_ms,
        answered_ms=answer.arrived_ms,
        late=is_late(answer.delay_minutes),
        delay_minutes=answer.delay_minutes,
        probability=prediction.probability,
        minutes=prediction.minutes,
        model_version=prediction.model_version,
        frozen_probability=None if frozen is None else frozen.probability,
        frozen_minutes=None if frozen is None else frozen.minutes,
        feature=feature,
    )


def given_up(censored: type[C], feature: Feature, closed_ms: int, reason: Reason) -> C:
    """The censored question."""
    return censored(
        flight_id=feature.flight_id,
        origin=feature.origin,
        asked_ms=feature.asked_ms,
        closed_ms=closed_ms,
        reason=reason,
    )
