"""Snapshots of what the learners of the flow `flights` have learnt, a stream each."""

from __future__ import annotations

from schemas.flights import OWNER
from schemas.record import Stream
from schemas.snapshot import Snapshot


def _stream(noun: str) -> Stream:
    return Stream(f"flights.model.{noun}", "key", "time_ms", OWNER, compacted=True)


class PlannedModel(Snapshot, stream=_stream("planned")):
    """The model that predicts two hours before departure."""


class DepartedModel(Snapshot, stream=_stream("departed")):
    """The model that predicts when a flight leaves."""


class PlannedFrozenModel(Snapshot, stream=_stream("planned_frozen")):
    """The model that predicts two hours before departure, frozen after February 2013."""


class DepartedFrozenModel(Snapshot, stream=_stream("departed_frozen")):
    """The model that predicts when a flight leaves, frozen after February 2013."""


class PlannedDriftModel(Snapshot, stream=_stream("planned_drift")):
    """The drift detector of the planned horizon."""


class DepartedDriftModel(Snapshot, stream=_stream("departed_drift")):
    """The drift detector of the departed horizon."""
