"""Why records cannot be read, by example; and fastavro as the judge of any pair of schemas."""

from __future__ import annotations

import io
from typing import Any

import fastavro
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from schemas.compatibility import incompatibilities, reinterpreted, unreadable

PROMOTED = {"int": "long", "long": "double", "float": "double", "string": "bytes"}


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, **more, "fields": list(fields)}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


OLD = record(field("x", "long"))


def test_field_without_default_breaks_old_records() -> None:
    new = record(field("x", "long"), field("y", "string"))
    reasons = ["field 'y' was added without a default: old records cannot be read"]
    assert unreadable(new, OLD) == reasons


def test_field_with_default_reads_old_records() -> None:
    new = record(field("x", "long"), field("y", ["null", "string"], default=None))
    assert unreadable(new, OLD) == []


def test_dropped_field_reads_old_records_but_breaks_old_readers() -> None:
    new = record()
    assert unreadable(new, OLD) == []
    assert incompatibilities(new, OLD, "BACKWARD") == []
    assert incompatibilities(new, OLD, "FULL") == [
        "readers of the old schema: field 'x' was added without a default: "
        "old records cannot be read"
    ]


def test_wider_type_reads_and_narrower_does_not() -> None:
    assert unreadable(record(field("x", "double")), OLD) == []
    assert unreadable(record(field("x", "int")), OLD) == [
        "field 'x' was long and is int: old values cannot be read"
    ]


def test_null_is_not_read_by_a_type_that_became_required() -> None:
    old = record(field("x", ["null", "long"], default=None))
    assert unreadable(OLD, old) == ["field 'x' was null and is long: old values cannot be read"]


def test_lost_branch_of_a_union_is_named() -> None:
    old = record(field("x", ["null", "string", "boolean"]))
    new = record(field("x", ["null", "string"]))
    assert unreadable(new, old) == [
        "field 'x' was boolean, which no branch of [null, string] reads"
    ]


def test_lost_symbol_needs_a_default() -> None:
    old = record(field("x", {"type": "enum", "name": "E", "symbols": ["A", "B"]}))
    new = record(field("x", {"type": "enum", "name": "E", "symbols": ["A"]}))
    assert unreadable(new, old) == ["field 'x' lost the symbols B: old values cannot be read"]
    new["fields"][0]["type"]["default"] = "A"
    assert unreadable(new, old) == []


def test_renamed_field_and_record_read_by_their_aliases() -> None:
    new = record(field("y", "long", aliases=["x"]), name="S", aliases=["R"])
    assert unreadable(new, OLD) == []
    assert unreadable({**new, "aliases": []}, OLD) == ["the record was named R and is named S"]


def test_nested_reason_names_the_whole_path() -> None:
    old = record(field("n", {"type": "array", "items": record(name="N")}))
    new = record(field("n", {"type": "array", "items": record(field("z", "int"), name="N")}))
    assert unreadable(new, old) == [
        "field 'n[].z' was added without a default: old records cannot be read"
    ]
    old = record(field("n", record(name="N")))
    new = record(field("n", record(field("z", "int"), name="N")))
    assert unreadable(new, old) == [
        "field 'n.z' was added without a default: old records cannot be read"
    ]


def test_second_use_of_a_name_and_a_record_in_itself_are_followed() -> None:
    inner = record(field("v", "long"), name="N")
    wide = record(field("v", "double"), name="N")
    old = record(field("a", inner), field("b", ["null", "N"]), namespace="d.event")
    new = record(field("a", wide), field("b", ["null", "d.event.N"]), namespace="d.event")
    assert unreadable(new, old) == []
    assert len(unreadable(old, new)) == 2
    tree = record(field("next", ["null", "R"]))
    assert unreadable(tree, tree) == []


def test_other_unit_and_other_key_are_named_though_avro_reads_them() -> None:
    old = record(field("x", "double", unit="mile"), key="origin", event_time="at_ms")
    new = record(field("x", "double", unit="km"), key="tail", event_time="at_ms")
    assert unreadable(new, old) == []
    assert reinterpreted(new, old) == [
        "the key was origin and is tail: old records were placed by it",
        "field 'x' was in mile and is in km: old values are misread",
    ]


@st.composite
def pairs(draw: st.DrawFn, path: str = "R", depth: int = 2) -> tuple[Any, Any]:
    """A writer's type and a reader's, mostly alike."""
    kinds = ["plain", "enum", "union", "array", "map", "record"] if depth else ["plain", "enum"]
    kind = draw(st.sampled_from(kinds))
    other = kind if draw(st.integers(0, 5)) else draw(st.sampled_from(kinds))
    return draw(one(kind, path, depth)), draw(one(other, path, depth))


@st.composite
def one(draw: st.DrawFn, kind: str, path: str, depth: int) -> Any:
    if kind == "plain":
        return draw(
            st.sampled_from(["null", "boolean", "int", "long", "float", "double", "string"])
        )
    if kind == "enum":
        symbols = draw(st.lists(st.sampled_from("ABC"), min_size=1, unique=True))
        default = draw(st.sampled_from([{}, {"default": symbols[0]}]))
        return {"type": "enum", "name": f"E_{path}", "symbols": symbols, **default}
    if kind == "union":
        parts = draw(
            st.lists(
                st.sampled_from(["null", "boolean", "int", "double", "string", "enum", "record"]),
                min_size=1,
                unique=True,
            )
        )
        return [
            draw(one(part, path, depth - 1)) if part in {"enum", "record"} else part
            for part in parts
        ]
    inner = draw(st.sampled_from(["plain", "enum", "union"] if depth > 1 else ["plain"]))
    if kind == "array":
        return {"type": "array", "items": draw(one(inner, f"{path}_i", depth - 1))}
    if kind == "map":
        return {"type": "map", "values": draw(one(inner, f"{path}_v", depth - 1))}
    return record(*draw(fields(path, depth)), name=draw(st.sampled_from([path, path, "S" + path])))


@st.composite
def fields(draw: st.DrawFn, path: str, depth: int) -> list[dict[str, Any]]:
    found = []
    for name in draw(st.lists(st.sampled_from("abc"), unique=True)):
        kind = draw(st.sampled_from(["plain", "union", "array"] if depth > 1 else ["plain"]))
        type_ = draw(one(kind, f"{path}_{name}", depth - 1))
        default = {"default": 1} if type_ == "long" and draw(st.booleans()) else {}
        found.append(field(name, type_, **default))
    return found


@st.composite
def records(draw: st.DrawFn) -> tuple[Any, Any]:
    """A writer's record and a reader's: fields come and go, and change their types a little."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, min_size=1)):
        types = draw(pairs(name))
        change = draw(st.sampled_from(["same", "same", "same", "other", "added", "gone", "wider"]))
        if change != "added":
            sides[0].append(field(name, types[0]))
        if change == "wider" and isinstance(types[0], str):
            sides[1].append(field(name, PROMOTED.get(types[0], types[0])))
        elif change == "added":
            more = draw(st.sampled_from([{}, {"default": 3}]))
            sides[1].append(field(name, "long", **more))
        elif change != "gone":
            sides[1].append(field(name, types[1 if change == "other" else 0]))
    return record(*sides[0]), record(*draw(st.permutations(sides[1])))


def values(schema: Any) -> list[Any]:
    """Values that together take every branch of a schema."""
    plain = {"null": None, "boolean": True, "int": 7, "long": 8, "float": 0.5, "double": 0.25}
    if isinstance(schema, list):
        return [(branch_name(b), value) for b in schema for value in values(b)]
    if isinstance(schema, str):
        return [{**plain, "string": "text"}[schema]]
    if schema["type"] == "enum":
        return list(schema["symbols"])
    if schema["type"] == "array":
        return [[value] for value in values(schema["items"])]
    if schema["type"] == "map":
        return [{"k": value} for value in values(schema["values"])]
    every = {f["name"]: values(f["type"]) for f in schema["fields"]}
    first = {name: found[0] for name, found in every.items()}
    return [first] + [{**first, name: v} for name, found in every.items() for v in found[1:]]


def branch_name(branch: Any) -> str:
    return branch if isinstance(branch, str) else str(branch.get("name", branch["type"]))


def fastavro_reads(reader: Any, writer: Any) -> bool:
    parsed = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    for value in values(writer):
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, parsed[0], value)
        buffer.seek(0)
        try:
            fastavro.schemaless_reader(buffer, *parsed)
        except fastavro.read.SchemaResolutionError:
            return False
    return True


@seed(7)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(records())
def test_agrees_with_fastavro(pair: tuple[Any, Any]) -> None:
    writer, reader = pair
    assert (unreadable(reader, writer) == []) == fastavro_reads(reader, writer)
    assert unreadable(writer, writer) == []
