"""Which schemas nothing may be decoded by; and that asking never fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.derive import avro_schema
from schemas.lint import DEPTH_MAX, FIELDS_MAX, SCHEMA_BYTES_MAX, schema_of, unsafe
from streams.topology import discover

HOLLOW = "take no byte, so that a few bytes are millions of them"


def record(name: str, *kinds: Any) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(kinds)]
    return {"type": "record", "name": name, "fields": fields}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def nested(depth: int) -> Any:
    schema: Any = "long"
    for _ in range(depth):
        schema = array(schema)
    return schema


def doubling(depth: int) -> dict[str, Any]:
    """Each record holds the one before twice: few names, 2**depth values."""
    kinds = [record("B0"), *(record(f"B{n}", f"B{n - 1}", f"B{n - 1}") for n in range(1, depth))]
    return record("Bomb", *kinds)


@pytest.mark.parametrize("kind", discover(["processors", "ops.examples"]).records.values())
def test_our_own_schemas_are_safe(kind: Any) -> None:
    assert unsafe(avro_schema(kind)) == []


@pytest.mark.parametrize(
    "schema",
    [
        "long",
        record("A", "null", ["null", "long"], record("E")),
        {**record("A", {**record("B", "long"), "namespace": "x"}, "x.B"), "namespace": "y"},
        nested(DEPTH_MAX - 1),
        array(["null", "long"]),
        {"type": "map", "values": {"type": "fixed", "name": "F", "size": 1}},
        record("A", *["long"] * (FIELDS_MAX - 1)),
    ],
)
def test_a_plain_schema_is_safe(schema: Any) -> None:
    assert unsafe(schema) == []


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (record("A", ["null", "A"]), "field 'f0': A holds itself; what it nests has no bound"),
        (record("A", record("B", array("A"))),
         "field 'f0.f0': A holds itself; what it nests has no bound"),
        (nested(DEPTH_MAX), "the schema: its types nest deeper than 32"),
        (nested(50_000), "the schema nests deeper than 128 levels of JSON"),
        (array("null"), f"the schema: the items of an array {HOLLOW}"),
        (array(record("E")), f"the schema: the items of an array {HOLLOW}"),
        (array(record("E", "long", "null")), f"the schema: the items of an array {HOLLOW}"),
        (array(["null", record("E")]), f"the schema: the items of an array {HOLLOW}"),
        ({"type": "map", "values": {"type": "fixed", "name": "F", "size": 0}},
         f"the schema: the values of a map {HOLLOW}"),
        (doubling(25), "the schema: it holds 67108838 values; at most 1000 are taken"),
        (record("A", *["long"] * FIELDS_MAX),
         "the schema: it holds 1001 values; at most 1000 are taken"),
        (record("A", *["long"] * 1_001), "a record has 1001 fields; at most 1000 are taken"),
        ({**record("A"), "doc": "x" * SCHEMA_BYTES_MAX},
         "the schema has 65592 characters; at most 65536 are taken"),
        (record("../../etc/passwd"),
         "the schema: '../../etc/passwd' is no name: letters, digits and _, dots between"),
        ({"type": "record", "name": "A", "fields": [{"name": "<img onerror=x>", "type": "int"}]},
         "the schema: '<img onerror=x>' is no name of a field: letters, digits and _"),
        ({"type": "enum", "name": "E", "symbols": ["a b"]},
         "the schema: 'a b' is no symbol: letters, digits and _"),
        ({"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}] * 2},
         "the schema: the field x is there twice"),
        (record("A", record("B"), record("B")), "field 'f1': B is defined twice"),
        (record("A", "Missing"), "field 'f0': it names Missing, which is not defined before"),
        (record("A", ["null", ["long"]]), "field 'f0': a union is empty or holds a union"),
        ({"type": "fixed", "name": "F", "size": -1}, "the schema: the size of a fixed is -1"),
        (None, "the schema: None is no Avro type"),
    ],
)  # fmt: skip
def test_schema_that_nothing_is_decoded_by(schema: Any, fault: str) -> None:
    assert unsafe(schema)[0] == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 100_000, "it has 100000 characters; at most 65536 are taken"),
        ("[" * 60_000 + "]" * 5_000, "it nests deeper than 128 levels of JSON"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("1" * 5_000, "Exceeds the limit (4300 digits)"),
    ],
)
def test_text_that_is_no_schema(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:
        schema_of(text)
    assert str(caught.value).startswith(fault)


WORDS = st.sampled_from(
    ["record", "enum", "fixed", "array", "map", "null", "long", "A", "B", "", "."]
)
JSON = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-2, 3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "name", "namespace", "fields", "items", "values", "size",
                         "symbols", "aliases"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(schema=JSON)
def test_any_json_gets_an_answer(schema: Any) -> None:
    assert all(isinstance(fault, str) for fault in unsafe(schema))
