"""A forest of ten megabytes is written in parts, restored, and goes on as if nothing had been."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from river import forest

from schemas.record import Record, Stream, field
from schemas.snapshot import Snapshot
from streams.driver import CRASH, Driver
from streams.processor import Learner, fold
from streams.snapshot import Keys
from streams.topology import Flow

KEYS = Keys({"test": bytes(32)})
FEATURES = 8
OWNER = "me"


class Sample(Record, stream=Stream("wood.event.sample", "key", "at_ms", OWNER)):
    """Numbers, and a class that depends on them."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    numbers: list[float] = field("The inputs.")
    label: int = field("The class.", ge=0)


class Asked(Sample, stream=Stream("wood.feature.asked", "key", "at_ms", OWNER)):
    """A question."""


class Told(Sample, stream=Stream("wood.example.told", "key", "at_ms", OWNER)):
    """Its answer."""


class Said(Record, stream=Stream("wood.prediction.said", "key", "at_ms", OWNER)):
    """What the forest said."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    chances: list[float] = field("Of each class.")


class Wood(Snapshot, stream=Stream("wood.model.forest", "key", "time_ms", OWNER, compacted=True)):
    """The forest."""


class Nothing(Record):
    """No state is needed."""

    none: int = field("Nothing.")


@fold(reads=Sample, writes=(Asked, Told), state=Nothing, key="key")
def ask(state: Nothing | None, sample: Sample) -> tuple[None, list[Record]]:
    """Every sample is asked about first, then told."""
    return None, [Asked(**dict(sample)), Told(**dict(sample))]


def inputs(sample: Sample) -> dict[str, float]:
    return {f"x{i}": number for i, number in enumerate(sample.numbers)}


def say(model: Any, asked: Asked, version: int) -> Said:
    chances = model.predict_proba_one(inputs(asked))
    return Said(key=asked.key, at_ms=asked.at_ms, chances=[chances.get(i, 0.0) for i in range(4)])


def forester(trees: int, snapshot_every: int) -> Learner:
    return Learner(
        name="forester",
        examples=Told,
        questions=Asked,
        predicts=Said,
        snapshots=Wood,
        model=lambda: forest.ARFClassifier(
            n_models=trees, grace_period=10, delta=0.5, tau=0.5, seed=1
        ),
        predict=say,
        learn=lambda model, told: model.learn_one(inputs(told), told.label),
        snapshot_every=snapshot_every,
    )


def samples(count: int) -> Iterator[Sample]:
    chance = random.Random(7)
    centres = [[chance.random() for _ in range(FEATURES)] for _ in range(16)]
    for n in range(count):
        which = chance.randrange(len(centres))
        numbers = [chance.gauss(c, 0.15) for c in centres[which]]
        yield Sample(key="x", at_ms=n, numbers=numbers, label=which % 4)


@pytest.mark.parametrize(
    ("count", "trees", "bytes_min"),
    [
        pytest.param(300, 3, 1_000_000, id="a megabyte"),
        pytest.param(
            1_500,
            10,
            10_000_000,
            id="ten megabytes",
            marks=[pytest.mark.full, pytest.mark.timeout(1_200)],
        ),
    ],
)
def test_restored_forest_predicts_as_an_uninterrupted_one(
    count: int, trees: int, bytes_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.snapshot.PART_BYTES_MAX", min(900_000, bytes_min // 4))
    every = count // 3
    items: list[Any] = list(samples(count))
    flow = Flow("wood", (ask, forester(trees, every)))
    undisturbed = Driver(flow, keys=KEYS).run(items).read(Said)
    for at in (2 * every + 5, every + 5):
        items.insert(at, CRASH)
    ran = Driver(flow, keys=KEYS, batch_records=100).run(items)
    assert ran.read(Said) == undisturbed
    assert len(undisturbed) == count
    parts = [p for p in ran.read(Wood) if p.generation == 3]
    assert sum(len(p.payload) for p in parts) >= bytes_min
    assert len(parts) == parts[0].parts >= 4
