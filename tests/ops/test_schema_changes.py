from __future__ import annotations

from typing import Any

import pytest

from ops.examples.tides.records import Reading
from ops.schema_changes import BEHIND, MISREAD, NONE, OLD, changes, told
from schemas.compatibility import unreadable
from schemas.derive import avro_schema
from schemas.flights_delay import PlannedFeature
from streams.topology import discover

TIDES = discover(["ops.examples.tides"])
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "int"}]}
WIDER = {**INNER, "fields": [*INNER["fields"], {"name": "b", "type": "int"}]}


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    first = {"name": "n", "type": "int", "unit": "m", "doc": "A number."}
    return {"type": "record", "name": "R", "key": "n", "fields": [first, *fields], **more}


def first(**changed: Any) -> dict[str, Any]:
    schema = record()
    return {**schema, "fields": [{**schema["fields"][0], **changed}]}


TEXT = {"name": "t", "type": "string"}
GIVEN = {**TEXT, "default": ""}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
CASES: list[tuple[Any, Any, list[tuple[str, str]]]] = [
    (record(), record(), []),
    (record(GIVEN), record(), [("field 't' was added, with a default", NONE)]),
    (record(TEXT), record(), [("field 't' was added without a default", OLD)]),
    (record(), record(TEXT), [("field 't' was removed, and had no default", BEHIND)]),
    (record(), record(GIVEN), [("field 't' was removed; readers before get its default", NONE)]),
    (first(type="long"), record(), [("field 'n' was int and is long", BEHIND)]),
    (record(), first(type="long"), [("field 'n' was long and is int", OLD)]),
    (
        first(type="boolean"),
        record(),
        [("field 'n' was int and is boolean", OLD), ("field 'n' was int and is boolean", BEHIND)],
    ),
    (first(type=["null", "int"]), record(), [("field 'n' was int and is null or int", BEHIND)]),
    (first(unit="cm"), record(), [("field 'n' was in m and is in cm", MISREAD)]),
    (record(), first(unit=None), [("field 'n' was in None and is in m", NONE)]),
    (
        first(sensitivity="personal", doc="Number."),
        record(),
        [
            ("field 'n' was public and is personal", NONE),
            ("the meaning of field 'n' was 'A number.' and is 'Number.'", NONE),
        ],
    ),
    (record(key="t"), record(), [("the key was n and is t", MISREAD)]),
    (
        record({"name": "u", "type": "string", "aliases": ["t"]}),
        record(TEXT),
        [
            ("field 't' is called 'u', and had no default", BEHIND),
            ("field 'u' was called 't'", NONE),
        ],
    ),
    (
        record({"name": "i", "type": WIDER}),
        record({"name": "i", "type": INNER}),
        [("field 'i.b' was added without a default", OLD)],
    ),
    (
        record({"name": "i", "type": {"type": "array", "items": INNER}}),
        record({"name": "i", "type": {"type": "array", "items": WIDER}}),
        [("field 'i.b' was removed, and had no default", BEHIND)],
    ),
    (
        record({"name": "i", "type": INNER}),
        record(),
        [("field 'i' was added without a default", OLD)],
    ),
    (
        first(type={**ENUM, "symbols": ["A"]}),
        first(type=ENUM),
        [("field 'n' was one of A, B and is one of A", OLD)],
    ),
]


@pytest.mark.parametrize(("after", "before", "expected"), CASES)
def test_each_change_is_told_with_what_goes_wrong(
    after: Any, before: Any, expected: list[tuple[str, str]]
) -> None:
    assert [(c.what, c.effect) for c in changes(after, before)] == expected


@pytest.mark.parametrize(("after", "before", "expected"), CASES)
def test_what_breaks_is_what_avro_cannot_read(after: Any, before: Any, expected: Any) -> None:
    """Both ways: who reads by the new version, and who still reads by the old one."""
    effects = {effect for _, effect in expected}
    assert (OLD in effects) == bool(unreadable(reader=after, writer=before))
    assert (BEHIND in effects) == bool(unreadable(reader=before, writer=after))


def test_change_of_a_reading_breaks_the_fold_that_reads_it() -> None:
    now = avro_schema(Reading)
    fields = [{**f, "unit": "cm"} if f["name"] == "level" else f for f in now["fields"]]
    assert told(TIDES, Reading, now, {**now, "fields": fields}) == [
        {
            "field": "level",
            "what": "field 'level' was in cm and is in m",
            "effect": "misread",
            "readers": ["tides/hour_level (fold)"],
            "models": [],
        }
    ]


def test_change_of_a_feature_reaches_the_models_below() -> None:
    now = avro_schema(PlannedFeature)
    before = {**now, "fields": [f for f in now["fields"] if f["name"] != "distance"]}
    [found] = told(discover(), PlannedFeature, now, before)
    assert (found["what"], found["effect"]) == (
        "field 'distance' was added without a default",
        "old records",
    )
    assert found["readers"] == [
        "flights/planned (learner)",
        "flights/planned_frozen (learner)",
        "flights/planned_join (fold)",
    ]
    assert found["models"] == ["planned", "planned_drift", "planned_frozen"]


def test_schema_that_nothing_is_decoded_by_is_not_compared() -> None:
    now = avro_schema(Reading)
    itself = {**now, "fields": [{"name": "again", "type": now["name"]}]}
    for other in (itself, {"type": "string"}):
        [found] = told(TIDES, Reading, other, now)
        assert (found["effect"], found["readers"]) == ("none", [])
