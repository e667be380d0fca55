"""Equal models have equal digests however they came to be; what differs is found and named."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from processors.learning.delay_model import DelayModel
from streams.canonical import first_difference, state_digest
from streams.unpickle import dumps, loads
from tests.streams import zoo

# Their nodes hold random generators that nobody seeded, and that no prediction asks.
UNSEEDED = {
    "multiway tree", "adaptive tree", "adaptive multiway tree", "adaptive forest",
    "adaptive forest of counts", "adaptive forest of chances",
}  # fmt: skip


@pytest.mark.parametrize("name", zoo.everything())
def test_model_equals_itself_after_a_snapshot(name: str) -> None:
    model = zoo.everything()[name]
    other = loads(dumps(model))
    assert first_difference(model, other) is None
    assert state_digest(model) == state_digest(other)


@pytest.mark.parametrize("name", sorted(set(zoo.CLASSIFIERS) - UNSEEDED))
def test_restored_model_that_went_on_equals_one_that_did_not_stop(name: str) -> None:
    rows = zoo.examples(300)
    model = zoo.learn(name, zoo.CLASSIFIERS[name](), rows[:200])
    other = loads(dumps(model))
    assert state_digest(zoo.learn(name, model, rows[200:])) == state_digest(
        zoo.learn(name, other, rows[200:])
    )


@pytest.mark.parametrize("name", sorted(set(zoo.CLASSIFIERS) - {"alma"}))
def test_model_of_one_example_less_is_another(name: str) -> None:
    rows = zoo.examples(300)
    model = zoo.learn(name, zoo.CLASSIFIERS[name](), rows)
    less = zoo.learn(name, zoo.CLASSIFIERS[name](), rows[:-1])
    assert first_difference(model, less) is not None


def test_last_bit_of_one_weight_is_seen() -> None:
    one, other = DelayModel(), DelayModel()
    for model in (one, other):
        model.learn({"rain": 1.0}, late=True, minutes=50.0)
    assert first_difference(one, other) is None
    other.minutes.intercept += 2e-16
    found = first_difference(one, other)
    assert found is not None and found.startswith("model.minutes.intercept: ")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2.0], [1, 2], "model: [1, 2.0] and [1, 2]"),
        ({"a": 0.0}, {"a": -0.0}, "model['a']: 0.0 and -0.0"),
        ({"a": True}, {"a": 1}, "model['a']: True and 1"),
        ({"a": 1}, {"b": 1}, "model: only one has ['a'], ['b']"),
        ({1, 2}, {1, 3}, "model: {1, 2} and {1, 3}"),
        (Counter("a"), Counter("b"), "model()[0]: only one has ['a'], ['b']"),
        (defaultdict(int), defaultdict(float), "model()[0]: <class 'int'> and <class 'float'>"),
        (None, 0, "model: None and 0"),
    ],
)
def test_difference_is_named(one: Any, other: Any, expected: str) -> None:
    assert first_difference(one, other) == expected
    assert state_digest(one) != state_digest(other)
    assert first_difference(one, one) is None


def test_order_sharing_and_circles_do_not_matter() -> None:
    part = [0.5]
    assert first_difference({"a": part, "b": part}, {"b": [0.5], "a": [0.5]}) is None
    circle: list[Any] = [0.5]
    circle.append(circle)
    other: list[Any] = [0.5]
    other.append(other)
    assert first_difference(circle, other) is None
    other[0] = 0.75
    assert first_difference(circle, other) == "model[0]: 0.5 and 0.75"
