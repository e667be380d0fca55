"""The label join of the planned horizon.

Every flight is confirmed before anything else happens to it, so this is the join that refuses an
answer to no open question.
"""

from __future__ import annotations

from functools import partial

from processors.flights.answers import PlannedPending, answered, given_up
from processors.labelling.label_join import label_join
from schemas.flights import Arrival, Cancellation
from schemas.flights_delay import (
    PlannedCensored,
    PlannedExample,
    PlannedFeature,
    PlannedFrozen,
    PlannedPrediction,
)


def expire_planned(pending: PlannedPending, at_ms: int) -> PlannedCensored:
    """Give up a question of which nothing was heard."""
    return given_up(PlannedCensored, pending.feature, at_ms, "expired")


planned_join = label_join(
    name="planned_join",
    key="flight_id",
    state=PlannedPending,
    feature=PlannedFeature,
    predictions={PlannedPrediction: "prediction", PlannedFrozen: "frozen"},
    answers=(Arrival, Cancellation),
    writes=(PlannedExample, PlannedCensored),
    close=partial(answered, PlannedExample, PlannedCensored),
    expire=expire_planned,
    refuses_unknown=True,
)
