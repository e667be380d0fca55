"""What tests of the rooms and of the whole system compare alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from schemas import flights_delay as delay
from schemas import flights_score as score
from schemas.record import Record

if TYPE_CHECKING:
    from ops.bench.loop import LoopResult

# The record classes in each list of a LoopResult.
STREAMS: dict[str, tuple[Any, ...]] = {
    "features": (delay.PlannedFeature, delay.DepartedFeature),
    "predictions": (delay.PlannedPrediction, delay.DepartedPrediction),
    "examples": (delay.PlannedExample, delay.DepartedExample),
    "censored": (delay.PlannedCensored, delay.DepartedCensored),
    "scores": (
        score.PlannedWindow, score.PlannedScore, score.DepartedWindow, score.DepartedScore,
    ),
    "drifts": (score.PlannedDrift, score.DepartedDrift),
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the tests, one has all that need the broker, so that there is one
    broker; what is held to seconds comes last, when the other has done with the rest.
    """
    for item in items:
        if item.get_closest_marker("broker"):
            item.add_marker(pytest.mark.xdist_group("broker"))
    items.sort(key=lambda item: item.get_closest_marker("timed") is not None)


@pytest.fixture
def equal() -> Callable[[Callable[[type[Record]], list[Any]], list[LoopResult]], None]:
    """Compare the flow `flights`, read one decoded stream at a time, with bare loops, so that each
    float is compared as a float.
    """
    return assert_equal


def assert_equal(read: Callable[[type[Record]], list[Any]], results: list[LoopResult]) -> None:
    for name, kinds in STREAMS.items():
        for kind in kinds:
            expected = [r for result in results for r in getattr(result, name) if type(r) is kind]
            found = read(kind)
            alike = found == expected  # of so many records no difference is worth printing
            assert alike, f"{kind.__name__}: {len(found)} found, {len(expected)} expected"
            assert found or name not in ("predictions", "scores"), f"no {kind.__name__}"
