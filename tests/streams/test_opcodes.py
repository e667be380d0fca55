"""All that Python's pickler writes passes; what goes beyond a bound, or is cut or changed, does not
get through with anything but an error of ours.
"""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from streams.errors import SnapshotError
from streams.opcodes import NESTED_MAX, check_opcodes
from tests.streams import zoo

ATOMS = (
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.binary()
)
KEYS = some.text() | some.integers() | some.tuples(some.integers(), some.text())
VALUES = some.recursive(
    ATOMS,
    lambda held: (
        some.lists(held)
        | some.dictionaries(KEYS, held)
        | some.tuples(held, held, held, held)
        | some.sets(KEYS)
        | some.frozensets(KEYS)
        | some.tuples(held)
        | some.builds(bytearray, some.binary())
    ),
    max_leaves=50,
)


@given(VALUES)
def test_every_pickle_of_protocol_5_passes(held: Any) -> None:
    check_opcodes(pickle.dumps([held, held], 5))


@pytest.mark.parametrize("name", zoo.everything())
def test_every_model_of_the_zoo_passes(name: str) -> None:
    check_opcodes(pickle.dumps(zoo.everything()[name], 5))


def test_large_values_pass() -> None:
    circle: list[Any] = []
    circle.append(circle)
    held = ["x" * 100_000, b"y" * 100_000, list(range(5_000)), 1 << 5_000, (1,) * 5_000, circle]
    check_opcodes(pickle.dumps(held, 5))


def nested(depth: int) -> bytes:
    """Tuples in tuples, as a pickler without a limit of its own would write them."""
    return b"\x80\x05)" + b"\x85" * depth + b"."


def test_depth_is_bounded() -> None:
    check_opcodes(nested(NESTED_MAX))
    with pytest.raises(SnapshotError, match="nests deeper than 1000"):
        check_opcodes(nested(NESTED_MAX + 1))


def test_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = pickle.dumps([0.5] * 1_000, 5)
    monkeypatch.setattr("streams.opcodes.OPCODES_MAX", 1_010)
    check_opcodes(payload)
    monkeypatch.setattr("streams.opcodes.OPCODES_MAX", 900)
    with pytest.raises(SnapshotError, match="more than 900 opcodes"):
        check_opcodes(payload)


def test_mutated_pickles_raise_nothing_else() -> None:
    whole = pickle.dumps([zoo.CONTAINERS, {(1, 2): frozenset({3})}], 5)
    chance = random.Random(7)
    refused = 0
    for _ in range(2_000):
        at = chance.randrange(len(whole))
        change = chance.choice([b"", chance.randbytes(1), chance.randbytes(3)])
        try:
            check_opcodes(whole[:at] + change + whole[at + chance.randrange(3) :])
        except SnapshotError:
            refused += 1
    assert refused > 800


@pytest.mark.parametrize("length", range(40))
def test_cut_pickle_is_refused(length: int) -> None:
    whole = pickle.dumps({"a": [1, 2.5, "b", None, (True, b"c")]}, 5)
    if length < len(whole):
        with pytest.raises(SnapshotError, match=r"cut off|one was expected"):
            check_opcodes(whole[:length])
