"""What was served at the departed horizon, scored by the thousand beside simple baselines."""

from __future__ import annotations

from processors.flights.baselines import departed_baselines
from processors.monitoring.window import score_windows
from schemas.flights_delay import DepartedCensored, DepartedExample, DepartedPrediction
from schemas.flights_score import DepartedWindow

departed_window = score_windows(
    name="departed_window",
    prediction=DepartedPrediction,
    example=DepartedExample,
    censored=DepartedCensored,
    window=DepartedWindow,
    baselines=departed_baselines,
    ranking="departure_delay",
)
