"""Models come back from their pickles; programs in pickles are refused and leave nothing."""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from river import (
    anomaly,
    compose,
    drift,
    dummy,
    ensemble,
    forest,
    linear_model,
    naive_bayes,
    optim,
    preprocessing,
    stats,
    tree,
    utils,
)

from processors.learning.adagrad import SparseAdaGrad
from processors.learning.delay_model import DelayModel
from processors.monitoring.drift import ErrorDrift
from streams.errors import SnapshotError
from streams.processor import Learner
from streams.topology import discover
from streams.unpickle import ALLOWED, declared, dumps, loads

MODELS: dict[str, Callable[[], Any]] = {
    "scaled": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "adam": lambda: preprocessing.MinMaxScaler() | linear_model.LogisticRegression(optim.Adam()),
    "mixed": lambda: (
        (compose.Select("c") | preprocessing.OneHotEncoder(drop_zeros=True))
        + (compose.Discard("c") | preprocessing.StatImputer() | preprocessing.StandardScaler())
        | linear_model.LogisticRegression(optim.FTRLProximal())
    ),
    "prefixed": lambda: compose.Prefixer("p_") | linear_model.Perceptron(),
    "hashed": lambda: preprocessing.FeatureHasher(seed=1) | linear_model.LogisticRegression(),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=30),
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=30, seed=1),
    "forest": lambda: forest.ARFClassifier(n_models=3, seed=1),
    "mondrian": lambda: forest.AMFClassifier(n_estimators=3, seed=1),
    "bagging": lambda: ensemble.BaggingClassifier(linear_model.LogisticRegression(), 3, seed=1),
    "bayes": naive_bayes.BernoulliNB,
    "prior": dummy.PriorClassifier,
}
DETECTORS: dict[str, Callable[[], Any]] = {
    "adwin": drift.ADWIN,
    "ddm": drift.binary.DDM,
    "mean": stats.Mean,
    "var": stats.Var,
    "ewmean": lambda: stats.EWMean(0.1),
    "quantile": lambda: stats.Quantile(0.5),
    "rolling": lambda: utils.Rolling(stats.Mean, window_size=10),
}


def examples() -> list[tuple[dict[str, Any], bool]]:
    chance = random.Random(7)
    found = []
    for _ in range(400):
        inputs = {"a": chance.random(), "b": chance.random(), "c": chance.choice("xyz")}
        found.append((inputs, inputs["a"] + 0.3 * inputs["b"] > 0.6))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_model_goes_on_as_if_it_had_not_been_pickled(name: str) -> None:
    model, texts = MODELS[name](), name in {"mixed"}
    rows = [(x if texts else {k: x[k] for k in "ab"}, y) for x, y in examples()]
    for inputs, label in rows[:300]:
        model.learn_one(inputs, label)
    other = loads(dumps(model))
    for inputs, label in rows[300:]:
        assert other.predict_proba_one(inputs) == model.predict_proba_one(inputs)
        model.learn_one(inputs, label)
        other.learn_one(inputs, label)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_goes_on_as_if_it_had_not_been_pickled(name: str) -> None:
    detector = DETECTORS[name]()
    for inputs, _ in examples()[:300]:
        detector.update(inputs["a"] > 0.5)
    other = loads(dumps(detector))
    for inputs, _ in examples()[300:]:
        detector.update(inputs["a"] > 0.9)
        other.update(inputs["a"] > 0.9)
    assert dumps(other) == dumps(detector)


def test_anomaly_detector_with_bound_functions_comes_back() -> None:
    model = anomaly.HalfSpaceTrees(seed=1, n_trees=3, window_size=50)
    for inputs, _ in examples():
        model.learn_one({k: inputs[k] for k in "ab"})
    assert loads(dumps(model)).score_one({"a": 0.1, "b": 0.9}) == model.score_one(
        {"a": 0.1, "b": 0.9}
    )


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
    ids=repr,
)
def test_model_that_holds_other_names_is_not_pickled(held: Any) -> None:
    with pytest.raises(SnapshotError, match=r"the model (holds|cannot be pickled)"):
        dumps({"held": held})


def test_lambda_is_not_pickled() -> None:
    with pytest.raises(SnapshotError, match="the model holds"):
        dumps({"held": lambda: None})


class Program:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments, *(() if state is None else (state,)))

    def __reduce__(self) -> Any:
        return self.call


def named(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle that calls a name with texts."""

    def text(value: bytes) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value

    call = b"(" + b"".join(map(text, arguments)) + b"tR"
    return b"\x80\x04" + text(module.encode()) + text(name.encode()) + b"\x93" + call + b"."


def exploits(path: Path) -> dict[str, bytes]:
    """Programs that would touch `path`, or change what this process does."""
    touch = f"touch {path}"
    code = f"open({str(path)!r}, 'w')"
    put = pickle.dumps
    return {
        "os.system": put(Program(os.system, touch)),
        "posix.system in protocol 0": f"cposix\nsystem\n(V{touch}\ntR.".encode(),
        "subprocess.Popen": named("subprocess", "Popen", touch.encode()),
        "builtins.eval": put(Program(eval, code)),
        "builtins.exec": put(Program(exec, code)),
        "__builtin__.eval of python 2": f"c__builtin__\neval\n(V{code}\ntR.".encode(),
        "builtins.open": named("builtins", "open", str(path).encode(), b"w"),
        "builtins.getattr": put(Program(getattr, Program(__import__, "os"), "system")),
        "builtins.__import__": put(Program(__import__, "antigravity")),
        "runpy": named("runpy", "run_path", str(path).encode()),
        "dotted name": named("builtins", "float.__class__", b"x"),
        "dotted name to a module": named("collections", "_sys.modules.clear"),
        "dotted name in protocol 0": b"ccollections\nCounter.__init__.__globals__\n.",
        "attribute of a listed module": named("collections", "_sys"),
        "listed module, other function": named("random", "_urandom"),
        "river module, other function": named("river.compose.pipeline", "inspect"),
        "partial of os.system": put(Program(functools.partial(os.system, touch))),
        "partial that becomes one": put(
            Program(functools.partial, dict, state=(os.system, (touch,), {}, {}))
        ),
        "defaultdict of os.system": put(Program(defaultdict, os.system)),
        "map": put(Program(map, os.system, [touch])),
        "operator.methodcaller": named("operator", "methodcaller", b"system", touch.encode()),
        "operator.attrgetter": named("operator", "attrgetter", b"system"),
        "pickle in pickle": named("pickle", "loads", b"cos\nsystem\n."),
        "types.FunctionType": named("types", "FunctionType"),
        "ctypes": named("ctypes", "CDLL", b"libc.so.6"),
        "shutil.rmtree": named("shutil", "rmtree", str(path.parent).encode()),
        "river.datasets": named("river.datasets", "Phishing"),
        "river.checks": named("river.checks", "check_estimator"),
        "function transformer": named("river.compose.func", "FuncTransformer"),
        "streams itself": named("streams.unpickle", "loads", b"cos\nsystem\n."),
        "persistent id": b"\x80\x04\x8c\x01xQ.",
        "extension code": b"\x80\x04\x82\x01.",
    }


NAMES = list(exploits(Path("canary")))


@pytest.mark.parametrize("name", NAMES)
def test_exploit_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "canary"
    with pytest.raises(SnapshotError, match=r"the payload (names|cannot be unpickled)"):
        loads(exploits(path)[name], DelayModel)
    assert not path.exists()


def test_exploits_are_real(tmp_path: Path) -> None:
    path = tmp_path / "canary"
    pickle.loads(exploits(path)["os.system"])
    assert path.exists()


def test_partial_reaches_nothing_that_is_not_listed() -> None:
    bound = loads(dumps(functools.partial(deque, maxlen=2)))
    assert bound([1, 2, 3]) == deque([2, 3])
    with pytest.raises(SnapshotError, match=r"names \w+\.system"):
        loads(pickle.dumps(functools.partial(os.system, "true")))


@pytest.mark.parametrize("attribute", ["learn_one", "new_attribute"])
def test_class_that_a_pickle_changes_is_put_back(attribute: str) -> None:
    before = dict(vars(DelayModel))
    module = DelayModel.__module__.encode()
    payload = b"c" + module + b"\nDelayModel\n(N}V" + attribute.encode() + b"\ncbuiltins\nint\nstb."
    with pytest.raises(SnapshotError, match="changes the class DelayModel"):
        loads(payload, DelayModel)
    assert dict(vars(DelayModel)) == before
    with pytest.raises(SnapshotError, match=r"names os\.system"):
        loads(payload[:-1] + b"cos\nsystem\n.", DelayModel)
    assert dict(vars(DelayModel)) == before


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
