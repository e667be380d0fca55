"""Watch the error of what was served for a change that chance does not explain.

The detector sees the error of the prediction that was served, never of one made afresh: a model
that has learnt meanwhile would hide what its users saw. ADWIN keeps a window of errors and cuts
it where two halves differ too much; it notices a change for the better as well, so the means
before and after say which it was.

ADWIN's bound is for errors that are independent. Those of flights come in storms: at its usual
confidence of 0.002 something changes every day; at 1e-12, what is left are weeks that differ.
"""

from __future__ import annotations

from river.drift import ADWIN

DELTA = 1e-12


class ErrorDrift:
    """ADWIN on error bits.

    >>> drift = ErrorDrift()
    >>> changes = [drift.observe(i % 10 == 0) for i in range(2_000)]
    >>> changes += [drift.observe(i % 2 == 0) for i in range(2_000)]
    >>> [(round(before, 1), after > before) for before, after in filter(None, changes)][0]
    (0.1, True)

    References
    ----------
    Bifet, Gavalda: Learning from time-changing data with adaptive windowing. SDM 2007.
    """

    def __init__(self) -> None:
        self.window = ADWIN(delta=DELTA)
        self.observed = 0

    def observe(self, error: bool) -> tuple[float, float] | None:
        """Take in one error bit (true is wrong); returns (rate before, rate after) on a change."""
        before: float = self.window.estimation
        self.observed += 1
        self.window.update(int(error))
        if not self.window.drift_detected:
            return None
        after: float = self.window.estimation
        return before, after
