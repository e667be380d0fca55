"""A flow for tests: events become questions and examples, and a learner that adds answers up."""

from __future__ import annotations

from typing import Any

from schemas.record import Record, Stream, field
from schemas.snapshot import Snapshot
from streams.driver import Driver
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


class Model(Snapshot, stream=Stream("toy.model.thing", "key", "time_ms", "me", compacted=True)):
    """The sum, pickled."""


class Nothing(Record):
    """No state is needed."""

    none: int = field("Nothing.")


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
