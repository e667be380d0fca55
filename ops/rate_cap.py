"""How many records a person can look at: so many in each second pass, the rest is counted."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_S = 1.0


@dataclass
class RateCap:
    """Lets the first records of each second pass; `most` 0 lets all."""

    most: int
    since_s: float = float("-inf")
    passed: int = 0
    missed: int = 0

    def passes(self, now_s: float) -> bool:
        """Whether a record of this moment is shown.

        >>> cap = RateCap(2)
        >>> [cap.passes(now_s) for now_s in (0.0, 0.1, 0.2, 0.9, 1.0)]
        [True, True, False, False, True]
        >>> cap.take_missed(), cap.take_missed()
        (2, 0)
        """
        if now_s - self.since_s >= SECOND_S:
            self.since_s, self.passed = now_s, 0
        if self.most and self.passed >= self.most:
            self.missed += 1
            return False
        self.passed += 1
        return True

    def take_missed(self) -> int:
        """How many were not shown since this was asked."""
        missed, self.missed = self.missed, 0
        return missed
