"""How bad an answer was: what a backtest compares.

A flow says so in its package, beside its `RANK`:

    LOSSES = (Loss("absolute error of the minutes", PlannedExample, minutes_error),)

A loss is read from an example, in which a question, what was served and the label are joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streams.processor import RecordClass


@dataclass(frozen=True)
class Loss:
    """A figure of one example, the lower the better; None where it has none."""

    name: str
    examples: RecordClass
    of: Callable[[Any], float | None]
