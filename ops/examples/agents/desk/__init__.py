"""The flow `desk`: which passengers' cases are open at an airport's service desk."""

from __future__ import annotations

from ops.examples.agents.desk.records import Delay, Rebooking

RANK = (Delay, Rebooking)
