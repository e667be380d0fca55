"""All that was served at the departed horizon so far, scored: the windows, added up."""

from __future__ import annotations

from processors.monitoring.window import add_up_windows
from schemas.flights_score import DepartedScore, DepartedWindow

departed_score = add_up_windows(name="departed_score", window=DepartedWindow, score=DepartedScore)
