from __future__ import annotations

import pickle
from random import Random

import pytest

from processors.learning.delay_model import DelayModel


def taught(examples: int) -> DelayModel:
    """A model that saw rain make flights late, by 40 minutes where others are on time."""
    random, model = Random(7), DelayModel()
    for _ in range(examples):
        rain = random.random() < 0.3
        late = random.random() < (0.9 if rain else 0.1)
        minutes = random.gauss(40.0 if rain else 0.0, 5.0)
        model.learn({"rain": float(rain), "bias": 1.0}, late=late, minutes=minutes)
    return model


def test_probability_and_median_follow_the_inputs() -> None:
    model = taught(40_000)
    wet, dry = model.predict({"rain": 1.0, "bias": 1.0}), model.predict({"rain": 0.0, "bias": 1.0})
    assert 0.8 < wet[0] < 0.95
    assert 0.05 < dry[0] < 0.2
    assert wet[1] == pytest.approx(40.0, abs=4.0)
    assert dry[1] == pytest.approx(0.0, abs=2.0)


def test_anchor_is_added_to_what_is_learnt() -> None:
    model = taught(100)
    _, minutes = model.predict({"bias": 1.0})
    assert model.predict({"bias": 1.0}, anchor=30.0)[1] == 30.0 + minutes


def test_minutes_are_a_median_not_a_mean() -> None:
    model = DelayModel()
    for at in range(20_000):
        model.learn({"bias": 1.0}, late=False, minutes=1_000.0 if at % 4 == 0 else 5.0)
    assert model.predict({"bias": 1.0})[1] == pytest.approx(5.0, abs=1.0)


def test_pickled_model_goes_on_bit_for_bit() -> None:
    first = taught(200)
    second = pickle.loads(pickle.dumps(first))
    for model in (first, second):
        for at in range(50):
            model.learn({f"hour={at % 7}": 1.0, "bias": 1.0}, late=at % 3 == 0, minutes=float(at))
    inputs = {"hour=3": 1.0, "rain": 0.5, "bias": 1.0}
    assert first.predict(inputs) == second.predict(inputs)
