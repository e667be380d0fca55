from __future__ import annotations

import pickle
from random import Random

from processors.monitoring.drift import ErrorDrift


def observed(rates: list[float], each: int = 3_000) -> list[tuple[int, float, float]]:
    """Where an error whose rate takes these values in turn was seen to change, and how."""
    random, drift, changes = Random(7), ErrorDrift(), []
    for at in range(each * len(rates)):
        change = drift.observe(random.random() < rates[at // each])
        if change is not None:
            changes.append((at, *change))
    return changes


def test_more_errors_are_noticed_as_worse() -> None:
    (at, before, after), *_ = observed([0.1, 0.4])
    assert 3_000 < at < 3_400
    assert before < after


def test_fewer_errors_are_noticed_as_better() -> None:
    (at, before, after), *_ = observed([0.4, 0.1])
    assert 3_000 < at < 3_400
    assert before > after


def test_steady_errors_are_no_drift() -> None:
    assert observed([0.25] * 4) == []


def test_pickled_detector_goes_on_where_it_was() -> None:
    random, first = Random(7), ErrorDrift()
    for _ in range(2_500):
        first.observe(random.random() < 0.1)
    second = pickle.loads(pickle.dumps(first))
    bits = [random.random() < 0.5 for _ in range(1_000)]
    seen = [first.observe(bit) for bit in bits]
    assert seen == [second.observe(bit) for bit in bits]
    assert any(seen)
