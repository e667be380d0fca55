from __future__ import annotations

from typing import Any

import pytest

from schemas.record import Record
from streams.driver import CRASH
from streams.snapshot import Keys
from tests.streams.toy import (
    Adder,
    Alarm,
    Event,
    Example,
    Guess,
    Model,
    Question,
    driver,
    events,
    guesses,
    learn,
    learner,
    letters,
    sort,
)


def test_questions_are_answered_by_what_was_learned_before() -> None:
    ran = driver(sort, learner()).run(events(None, 1, None, 2, 3, None))
    assert guesses(ran) == [(0, 0), (1, 1), (6, 3)]
    assert [o.model_version for o in ran.origins(Guess)] == [0, 1, 3]
    assert [[str(p) for p in o.parents] for o in ran.origins(Guess)] == [
        [f"toy.feature.question[0]#{n}"] for n in range(3)
    ]


def test_signal_names_its_example_and_the_model_after_it() -> None:
    ran = driver(sort, learner()).run(events(5, 2_000))
    (origin,) = ran.origins(Alarm)
    assert (origin.model_version, list(map(str, origin.parents))) == (2, ["toy.example.thing[0]#1"])


@pytest.mark.parametrize("snapshot_every", [1, 2, 5_000])
@pytest.mark.parametrize("batch_records", [1, 3, 1_000])
def test_killed_learner_goes_on_from_snapshot_and_examples(
    snapshot_every: int, batch_records: int
) -> None:
    answers = [None, 1, 2, None, 3, None, 4, 5, None]
    expected = guesses(driver(sort, learner()).run(events(*answers)))
    assert expected == [(0, 0), (3, 2), (6, 3), (15, 5)]
    items = events(*answers)
    for at in (8, 5, 5, 2):
        items.insert(at, CRASH)
    adder = learner(snapshot_every=snapshot_every)
    assert guesses(driver(sort, adder, batch_records=batch_records).run(items)) == expected


@pytest.mark.parametrize("snapshot_every", [1, 2, 5_000])
@pytest.mark.parametrize("batch_records", [1, 3, 1_000])
def test_example_that_raises_is_as_if_it_had_not_been(
    snapshot_every: int, batch_records: int
) -> None:
    items = events(1, None, -7, None, 2, None, -9, 3, None)
    without = guesses(driver(sort, learner()).run([i for i in items if (i.answer or 0) >= 0]))
    assert [answer for answer, _ in without] == [1, 1, 3, 6]
    adder = learner(snapshot_every=snapshot_every)
    for at in (8, 4, 3):
        items.insert(at, CRASH)
    ran = driver(sort, adder, batch_records=batch_records).run(items)
    assert [answer for answer, _ in guesses(ran)] == [1, 1, 3, 6]
    assert letters(ran) == [
        ("PROCESSOR_FAULT", "toy.example.thing[0]#1", "ValueError: half learned"),
        ("PROCESSOR_FAULT", "toy.example.thing[0]#3", "ValueError: half learned"),
    ]


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_frozen_model_answers_and_learns_no_more(between: list[object]) -> None:
    items = events(1, None, 2, None, 3, None)
    items[3:3] = between
    items[6:6] = between
    ran = driver(sort, learner(until_ms=2)).run(items)
    assert guesses(ran) == [(1, 1), (1, 1), (1, 1)]
    assert [(s.version, s.offset_hint) for s in ran.read(Model)] == [(1, -1)]


def test_snapshots_of_another_key_are_not_opened(caplog: pytest.LogCaptureFixture) -> None:
    items = events(1, 2, None, 4, None)
    ran = driver(sort, learner(snapshot_every=1)).run(items[:3])
    ran.plan.keys = Keys({"other": bytes(31) + b"\x01"})
    ran.crash()
    assert guesses(ran.run(items[3:])) == [(3, 2), (7, 3)]
    assert "signed with an unknown key 'test'" in caplog.text
    assert not [key for key in (bytes(32), bytes(31) + b"\x01") if key.hex() in caplog.text]
    assert "2 refused; its examples are folded from the first example" in caplog.text
    assert [s.key_id for s in ran.read(Model)] == ["test", "test", "other"]


def test_model_that_no_snapshot_can_hold_goes_on_without(caplog: pytest.LogCaptureFixture) -> None:
    def learn_and_hold(model: Adder, example: Example) -> list[Record]:
        if example.answer == 2:
            model.held = lambda: None  # type: ignore[attr-defined]
        return learn(model, example)

    items = [*events(1, 2, None, 3), CRASH, *events(None)]
    ran = driver(sort, learner(snapshot_every=1, learn=learn_and_hold)).run(items)
    assert guesses(ran) == [(3, 2), (6, 3)]
    assert ran.dead_letters == []
    assert [(s.generation, s.version) for s in ran.read(Model)] == [(1, 1)]
    assert "adder@0 has no new snapshot: the model holds" in caplog.text


def test_snapshot_that_fails_is_no_dead_letter_of_the_example(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran = driver(sort, learner(snapshot_every=1))
    ran.run(events(1))
    asked = ran.units[0].offset_hint

    def broken(topic: str) -> int:
        raise RuntimeError("no answer")

    ran.units[0].offset_hint = broken
    more = [Event(key="x", at_ms=at, answer=answer) for at, answer in ((1, 2), (2, None))]
    ran.run(more)
    ran.units[0].offset_hint = asked
    assert ran.dead_letters == []
    assert [answer for answer, _ in guesses(ran)] == [3]
    assert [(s.generation, s.version) for s in ran.read(Model)] == [(1, 1)]
    assert "adder@0 has no new snapshot: RuntimeError: no answer" in caplog.text


class Panic(BaseException):
    """As river's Rust raises it."""


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_panic_is_as_any_exception(between: list[object]) -> None:
    def panicking_learn(model: Adder, example: Example) -> list[Record]:
        try:
            return learn(model, example)
        except ValueError as error:
            raise Panic("no") from error

    def panicking_guess(model: Adder, question: Any, version: int) -> Guess:
        if question.at_ms == 5:
            raise Panic("never")
        return Guess(key="x", at_ms=question.at_ms, answer=model.total, version=version)

    declared = learner(snapshot_every=1, learn=panicking_learn, predict=panicking_guess)
    items = events(1, None, -7, None, 2, None, None)
    items[4:4] = between
    ran = driver(sort, declared).run(items)
    assert [answer for answer, _ in guesses(ran)] == [1, 1, 3]
    assert letters(ran) == [
        ("PROCESSOR_FAULT", "toy.example.thing[0]#1", "Panic: no"),
        ("PROCESSOR_FAULT", "toy.feature.question[0]#2", "Panic: never"),
    ]


@pytest.mark.parametrize("between", [[], [CRASH]])
@pytest.mark.parametrize("snapshot_every", [1, 100])
def test_example_whose_signal_cannot_be_written_is_not_learned(
    between: list[object], snapshot_every: int
) -> None:
    def learn_and_alarm(model: Adder, example: Example) -> list[Record]:
        model.total += example.answer or 0
        return [Question(key="x", at_ms=0)] if example.answer == 7 else []

    declared = learner(learn=learn_and_alarm, snapshot_every=snapshot_every)
    items = events(1, 7, None, 2, None)
    items[3:3] = between
    ran = driver(sort, declared).run(items)
    assert [answer for answer, _ in guesses(ran)] == [1, 3]
    refused = "adder wrote a Question, which it does not declare"
    assert letters(ran) == [("PROCESSOR_FAULT", "toy.example.thing[0]#1", refused)]


def test_learner_without_questions_only_says_signals() -> None:
    watcher = learner(questions=None, predicts=None, predict=None)
    ran = driver(sort, watcher).run(events(2_000, None, 3_000))
    assert [a.answer for a in ran.read(Alarm)] == [2_000, 3_000]
