"""Scores that add up: sums and a histogram of what was served, and the figures that follow from
them.

`merge` is pure, associative and independent of order but for rounding: windows of one airport
make its score so far, and scores of several airports make that of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import TypeVar

from schemas.flights_score import Month, Score, Tally

BINS = 1_000
PROBABILITY_MIN = 1e-6

S = TypeVar("S", bound=Score)
Counts = dict[int, tuple[int, int]]


def log_loss(probability: float, late: bool) -> float:
    """Log loss of one probability, clipped.

    >>> log_loss(0.5, True) == log_loss(0.5, False)
    True
    >>> round(log_loss(0.0, True), 4)
    13.8155
    """
    right = probability if late else 1 - probability
    return -log(min(max(right, PROBABILITY_MIN), 1 - PROBABILITY_MIN))


def tally(
    probabilities: Sequence[float], lates: Sequence[bool], errors: Sequence[float] | None = None
) -> Tally:
    """Count probabilities against labels; `errors` are the absolute errors of the minutes, if any.

    >>> scored = tally([0.9, 0.2, 0.6], [True, False, False], [4.0, 2.0, 0.0])
    >>> scored.correct, scored.roc_auc, scored.mae
    (2, 1.0, 2.0)
    """
    return _tally(
        _histogram(probabilities, lates),
        correct=sum((p >= 0.5) == late for p, late in zip(probabilities, lates, strict=True)),
        log_loss_sum=sum(map(log_loss, probabilities, lates)),
        absolute_error_sum=sum(errors or ()),
        classifies=True,
        minutes=errors is not None,
    )


def tally_ranking(positions: Sequence[float], lates: Sequence[bool]) -> Tally:
    """Count a ranking, given as positions in [0, 1]: it has an AUC and nothing else."""
    return _tally(_histogram(positions, lates))


def roc_auc(lates: Sequence[int], punctuals: Sequence[int]) -> float | None:
    """Area under the ROC curve of a histogram by ascending probability; equal bins count as ties.

    >>> roc_auc([0, 1, 2], [2, 1, 0])
    0.9444444444444444
    """
    below, pairs = 0, 0
    for late, punctual in zip(lates, punctuals, strict=True):
        pairs += late * (2 * below + punctual)
        below += punctual
    late_count = sum(lates)
    return pairs / (2 * late_count * below) if late_count and below else None


def merge_tallies(left: Tally, right: Tally) -> Tally:
    """Add up two tallies of one way to predict."""
    counts = _counts(left)
    for place, (late, punctual) in _counts(right).items():
        before = counts.get(place, (0, 0))
        counts[place] = (before[0] + late, before[1] + punctual)
    return _tally(
        counts,
        correct=left.correct + right.correct,
        log_loss_sum=left.log_loss_sum + right.log_loss_sum,
        absolute_error_sum=left.absolute_error_sum + right.absolute_error_sum,
        classifies=left.log_loss is not None or right.log_loss is not None,
        minutes=left.mae is not None or right.mae is not None,
    )


def merge(kind: type[S], scores: Iterable[Score]) -> S:
    """Add up scores of windows or airports; origin is that of the first, time the latest."""
    merged: Score | None = None
    for score in scores:
        merged = score if merged is None else _merge_two(kind, merged, score)
    assert merged is not None, "there is no score to merge"
    return merged if isinstance(merged, kind) else kind(**dict(merged))


def _merge_two(kind: type[S], left: Score, right: Score) -> S:
    asked, examples = left.asked + right.asked, left.examples + right.examples
    return kind(
        origin=left.origin,
        begins_ms=min(left.begins_ms, right.begins_ms),
        at_ms=max(left.at_ms, right.at_ms),
        asked=asked,
        examples=examples,
        censored=left.censored + right.censored,
        coverage=examples / asked if asked else None,
        model=merge_tallies(left.model, right.model),
        frozen=_merge_optional(left.frozen, right.frozen),
        beside_frozen=_merge_optional(left.beside_frozen, right.beside_frozen),
        baselines=_merge_baselines(left.baselines, right.baselines),
        months=_merge_months(left.months, right.months),
    )


def _merge_optional(left: Tally | None, right: Tally | None) -> Tally | None:
    if left is None or right is None:
        return left or right
    return merge_tallies(left, right)


def _merge_baselines(left: Mapping[str, Tally], right: Mapping[str, Tally]) -> dict[str, Tally]:
    """A window without examples has no baselines."""
    merged = dict(left)
    for name, sums in right.items():
        merged[name] = merge_tallies(left[name], sums) if name in left else sums
    return merged


def _merge_months(left: Mapping[str, Month], right: Mapping[str, Month]) -> dict[str, Month]:
    months = dict(left)
    for name, month in right.items():
        before = months.get(name)
        if before is None:
            months[name] = month
            continue
        months[name] = Month(**{k: v + getattr(before, k) for k, v in dict(month).items()})
    return dict(sorted(months.items()))


def _histogram(probabilities: Sequence[float], lates: Sequence[bool]) -> Counts:
    counts: Counts = {}
    for probability, late in zip(probabilities, lates, strict=True):
        place = min(int(probability * BINS), BINS - 1)
        late_count, punctual_count = counts.get(place, (0, 0))
        counts[place] = (late_count + late, punctual_count + (not late))
    return counts


def _counts(sums: Tally) -> Counts:
    return dict(zip(sums.bins, zip(sums.lates, sums.punctuals, strict=True), strict=True))


def _tally(
    counts: Counts,
    *,
    correct: int = 0,
    log_loss_sum: float = 0.0,
    absolute_error_sum: float = 0.0,
    classifies: bool = False,
    minutes: bool = False,
) -> Tally:
    """The sums, and the figures that follow from them."""
    bins = sorted(counts)
    lates = [counts[place][0] for place in bins]
    punctuals = [counts[place][1] for place in bins]
    examples = sum(lates) + sum(punctuals)
    return Tally(
        examples=examples,
        correct=correct,
        log_loss_sum=log_loss_sum,
        absolute_error_sum=absolute_error_sum,
        bins=bins,
        lates=lates,
        punctuals=punctuals,
        accuracy=correct / examples if classifies and examples else None,
        log_loss=log_loss_sum / examples if classifies and examples else None,
        roc_auc=roc_auc(lates, punctuals),
        mae=absolute_error_sum / examples if minutes and examples else None,
    )
