"""Pair questions with answers: what was known and served at the time, and the label that came
later or never.

A question stays open from its feature record until its answer, a cancellation, or its limit. What
is written says what was served then, never what would be said now, so that a model is scored on
its word and learns from what it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.record import Record
from streams.errors import Refusal
from streams.processor import Processor, days, fold

OPEN_MS_MAX = days(2)
RecordClass = type[Record]


def label_join(
    *,
    name: str,
    key: str,
    state: RecordClass,
    feature: RecordClass,
    predictions: dict[RecordClass, str],
    answers: tuple[RecordClass, ...],
    writes: tuple[RecordClass, ...],
    close: Callable[[Any, Any], Record],
    expire: Callable[[Any, int], Record],
    refuses_unknown: bool,
) -> Processor:
    """A fold that joins a question to its answer.

    Parameters
    ----------
    name
        The processor's name.
    key
        The field that names the question, in all the records.
    state
        What is remembered of an open question: `feature`, and a nullable field for each of
        `predictions`.
    feature
        The question; it opens the state.
    predictions
        The field of `state` in which the prediction of a class is kept.
    answers, writes
        What closes a question, and what comes of it.
    close, expire
        What to write for (state, answer) and for (state, deadline in ms).
    refuses_unknown
        Whether an answer to no open question is a dead letter. Where several joins read the same
        answers, one of them says so.
    """
    opened: Callable[..., Record] = state

    @fold(
        reads=(feature, *predictions, *answers),
        writes=writes,
        state=state,
        key=key,
        name=name,
        expires=OPEN_MS_MAX,
    )
    def join(pending: Any, record: Any) -> tuple[Any, list[Record]]:
        """Pair a question with its answer."""
        kind = record.__class__
        if kind is feature:
            return opened(feature=record), []
        if kind in predictions:
            if pending is None:
                raise Refusal(
                    f"there is no open question {getattr(record, key)} to keep this prediction for"
                )
            return pending.model_copy(update={predictions[kind]: record}), []
        if pending is not None:
            return None, [close(pending, record)]
        if refuses_unknown:
            raise Refusal(f"question {getattr(record, key)} is unknown or closed")
        return None, []

    @join.expired
    def expire_question(pending: Any, at_ms: int) -> list[Record]:
        """Give up a question."""
        return [expire(pending, at_ms)]

    return join
