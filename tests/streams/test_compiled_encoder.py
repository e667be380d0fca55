from __future__ import annotations

from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams import encoder_expressions
from streams.codec import Codec, MemoryRegistry


class Leaf(Record, stream=Stream("toy.feature.leaf", "key", "at_ms", "me")):
    """What stands in another record."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")


class Veined(Leaf):
    """A leaf with more to it."""

    veins: int = field("Veins.", default=3)


class Tree(Record, stream=Stream("toy.example.tree", "key", "at_ms", "me")):
    """What it stands in."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")
    leaf: Leaf = field("A leaf.")
    weights: list[float] = field("Weights.", unit="1", default=[])


class Nothing(Record):
    """A record without fields."""


REGISTRY = MemoryRegistry()


def codec(record: type[Record]) -> Codec:
    return Codec(record, f"{record.__name__}-value", REGISTRY)


def test_body_of_a_record_is_taken_where_it_stands_in_another() -> None:
    leaf = Leaf(key="a", at_ms=7)
    before = codec(Tree).encode(Tree(key="a", at_ms=8, leaf=leaf))
    value = codec(Leaf).encode(leaf)
    kept: Any = vars(Record)["_value"]
    assert kept.__get__(leaf) == value
    kept.__set__(leaf, value[:5] + b"kept")
    after = codec(Tree).encode(Tree(key="a", at_ms=8, leaf=leaf))
    assert value[5:] in before
    assert after == before.replace(value[5:], b"kept")


def test_kept_body_does_not_go_with_a_copy_or_count_in_a_comparison() -> None:
    leaf = Leaf(key="a", at_ms=7)
    codec(Leaf).encode(leaf)
    later = leaf.model_copy(update={"at_ms": 8})
    tree = codec(Tree)
    assert leaf == Leaf(key="a", at_ms=7)
    assert tree.decode(tree.encode(Tree(key="a", at_ms=9, leaf=later))).leaf == later


def test_body_of_a_subclass_is_not_taken_for_that_of_its_base() -> None:
    leaf = Veined(key="a", at_ms=7)
    Codec(Veined, "veined-value", REGISTRY).encode(leaf)
    tree = codec(Tree)
    assert tree.decode(tree.encode(Tree(key="a", at_ms=8, leaf=leaf))).leaf == Leaf(
        key="a", at_ms=7
    )


@pytest.mark.parametrize("weights", [[], [0.5], [1.5, -2.5, 0.0]])
def test_doubles_are_packed_as_fastavro_writes_them(weights: list[float]) -> None:
    tree = codec(Tree)
    record = Tree(key="a", at_ms=8, leaf=Leaf(key="a", at_ms=7), weights=weights)
    assert tree.encode(record) == tree.encode_plainly(record)


def test_record_without_fields_has_an_empty_body() -> None:
    nothing = codec(Nothing)
    assert nothing.encode(Nothing()) == nothing.prefix


def test_long_text_is_encoded_as_fastavro_does_and_not_remembered() -> None:
    leaf, before = codec(Leaf), encoder_expressions.encode_short_string.cache_info().misses
    for key in ("é" * 65, "é" * 64):
        record = Leaf(key=key, at_ms=7)
        assert leaf.encode(record) == leaf.encode_plainly(record)
    assert encoder_expressions.encode_short_string.cache_info().misses == before + 1
