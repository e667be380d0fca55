"""The flow `flights`: will a flight from New York arrive late? Asked two hours before departure,
and again when it leaves.

Events (weather, schedule, departure, arrival, cancellation) are folded into features; a model per
horizon answers them and learns from what arrives; beside it runs one that stopped learning after
February. A join per horizon pairs questions with answers, and what was served is scored against
simple baselines and watched for drift. Everything is keyed by the airport of departure.
"""

from __future__ import annotations

from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather

RANK = (Weather, Arrival, Cancellation, Departure, Schedule)
