"""The label join of the departed horizon.

A cancelled flight never asked here; answers to no open question are refused by the planned join,
and passed over by this one.
"""

from __future__ import annotations

from functools import partial

from processors.flights.answers import DepartedPending, answered, given_up
from processors.labelling.label_join import label_join
from schemas.flights import Arrival, Cancellation
from schemas.flights_delay import (
    DepartedCensored,
    DepartedExample,
    DepartedFeature,
    DepartedFrozen,
    DepartedPrediction,
)


def expire_departed(pending: DepartedPending, at_ms: int) -> DepartedCensored:
    """Give up a question of which nothing was heard."""
    return given_up(DepartedCensored, pending.feature, at_ms, "expired")


departed_join = label_join(
    name="departed_join",
    key="flight_id",
    state=DepartedPending,
    feature=DepartedFeature,
    predictions={DepartedPrediction: "prediction", DepartedFrozen: "frozen"},
    answers=(Arrival, Cancellation),
    writes=(DepartedExample, DepartedCensored),
    close=partial(answered, DepartedExample, DepartedCensored),
    expire=expire_departed,
    refuses_unknown=False,
)
