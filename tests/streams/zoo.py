"""The models that a snapshot can hold: all that river offers of a kind, each trained a little.

`streams/allowed.json`, the list of names that a snapshot may use, is what these models need:
`python -m tests.streams.zoo` writes it anew. A new model here is a new line there, to be reviewed.
"""

from __future__ import annotations

import importlib
import io
import json
import pickle
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from river import (
    anomaly,
    compose,
    drift,
    dummy,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    metrics,
    naive_bayes,
    optim,
    preprocessing,
    stats,
    tree,
    utils,
)

LIST = Path(__file__).parents[2] / "streams" / "allowed.json"

logistic = linear_model.LogisticRegression
OPTIMIZERS = [
    optim.AdaBound, optim.AdaDelta, optim.AdaGrad, optim.AdaMax, optim.Adam, optim.AMSGrad,
    optim.Averager, optim.FTRLProximal, optim.Momentum, optim.Nadam, optim.NesterovMomentum,
    optim.RMSProp, optim.SGD,
]  # fmt: skip
BINARY_LOSSES = [optim.losses.BinaryFocalLoss, optim.losses.Hinge, optim.losses.Log]
LOSSES = [
    optim.losses.Absolute, optim.losses.Cauchy, optim.losses.EpsilonInsensitiveHinge,
    optim.losses.Huber, optim.losses.Poisson, optim.losses.Squared,
]  # fmt: skip
SCALERS = [
    preprocessing.AdaptiveStandardScaler, preprocessing.MaxAbsScaler, preprocessing.MinMaxScaler,
    preprocessing.Normalizer, preprocessing.RobustScaler, preprocessing.StandardScaler,
]  # fmt: skip


def optimized(optimizer: Any) -> Any:
    return optim.Averager(optim.SGD()) if optimizer is optim.Averager else optimizer()


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    **{o.__name__: lambda o=o: logistic(optimized(o)) for o in OPTIMIZERS},
    **{s.__name__: lambda s=s: s() | logistic() for s in SCALERS},
    **{loss.__name__: lambda loss=loss: logistic(loss=loss()) for loss in BINARY_LOSSES},
    "binarized": lambda: preprocessing.Binarizer() | logistic(),
    "scheduled": lambda: logistic(optim.SGD(optim.schedulers.InverseScaling(0.1))),
    "optimal": lambda: logistic(optim.SGD(optim.schedulers.Optimal(optim.losses.Hinge()))),
    "constant": lambda: logistic(initializer=optim.initializers.Constant(0.5)),
    "alma": linear_model.ALMAClassifier,
    "perceptron": lambda: compose.Prefixer("p_") | linear_model.Perceptron(),
    "suffixed": lambda: compose.Suffixer("_s") | logistic(),
    "renamed": lambda: compose.Renamer({"a": "z"}) | logistic(),
    "mixed": lambda: (
        (compose.Select("c") | preprocessing.OneHotEncoder(drop_zeros=True))
        + (compose.Discard("c") | preprocessing.StatImputer() | preprocessing.StandardScaler())
        | logistic(optim.FTRLProximal())
    ),
    "typed": lambda: (
        (compose.SelectType(str) | preprocessing.OrdinalEncoder())
        + (compose.SelectType(int, float, bool) | preprocessing.PreviousImputer())
        | logistic()
    ),
    "multiplied": lambda: compose.Select("a") * compose.Select("b") | logistic(),
    "extended": lambda: feature_extraction.PolynomialExtender() | logistic(),
    "hashed": lambda: preprocessing.FeatureHasher(seed=1) | logistic(),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=30),
    "tree of counts": lambda: tree.HoeffdingTreeClassifier(
        grace_period=30, leaf_prediction="mc", nominal_attributes=["c"], binary_split=True
    ),
    "fast tree": lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=30),
    "multiway tree": lambda: tree.HoeffdingTreeClassifier(
        grace_period=30, binary_split=False, leaf_prediction="nb", nominal_attributes=["c"]
    ),
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=30, seed=1),
    "adaptive binary tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(
        grace_period=30, nominal_attributes=["c"], binary_split=True, leaf_prediction="nb", seed=1
    ),
    "adaptive multiway tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(
        grace_period=30, nominal_attributes=["c"], seed=1
    ),
    "adaptive forest": lambda: forest.ARFClassifier(n_models=3, grace_period=30, seed=1),
    "adaptive forest of counts": lambda: forest.ARFClassifier(
        n_models=3, grace_period=30, leaf_prediction="mc", seed=1
    ),
    "adaptive forest of chances": lambda: forest.ARFClassifier(
        n_models=3, grace_period=30, leaf_prediction="nb", seed=1
    ),
    "mondrian forest": lambda: forest.AMFClassifier(n_estimators=3, seed=1),
    "bagging": lambda: ensemble.BaggingClassifier(logistic(), 3, seed=1),
    "adaptive bagging": lambda: ensemble.ADWINBaggingClassifier(logistic(), 3, seed=1),
    "bernoulli": naive_bayes.BernoulliNB,
    "complement": naive_bayes.ComplementNB,
    "multinomial": naive_bayes.MultinomialNB,
    "prior": dummy.PriorClassifier,
    "no change": dummy.NoChangeClassifier,
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    **{o.__name__: lambda o=o: linear_model.LinearRegression(loss=o()) for o in LOSSES},
    "quantile": lambda: linear_model.LinearRegression(loss=optim.losses.Quantile(0.5)),
    "mean": lambda: dummy.StatisticRegressor(stats.Mean()),
    "bagging": lambda: ensemble.BaggingRegressor(linear_model.LinearRegression(), 3, seed=1),
    "mondrian forest": lambda: forest.AMFRegressor(n_estimators=3, seed=1),
}
STATISTICS: dict[str, Callable[[], Any]] = {
    **{
        s.__name__: s
        for s in (
            stats.AbsMax, stats.Count, stats.EWMean, stats.EWVar, stats.IQR, stats.Kurtosis,
            stats.Max, stats.Mean, stats.Min, stats.Mode, stats.PeakToPeak, stats.Quantile,
            stats.Skew, stats.Sum, stats.Var, drift.ADWIN,
            drift.binary.DDM, drift.binary.EDDM, drift.NoDrift,
        )
    },
    "bayesian": lambda: stats.BayesianMean(prior=0.5, prior_weight=10),
    "rolling": lambda: utils.Rolling(stats.Mean, window_size=10),
}  # fmt: skip
CONTAINERS: dict[str, Any] = {
    "types": {"of": [bool, dict, float, int, list, set, str, tuple]},
    "containers": [Counter("abca"), OrderedDict(b=1), defaultdict(list, a=[1.5]), deque([1], 3)],
    "partial": partial(deque, maxlen=2),
    "random": random.Random(7),
    "set": {1, 2},
    "metric": metrics.Accuracy(),
}


# What no snapshot can hold, since it holds functions: each goes on, but without snapshots.
UNKEPT: dict[str, Callable[[], Any]] = {
    "regression tree": lambda: tree.HoeffdingTreeRegressor(grace_period=30),
    "quantized regression tree": lambda: tree.HoeffdingTreeRegressor(
        grace_period=30, splitter=tree.splitter.QOSplitter()
    ),
    "regression forest": lambda: forest.ARFRegressor(n_models=3, grace_period=30, seed=1),
    "normal": lambda: logistic(initializer=optim.initializers.Normal(seed=1)),
}


def examples(count: int = 400) -> list[tuple[dict[str, Any], bool]]:
    """Inputs of every type, and a label that depends on them."""
    chance = random.Random(7)
    found = []
    for _ in range(count):
        inputs = {"a": chance.random(), "b": chance.random(), "c": chance.choice("xyz")}
        found.append((inputs, inputs["a"] + 0.3 * inputs["b"] + (inputs["c"] == "x") > 0.9))
    return found


TEXTS = {
    "mixed", "typed", "multiway tree", "tree of counts", "adaptive binary tree",
    "adaptive multiway tree",
}  # fmt: skip


def inputs_of(name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a model of this name takes."""
    return inputs if name in TEXTS else {k: inputs[k] for k in "ab"}


def learn(name: str, model: Any, rows: list[tuple[dict[str, Any], bool]]) -> Any:
    """Train a model of the zoo."""
    for inputs, label in rows:
        model.learn_one(inputs_of(name, inputs), label)
    return model


def updated(statistic: Any, rows: list[tuple[dict[str, Any], bool]]) -> Any:
    """Feed a statistic of the zoo, or a detector."""
    for inputs, _ in rows:
        update(statistic, inputs)
    return statistic


def update(statistic: Any, inputs: dict[str, Any]) -> None:
    """Feed one value."""
    bits = isinstance(statistic, drift.binary.DDM | drift.binary.EDDM)
    statistic.update(inputs["a"] > 0.5 if bits else inputs["a"])


@cache
def everything() -> dict[str, Any]:
    """All models of the zoo, trained."""
    rows = examples()
    trees = anomaly.HalfSpaceTrees(seed=1, n_trees=3, window_size=50)
    for inputs, _ in rows:
        trees.learn_one(inputs_of("", inputs))
    return {
        **{f"classifier {n}": learn(n, m(), rows) for n, m in CLASSIFIERS.items()},
        **{f"regressor {n}": learn(n, m(), rows) for n, m in REGRESSORS.items()},
        **{f"statistic {n}": updated(s(), rows) for n, s in STATISTICS.items()},
        **{f"container {n}": held for n, held in CONTAINERS.items()},
        "anomaly": trees,
    }


class Names(pickle.Unpickler):
    """Reads a pickle of ours, and notes what it names."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(io.BytesIO(payload))
        self.found: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.found.add((module, name))
        return super().find_class(module, name)


def needed() -> dict[str, list[str]]:
    """Every name that a pickle of the zoo needs, by module."""
    found: dict[str, set[str]] = {}
    for animal, held in everything().items():
        names = Names(pickle.dumps(held, 5))
        names.load()
        for module, name in names.found:
            kept = getattr(importlib.import_module(module), name, None)
            assert isinstance(kept, type), f"{animal} holds {module}.{name}, which is not a class"
            found.setdefault(module, set()).add(name)
    return {module: sorted(found[module]) for module in sorted(found)}


def text(names: dict[str, list[str]]) -> str:
    """The list as it is committed."""
    return json.dumps(names, indent=1) + "\n"


if __name__ == "__main__":
    LIST.write_text(text(needed()), encoding="utf-8")
