"""What could be said without a model, as it was known when the question was asked."""

from __future__ import annotations

from schemas.flights_delay import DepartedExample, PlannedExample

UNKNOWN = 0.5
RANKED_MINUTES_MIN, RANKED_MINUTES = -60.0, 1_000.0


def planned_baselines(example: PlannedExample | DepartedExample) -> dict[str, float]:
    """The last known label, the base rate, the carrier's frequency at this hour."""
    feature = example.feature
    return {
        "last_label": UNKNOWN if feature.last_late is None else float(feature.last_late),
        "base_rate": feature.base_rate,
        "carrier_hour": feature.carrier_hour_frequency,
    }


def departed_baselines(example: DepartedExample) -> dict[str, float]:
    """The same; late if it left late, as a frequency; and the departure delay as a ranking, a bin
    per minute.

    The half keeps a whole minute in the middle of its bin.
    """
    feature = example.feature
    position = (feature.departure_delay_minutes - RANKED_MINUTES_MIN + 0.5) / RANKED_MINUTES
    return {
        **planned_baselines(example),
        "left_late": feature.left_late_frequency,
        "departure_delay": min(max(position, 0.0), 1.0),
    }
