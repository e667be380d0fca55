from __future__ import annotations

from collections.abc import Iterable

from schemas.record import Record, Stream, field
from schemas.snapshot import Snapshot
from streams.driver import Driver
from streams.processor import Learner, transform
from streams.topology import Flow


class Tick(Record, stream=Stream("toy.event.tick", "place", "at_ms", "me")):
    """A question, if it is an odd time, or an example."""

    place: str = field("Place.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.")


class Question(Tick, stream=Stream("toy.feature.question", "place", "at_ms", "me")):
    """A question."""


class Example(Tick, stream=Stream("toy.example.tick", "place", "at_ms", "me")):
    """An example."""


class Guess(Tick, stream=Stream("toy.prediction.guess", "place", "at_ms", "me")):
    """What was learned when it was asked."""


class Model(Snapshot, stream=Stream("toy.model.tick", "key", "time_ms", "me")):
    """The sum, pickled."""


class Adder:
    """A model that adds up amounts."""

    def __init__(self) -> None:
        self.amount = 0


def test_learner_answers_a_question_late_and_takes_no_example_late() -> None:
    broken = True

    def bites(amount: int) -> None:
        if broken and amount < 0:
            raise ValueError("negative")

    @transform(reads=Tick, writes=(Question, Example))
    def sorts(tick: Tick) -> Iterable[Record]:
        yield (Question if tick.at_ms % 2 else Example)(**dict(tick))

    def learn(model: Adder, example: Example) -> None:
        bites(example.amount)
        model.amount += example.amount

    def guess(model: Adder, question: Question, version: int) -> Guess:
        bites(question.amount)
        return Guess(place=question.place, at_ms=question.at_ms, amount=model.amount)

    learner = Learner(
        name="adder", examples=Example, questions=Question, predicts=Guess, model=Adder,
        learn=learn, predict=guess, snapshots=Model,
    )  # fmt: skip
    ran = Driver(Flow("toy", (sorts, learner)))
    ran.run([Tick(place="x", at_ms=at, amount=n) for at, n in ((0, 5), (1, -1), (2, -7), (4, 2))])
    assert [(s.error, s.cause.origin) for s in ran.letters] == [
        ("PROCESSOR_FAULT", "toy.feature.question[0]#0"),
        ("PROCESSOR_FAULT", "toy.example.tick[0]#1"),
    ]
    broken = False
    ran.redrive(*ran.letters)
    (refused,) = ran.letters[2:]
    assert (refused.error, refused.cause.attempts) == ("REFUSED", 2)
    assert "takes no example late" in refused.text
    assert ran.read(Guess) == [Guess(place="x", at_ms=1, amount=7)]
