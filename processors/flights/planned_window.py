"""What was served at the planned horizon, scored by the thousand beside simple baselines."""

from __future__ import annotations

from processors.flights.baselines import planned_baselines
from processors.monitoring.window import score_windows
from schemas.flights_delay import PlannedCensored, PlannedExample, PlannedPrediction
from schemas.flights_score import PlannedWindow

planned_window = score_windows(
    name="planned_window",
    prediction=PlannedPrediction,
    example=PlannedExample,
    censored=PlannedCensored,
    window=PlannedWindow,
    baselines=planned_baselines,
)
