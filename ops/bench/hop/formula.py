"""The arithmetic of a hop, in an order that gives the same floats in Python and in Java.

It imports nothing of ours: peers run it in environments of their own.
"""

from __future__ import annotations

from math import sqrt


def derived(
    a: float, b: float, c: float, d: float, e: float, f: float
) -> tuple[float, float, float, float]:
    """Mean, spread, magnitude and surprise of six measurements.

    >>> derived(1.0, 2.0, 3.0, 4.0, 5.0, 9.0)
    (4.0, 8.0, 11.661903789690601, 0.5555555555555556)
    """
    mean = (a + b + c + d + e + f) / 6
    spread = max(a, b, c, d, e, f) - min(a, b, c, d, e, f)
    magnitude = sqrt(a * a + b * b + c * c + d * d + e * e + f * f)
    return mean, spread, magnitude, (f - mean) / (1 + spread)
