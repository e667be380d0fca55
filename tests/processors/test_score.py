from __future__ import annotations

from random import Random

import pytest

from processors.monitoring.score import BINS, log_loss, merge, merge_tallies, roc_auc, tally
from schemas.flights_score import Month, PlannedScore, PlannedWindow, Score


def exact_auc(probabilities: list[float], lates: list[bool]) -> float:
    """The share of pairs in the right order, ties for a half, from average ranks."""
    order = sorted(range(len(lates)), key=lambda i: probabilities[i])
    ranks = [0.0] * len(lates)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and probabilities[order[end]] == probabilities[order[at]]:
            end += 1
        for i in order[at:end]:
            ranks[i] = (at + end + 1) / 2
        at = end
    count = sum(lates)
    total = sum(rank for rank, late in zip(ranks, lates, strict=True) if late)
    return (total - count * (count + 1) / 2) / (count * (len(lates) - count))


def skewed(seed: int, count: int) -> tuple[list[float], list[bool]]:
    """Probabilities that crowd near zero, as those of a good model of a rare label do."""
    random = Random(seed)
    probabilities = [random.betavariate(0.6, 3.0) for _ in range(count)]
    return probabilities, [random.random() < p for p in probabilities]


@pytest.mark.parametrize("seed", range(5))
def test_auc_of_the_histogram_is_exact_to_a_thousandth(seed: int) -> None:
    probabilities, lates = skewed(seed, 5_000)
    scored = tally(probabilities, lates)
    assert scored.roc_auc == pytest.approx(exact_auc(probabilities, lates), abs=0.001)
    assert BINS >= 1_000


def test_figures_of_a_tally() -> None:
    scored = tally([0.9, 0.5, 0.4, 0.0], [True, False, False, True], [1.0, 2.0, 3.0, 6.0])
    assert (scored.examples, scored.correct, scored.accuracy) == (4, 2, 0.5)
    assert scored.log_loss == pytest.approx((0.10536 + 0.69315 + 0.51083 + 13.81551) / 4, abs=1e-5)
    assert scored.mae == 3.0
    assert scored.roc_auc == 0.5
    assert (scored.bins, scored.lates, scored.punctuals) == (
        [0, 400, 500, 900],
        [1, 0, 0, 1],
        [0, 1, 1, 0],
    )


def test_auc_of_one_label_is_null() -> None:
    assert tally([0.1, 0.2], [False, False]).roc_auc is None
    assert roc_auc([], []) is None


def test_log_loss_is_clipped_on_both_sides() -> None:
    assert log_loss(1.0, False) == log_loss(0.0, True) == pytest.approx(13.815511)
    assert log_loss(1.0, True) == log_loss(0.0, False) == pytest.approx(1e-6, rel=1e-3)


def test_merged_tallies_are_the_tally_of_all() -> None:
    probabilities, lates = skewed(7, 300)
    errors = [float(i % 9) for i in range(300)]
    whole = tally(probabilities, lates, errors)
    left = tally(probabilities[:100], lates[:100], errors[:100])
    right = tally(probabilities[100:], lates[100:], errors[100:])
    for merged in (merge_tallies(left, right), merge_tallies(right, left)):
        assert (merged.bins, merged.lates, merged.punctuals) == (
            whole.bins,
            whole.lates,
            whole.punctuals,
        )
        assert (merged.correct, merged.roc_auc, merged.mae) == (
            whole.correct,
            whole.roc_auc,
            whole.mae,
        )
        assert merged.log_loss == pytest.approx(whole.log_loss)


def window(origin: str, at_ms: int, frozen: bool) -> PlannedWindow:
    scored = tally([0.8, 0.1], [True, False], [4.0, 2.0])
    month = Month(
        examples=2,
        log_loss_sum=0.5,
        frozen_examples=1,
        frozen_log_loss_sum=0.25,
        beside_log_loss_sum=0.125,
    )
    return PlannedWindow(
        origin=origin,
        begins_ms=at_ms - 1_000,
        at_ms=at_ms,
        asked=4,
        examples=2,
        censored=1,
        coverage=0.5,
        model=scored,
        frozen=scored if frozen else None,
        beside_frozen=scored if frozen else None,
        baselines={"base_rate": scored},
        months={"2013-07": month},
    )


def test_scores_of_airports_add_up() -> None:
    at_ms = 1_375_000_000_000
    merged: Score = merge(
        PlannedScore, [window("EWR", at_ms, False), window("JFK", at_ms + 9, True)]
    )
    assert (merged.origin, merged.begins_ms, merged.at_ms) == ("EWR", at_ms - 1_000, at_ms + 9)
    assert (merged.asked, merged.examples, merged.censored, merged.coverage) == (8, 4, 2, 0.5)
    assert (merged.model.examples, merged.model.accuracy, merged.model.mae) == (4, 1.0, 3.0)
    assert merged.frozen is not None
    assert merged.frozen.examples == 2
    assert merged.baselines["base_rate"].examples == 4
    assert merged.months["2013-07"].model_dump() == {
        "examples": 4,
        "log_loss_sum": 1.0,
        "frozen_examples": 2,
        "frozen_log_loss_sum": 0.5,
        "beside_log_loss_sum": 0.25,
    }


def test_one_score_is_its_own_sum() -> None:
    one = window("EWR", 1_375_000_000_000, True)
    assert merge(PlannedScore, [one]).model_dump() == one.model_dump()
