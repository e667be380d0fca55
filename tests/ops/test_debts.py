from __future__ import annotations

from typing import Any

import pytest

from ops.debts import changed_settings, debts
from schemas.record import Record, Stream
from streams.processor import transform
from streams.settings import Settings
from streams.topology import Flow, Topology, discover
from tests.streams.toy import Event, Guess, learner, sort


class OtherGuess(Guess, stream=Stream("toy.prediction.other", "key", "at_ms", "me")):
    """What another learner says."""


class OtherExample(Event, stream=Stream("toy.example.other", "key", "at_ms", "me")):
    """A guess as an example."""


@transform(reads=Guess, writes=OtherExample)
def judged(guess: Guess) -> list[Record]:
    return []


def owed(*processors: Any) -> list[str]:
    return debts(Topology({"toy": Flow("toy", processors)}))


def test_stream_that_nobody_reads_is_told() -> None:
    assert owed(sort, learner()) == ["unused: nothing that is declared reads toy.prediction.guess"]


def test_learner_that_learns_from_what_another_said_is_told() -> None:
    second = learner(name="second", examples=OtherExample, predicts=OtherGuess, writes=())
    assert owed(sort, learner(), judged, second) == [
        "unused: nothing that is declared reads toy.prediction.other",
        "cascade: second learns from toy.example.other, which holds what adder predicted",
    ]


def test_flights_owe_that_models_are_compared_with_each_other() -> None:
    found = debts(discover())
    assert all(line.startswith("cascade: ") for line in found)
    assert (
        "cascade: planned_drift learns from flights.example.planned, which holds what planned and "
        "planned_frozen predicted"
    ) in found


def test_settings_that_were_changed_are_told_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert changed_settings(Settings()) == {}
    monkeypatch.setenv("DOA_BATCH_RECORDS_MAX", "7")
    monkeypatch.setenv("DOA_SASL_PASSWORD", "hidden")
    assert changed_settings(Settings()) == {
        "batch_records_max": (7, 20_000),
        "sasl_password": ("(secret)", None),
    }
