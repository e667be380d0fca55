"""A worker with several units serves them by turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.broker

FLIGHTS = 150
STREAM = "flights.prediction.planned"


def test_no_unit_waits_until_another_has_caught_up(
    flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(2)
    system.load(FLIGHTS)
    worker = start("worker", "flights", DOA_BATCH_RECORDS_MAX=10)
    until("all done", lambda: worker.check() or system.finished())
    assert worker.end() == 0
    written = system.stored([STREAM])
    first, second = ([s.appended_ms for s in written[STREAM, number]] for number in range(2))
    assert len(first) + len(second) == FLIGHTS
    assert first[len(first) // 4] < second[-1]
    assert second[len(second) // 4] < first[-1]
