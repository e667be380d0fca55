"""What the four models share: when two of them freeze, and how an answer becomes a record."""

from __future__ import annotations

from typing import TypeVar

from schemas.flights_delay import MINUTES_MAX, Feature, Prediction

FROZEN_FROM_MS = 1_362_114_000_000  # 2013-03-01 00:00 in New York

P = TypeVar("P", bound=Prediction)


def served(kind: type[P], question: Feature, answer: tuple[float, float], version: int) -> P:
    """The prediction record of a model's answer (probability, minutes)."""
    probability, minutes = answer
    return kind(
        flight_id=question.flight_id,
        origin=question.origin,
        asked_ms=question.asked_ms,
        probability=probability,
        minutes=min(max(minutes, -MINUTES_MAX), MINUTES_MAX),
        model_version=version,
    )
