from __future__ import annotations

from typing import Any

import pytest

from schemas.flights_delay import (
    DepartedCensored,
    DepartedExample,
    DepartedFrozen,
    DepartedPrediction,
    PlannedCensored,
    PlannedExample,
    PlannedFrozen,
    PlannedPrediction,
)
from schemas.flights_score import DepartedScore, PlannedScore
from schemas.record import Record
from streams.driver import Driver
from streams.processor import Clock, days
from streams.topology import discover


def flow(*records: Record | Clock) -> Driver:
    return Driver(discover().flow("flights")).run(records)


def test_arrival_answers_both_questions_with_what_was_served(events: Any) -> None:
    driver = flow(
        events.schedule(1), events.departure(1, 130, delay=10), events.arrival(1, 250, 15)
    )
    (planned,), (departed,) = driver.read(PlannedExample), driver.read(DepartedExample)
    (asked,), (left,) = driver.read(PlannedPrediction), driver.read(DepartedPrediction)
    assert (planned.late, planned.delay_minutes) == (departed.late, departed.delay_minutes)
    assert (planned.late, planned.delay_minutes) == (True, 15.0)
    assert (planned.asked_ms, planned.answered_ms) == (events.at(0), events.at(250))
    assert (departed.asked_ms, departed.answered_ms) == (events.at(130), events.at(250))
    assert (planned.probability, planned.minutes) == (asked.probability, asked.minutes)
    assert (departed.probability, departed.minutes) == (left.probability, left.minutes)
    assert (asked.probability, asked.minutes, asked.model_version) == (0.5, 0.0, 0)
    assert (left.probability, left.minutes, left.model_version) == (0.5, 10.0, 0)
    assert departed.feature.departure_delay_minutes == 10.0
    assert planned.frozen_probability is departed.frozen_probability is None


def test_fourteen_minutes_are_not_late(events: Any) -> None:
    driver = flow(events.schedule(1), events.arrival(1, 250, 14))
    assert [e.late for e in driver.read(PlannedExample)] == [False]


def test_prediction_is_of_the_model_before_the_answer_and_learns_after(events: Any) -> None:
    driver = flow(
        events.schedule(1, 0),
        events.schedule(2, 10),
        events.arrival(1, 200, 60),
        events.schedule(3, 200),
        events.arrival(2, 210, 60),
    )
    predictions = driver.read(PlannedPrediction)
    assert [p.model_version for p in predictions] == [0, 0, 1]
    assert predictions[0].probability == predictions[1].probability == 0.5
    assert predictions[2].probability > 0.5
    assert [e.model_version for e in driver.read(PlannedExample)] == [0, 0]


def test_cancelled_flight_is_censored(events: Any) -> None:
    driver = flow(events.schedule(1), events.cancellation(1, 480))
    assert [c.model_dump() for c in driver.read(PlannedCensored)] == [
        {
            "flight_id": "2013-01-01.UA.1.EWR",
            "origin": "EWR",
            "asked_ms": events.at(0),
            "closed_ms": events.at(480),
            "reason": "cancelled",
        }
    ]
    assert driver.read(DepartedCensored) == driver.read(PlannedExample) == driver.dead_letters == []


def test_diverted_flight_is_censored_and_never_a_label(events: Any) -> None:
    driver = flow(events.schedule(1), events.departure(1, 120), events.arrival(1, 300, None))
    closed = [*driver.read(PlannedCensored), *driver.read(DepartedCensored)]
    assert [(c.reason, c.closed_ms) for c in closed] == [("diverted", events.at(300))] * 2
    assert driver.read(PlannedExample) == driver.read(DepartedExample) == []


def test_question_expires_after_two_days(events: Any) -> None:
    deadline_ms = events.at(0) + days(2)
    waiting = flow(events.schedule(1), Clock(deadline_ms))
    assert waiting.read(PlannedCensored) == []
    driver = flow(events.schedule(1), Clock(deadline_ms + 1))
    closed = driver.read(PlannedCensored)
    assert [(c.reason, c.closed_ms) for c in closed] == [("expired", deadline_ms)]


@pytest.mark.parametrize("known", [False, True])
def test_answer_to_no_open_question_is_one_dead_letter(events: Any, known: bool) -> None:
    first = [events.schedule(1), events.cancellation(1, 200)] if known else []
    driver = flow(*first, events.arrival(1, 300))
    headers = [stored.headers for stored in driver.dead_letters]
    assert [(h["error.class"], h["error.processor"]) for h in headers] == [
        (b"REFUSED", b"planned_join")
    ]
    assert b"2013-01-01.UA.1.EWR is unknown or closed" in headers[0]["error.message"]


def test_departure_without_a_schedule_is_answered_too(events: Any) -> None:
    driver = flow(events.departure(1, 120, delay=5))
    assert [p.minutes for p in driver.read(DepartedPrediction)] == [5.0]


def test_frozen_model_answers_from_march_with_what_it_learnt_before(events: Any) -> None:
    """The flights of the builder leave on 2013-01-01; a day is 1,440 minutes."""
    march = 59 * 1_440 - 7 * 60
    driver = flow(
        events.schedule(1, march - 400),
        events.arrival(1, march - 200, 60),
        events.schedule(2, march - 1),
        events.schedule(3, march),
        events.departure(3, march + 60),
        events.arrival(2, march + 100, 60),
        events.arrival(3, march + 110, 60),
        events.schedule(4, march + 120),
        Clock(events.at(march) + days(5)),
    )
    frozen = driver.read(PlannedFrozen)
    assert [f.flight_id.split(".")[2] for f in frozen] == ["3", "4"]
    assert [f.model_version for f in frozen] == [1, 1]
    assert [f.model_version for f in driver.read(DepartedFrozen)] == [0]
    served = driver.read(PlannedPrediction)
    assert [p.model_version for p in served] == [0, 1, 1, 3]
    assert frozen[0].probability == served[2].probability
    assert frozen[1].probability != served[3].probability
    score = driver.read(PlannedScore)[-1]
    assert (score.examples, score.frozen.examples, score.beside_frozen.examples) == (3, 1, 1)


def test_scores_close_with_the_replay_and_every_question_is_accounted_for(events: Any) -> None:
    driver = flow(
        *(events.schedule(n, n) for n in range(1, 6)),
        *(events.departure(n, 120 + n) for n in range(1, 5)),
        *(events.arrival(n, 240 + n, 30.0 * (n % 2)) for n in range(1, 4)),
        events.cancellation(5, 480),
        Clock(events.at(0) + days(4)),
    )
    planned, departed = driver.read(PlannedScore)[-1], driver.read(DepartedScore)[-1]
    assert (planned.asked, planned.examples, planned.censored) == (5, 3, 2)
    assert (departed.asked, departed.examples, departed.censored) == (4, 3, 1)
    assert (planned.coverage, departed.coverage) == (0.6, 0.75)
    assert list(planned.baselines) == ["last_label", "base_rate", "carrier_hour"]
    assert list(departed.baselines) == [
        "last_label", "base_rate", "carrier_hour", "left_late", "departure_delay",
    ]  # fmt: skip
    assert list(planned.months) == ["2013-01"]
