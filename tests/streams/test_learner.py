from __future__ import annotations

from typing import Any

import pytest

from schemas.record import Record, Stream, field
from schemas.snapshot import Snapshot
from streams.driver import CRASH, Driver
from streams.processor import Learner, fold
from streams.snapshot import Keys
from streams.topology import Flow

KEYS = Keys({"test": bytes(32)})


class Event(Record, stream=Stream("toy.event.thing", "key", "at_ms", "me")):
    """A question, or with an answer an example."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    answer: int | None = field("The answer, if it is known.", default=None)


class Question(Event, stream=Stream("toy.feature.question", "key", "at_ms", "me")):
    """A question."""


class Example(Event, stream=Stream("toy.example.thing", "key", "at_ms", "me")):
    """A question with its answer."""


class Guess(Event, stream=Stream("toy.prediction.guess", "key", "at_ms", "me")):
    """A prediction; its answer is the sum of the answers learned."""

    version: int = field("Examples folded.", ge=0)


class Alarm(Event, stream=Stream("toy.signal.alarm", "key", "at_ms", "me")):
    """A large answer was learned."""


class Model(Snapshot, stream=Stream("toy.model.thing", "key", "time_ms", "me")):
    """The sum, pickled."""


class Nothing(Record):
    """No state is needed."""


class Adder:
    """A model that adds up the answers."""

    def __init__(self) -> None:
        self.total = 0


@fold(reads=Event, writes=(Question, Example), state=Nothing, key="key")
def sort(state: Nothing | None, event: Event) -> tuple[None, list[Record]]:
    """An event with an answer is an example."""
    return None, [(Question if event.answer is None else Example)(**dict(event))]


def guess(model: Adder, question: Question, version: int) -> Guess:
    return Guess(key=question.key, at_ms=question.at_ms, answer=model.total, version=version)


def learn(model: Adder, example: Example) -> list[Record]:
    assert example.answer is not None
    model.total += example.answer
    if example.answer < 0:
        raise ValueError("half learned")
    return [Alarm(**dict(example))] if example.answer > 1_000 else []


def learner(**options: Any) -> Learner:
    declared: dict[str, Any] = {
        "name": "adder",
        "examples": Example,
        "questions": Question,
        "predicts": Guess,
        "model": Adder,
        "predict": guess,
        "learn": learn,
        "snapshots": Model,
        "writes": (Alarm,),
    }
    return Learner(**{**declared, **options})


def driver(*processors: Any, **options: Any) -> Driver:
    return Driver(Flow("toy", processors), keys=KEYS, **options)


def events(*answers: int | None) -> list[Any]:
    return [Event(key="x", at_ms=n, answer=answer) for n, answer in enumerate(answers)]


def guesses(ran: Driver) -> list[tuple[int | None, int]]:
    return [(g.answer, g.version) for g in ran.read(Guess)]


def letters(ran: Driver) -> list[tuple[str, str, str]]:
    names = ("error.class", "error.record", "error.message")
    return [tuple(s.headers[n].decode() for n in names) for s in ran.dead_letters]  # type: ignore[misc]


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
        ("REFUSED", "toy.example.thing[0]#1", "adder: half learned"),
        ("REFUSED", "toy.example.thing[0]#3", "adder: half learned"),
    ]


@pytest.mark.parametrize("between", [[], [CRASH]])
def test_frozen_model_answers_and_learns_no_more(between: list[object]) -> None:
    items = events(1, None, 2, None, 3, None)
    items[3:3] = between
    items[6:6] = between
    ran = driver(sort, learner(until_ms=2)).run(items)
    assert guesses(ran) == [(1, 1), (1, 1), (1, 1)]
    assert [(s.version, s.offset_hint) for s in ran.read(Model)] == [(1, -1)]


def test_snapshots_of_another_key_are_not_opened() -> None:
    ran = driver(sort, learner(snapshot_every=1)).run(events(1, 2))
    ran.plan.keys = Keys({"other": bytes(31) + b"\x01"})
    with pytest.raises(Exception, match="signed with an unknown key 'test'"):
        ran.crash()


def test_learner_without_questions_only_says_signals() -> None:
    watcher = learner(questions=None, predicts=None, predict=None)
    ran = driver(sort, watcher).run(events(2_000, None, 3_000))
    assert [a.answer for a in ran.read(Alarm)] == [2_000, 3_000]
