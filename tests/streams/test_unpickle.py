"""Models come back from their pickles as they were, and nothing else does."""

from __future__ import annotations

import functools
import importlib
import os
import random
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import pytest
from river import drift, stats

from processors.learning.adagrad import SparseAdaGrad
from processors.learning.delay_model import DelayModel
from processors.monitoring.drift import ErrorDrift
from streams.errors import SnapshotError
from streams.processor import Learner
from streams.topology import discover
from streams.unpickle import ALLOWED, declared, dumps, loads
from tests.streams import zoo


@pytest.mark.parametrize("name", zoo.CLASSIFIERS)
def test_classifier_goes_on_as_if_it_had_not_been_pickled(name: str) -> None:
    rows = zoo.examples()
    model = zoo.learn(name, zoo.CLASSIFIERS[name](), rows[:300])
    other = loads(dumps(model))
    for inputs, label in rows[300:]:
        asked = zoo.inputs_of(name, inputs)
        assert other.predict_proba_one(asked) == model.predict_proba_one(asked)
        zoo.learn(name, model, [(inputs, label)])
        zoo.learn(name, other, [(inputs, label)])


@pytest.mark.parametrize("name", zoo.REGRESSORS)
def test_regressor_goes_on_as_if_it_had_not_been_pickled(name: str) -> None:
    rows = zoo.examples()
    model = zoo.learn(name, zoo.REGRESSORS[name](), rows[:300])
    other = loads(dumps(model))
    for inputs, label in rows[300:]:
        asked = zoo.inputs_of(name, inputs)
        assert other.predict_one(asked) == model.predict_one(asked)
        zoo.learn(name, model, [(inputs, label)])
        zoo.learn(name, other, [(inputs, label)])


@pytest.mark.parametrize("name", zoo.STATISTICS)
def test_statistic_goes_on_as_if_it_had_not_been_pickled(name: str) -> None:
    rows = zoo.examples()
    statistic = zoo.updated(zoo.STATISTICS[name](), rows[:300])
    other = loads(dumps(statistic))
    for inputs, _ in rows[300:]:
        zoo.update(statistic, inputs)
        zoo.update(other, inputs)
    assert dumps(other) == dumps(statistic)


@pytest.mark.parametrize("name", zoo.UNKEPT)
def test_model_that_holds_functions_is_not_pickled(name: str) -> None:
    with pytest.raises(SnapshotError, match="the model holds"):
        dumps(zoo.learn(name, zoo.UNKEPT[name](), zoo.examples()))


def test_anomaly_detector_with_bound_functions_comes_back() -> None:
    model = zoo.everything()["anomaly"]
    asked = {"a": 0.1, "b": 0.9}
    assert loads(dumps(model)).score_one(asked) == model.score_one(asked)


def test_list_is_what_the_zoo_needs() -> None:
    """Else run `python -m tests.streams.zoo`, and look at what has come to the list."""
    assert zoo.LIST.read_text(encoding="utf-8") == zoo.text(zoo.needed())


def test_every_listed_name_is_a_class_that_exists() -> None:
    for module, names in ALLOWED.items():
        assert not module.startswith(("river.datasets", "river.stream.", "river.checks"))
        for name in names:
            found = getattr(importlib.import_module(module), name)
            assert isinstance(found, type) and "." not in name, (module, name)


def test_learner_declares_the_classes_that_its_module_uses() -> None:
    assert declared(DelayModel) == {
        "processors.learning.delay_model": {"DelayModel"},
        "processors.learning.adagrad": {"SparseAdaGrad"},
    }
    assert declared(lambda: None).keys() >= {__name__}
    assert declared(dict) == declared(drift.ADWIN) == declared(None) == {}


def test_model_of_every_learner_can_be_in_a_snapshot() -> None:
    learners = [
        processor
        for flow in discover(("processors",)).flows.values()
        for processor in flow.processors
        if isinstance(processor, Learner)
    ]
    assert learners
    for learner in learners:
        assert loads(dumps(learner.model(), learner.model), learner.model) is not None


def test_class_of_another_learner_is_refused() -> None:
    payload = dumps(DelayModel(), DelayModel)
    assert isinstance(loads(payload, DelayModel).probability.optimizer, SparseAdaGrad)
    with pytest.raises(SnapshotError, match=r"names processors\.learning\."):
        loads(payload, ErrorDrift)


@pytest.mark.parametrize(
    "held",
    [os.system, print, len, functools.reduce, Path("x"), object(), [1].append, type(None), 1j],
    ids=lambda held: f"{type(held).__name__} {getattr(held, '__name__', '')}",
)
def test_model_that_holds_other_names_is_not_pickled(held: Any) -> None:
    with pytest.raises(SnapshotError, match=r"the model (holds|cannot be pickled)"):
        dumps({"held": held})


def test_lambda_is_not_pickled() -> None:
    with pytest.raises(SnapshotError, match="the model holds"):
        dumps({"held": lambda: None})


def test_mutated_bytes_end_in_a_model_or_an_error_of_ours() -> None:
    model = DelayModel()
    model.learn({"a": 1.0}, late=True, minutes=5.0)
    whole = dumps(
        {"drift": drift.ADWIN(), "quantile": stats.Quantile(0.5), "model": model}, DelayModel
    )
    chance = random.Random(7)
    refused = 0
    for _ in range(500):
        place = chance.randrange(len(whole))
        mutated = whole[:place] + bytes([chance.randrange(256)]) + whole[place + 1 :]
        try:
            loads(mutated, DelayModel)
        except SnapshotError:
            refused += 1
    assert refused > 100


def test_huge_payload_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.unpickle.PAYLOAD_BYTES_MAX", 100)
    with pytest.raises(SnapshotError, match="at most 100 fit"):
        loads(b"." * 101)
    with pytest.raises(SnapshotError, match="at most 100 fit"):
        dumps(list(range(100)))


def test_partial_comes_back() -> None:
    assert loads(dumps(functools.partial(deque, maxlen=2)))([1, 2, 3]) == deque([2, 3])


def test_containers_come_back() -> None:
    held = {
        "counter": Counter("abca"),
        "order": OrderedDict(b=1, a=2),
        "lists": defaultdict(list, {"a": [1.5]}),
        "recent": deque([1, 2], maxlen=3),
        "set": {1, 2},
        "bytes": b"\x00",
        "pair": (True, None),
    }
    assert loads(dumps(held)) == held
