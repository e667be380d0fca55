"""All that was served at the planned horizon so far, scored: the windows, added up."""

from __future__ import annotations

from processors.monitoring.window import add_up_windows
from schemas.flights_score import PlannedScore, PlannedWindow

planned_score = add_up_windows(name="planned_score", window=PlannedWindow, score=PlannedScore)
