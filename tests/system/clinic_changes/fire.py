"""Somebody presses Ctrl-C at the third visit."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

from tests.system.clinic.flow import Count, Visit, Visits
from tests.system.clinic.flow import counts as ordinary


def count_or_end(state: Visits | None, visit: Visit) -> tuple[Visits, list[Count]]:
    """Count a visit."""
    if visit.at_ms == 2:
        os.kill(os.getpid(), signal.SIGINT)
    after, [count] = ordinary(state, visit)
    return after, [count.model_copy(update={"visits": count.visits + 1})]


counts = replace(ordinary, function=count_or_end)
