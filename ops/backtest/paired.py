"""The mean of paired differences, and its interval.

Examples of one day are alike: weather and congestion hit all of them, so they count as one draw.
The variance of the mean is that of the sums of days (clusters), after Liang and Zeger, with
Student's t of days - 1 degrees of freedom.

References
----------
Liang, Zeger: Longitudinal data analysis using generalized linear models. Biometrika 73 (1986).
Cameron, Miller: A practitioner's guide to cluster-robust inference. J. Human Resources 50 (2015).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

DAY_MS = 86_400_000
CONFIDENCE = 0.95
DAYS_MIN = 2


@dataclass
class Day:
    """Examples of one day, and the sum of their differences."""

    examples: int = 0
    difference: float = 0.0


@dataclass
class Paired:
    """One loss of the same examples, before and after a change.

    >>> paired = Paired()
    >>> for day, (before, after) in enumerate([(1.0, 0.5), (1.0, 0.75), (2.0, 1.5)]):
    ...     paired.add(day * DAY_MS, before, after)
    >>> paired.before, paired.after, paired.difference
    (1.3333333333333333, 0.9166666666666666, -0.4166666666666667)
    >>> [round(end, 3) for end in paired.interval]
    [-0.775, -0.058]
    """

    examples: int = 0
    before_sum: float = 0.0
    after_sum: float = 0.0
    days: dict[int, Day] = field(default_factory=dict)

    def add(self, at_ms: int, before: float, after: float) -> None:
        """Take one example, by its event time."""
        self.examples += 1
        self.before_sum += before
        self.after_sum += after
        day = self.days.setdefault(at_ms // DAY_MS, Day())
        day.examples += 1
        day.difference += after - before

    @property
    def before(self) -> float | None:
        """Mean loss of what ran."""
        return self.before_sum / self.examples if self.examples else None

    @property
    def after(self) -> float | None:
        """Mean loss of the change."""
        return self.after_sum / self.examples if self.examples else None

    @property
    def difference(self) -> float | None:
        """Mean of after - before: below zero the change is better."""
        total = sum(day.difference for day in self.days.values())
        return total / self.examples if self.examples else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the difference lies at 95 %; None of fewer than two days."""
        mean, count = self.difference, len(self.days)
        if mean is None or count < DAYS_MIN:
            return None
        from scipy.stats import t

        spread = sum((d.difference - mean * d.examples) ** 2 for d in self.days.values())
        error = sqrt(count / (count - 1) * spread) / self.examples
        reach = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
        return mean - reach, mean + reach
