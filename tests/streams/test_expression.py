from __future__ import annotations

import time
from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams.expression import BadExpression, Expression, all_hold, parse
from streams.masking import Masks
from streams.scope import OWN, scope_of
from streams.shown import Shown


class Weather(Record):
    """What the weather was."""

    wind: int | None = field("Speed of the wind.", unit="knot", default=None)


class Feature(Record):
    """What was known."""

    carrier: str = field("The airline.")
    weather: Weather = field("The weather.")


class Flight(Record, stream=Stream("toy.event.flight", "origin", "left_ms", "tests")):
    """A flight."""

    origin: str = field("Where it left.")
    left_ms: int = field("When it left.", unit="ms", ge=0)
    delay: float = field("How late.", unit="minute")
    late: bool = field("Whether it was.")
    gust: float | None = field("The gust.", unit="knot", default=None)
    stops: list[str] = field("Where it stopped.")
    model_version: int = field("What the model had learnt.", ge=0)
    feature: Feature | None = field("What was known.", default=None)


SCOPE = scope_of("toy.event.flight", Flight, Masks())
VALUE: dict[str, Any] = {
    "origin": "JFK",
    "left_ms": 1_357_034_400_000,
    "delay": 15.0,
    "late": True,
    "gust": None,
    "stops": ["ORD", "DEN"],
    "model_version": 7,
    "feature": {"carrier": "UA", "weather": {"wind": 7}},
}


def shown(value: dict[str, Any] | None, **changed: Any) -> Shown:
    said: dict[str, Any] = dict.fromkeys(OWN)
    said |= {"id": "toy.event.flight[1]@17", "partition": 1, "offset": 17, "key": "JFK"}
    said |= {"appended_ms": 5_000, "parents": (), "headers": {"trace.id": "ab"}}
    return Shown(**(said | {"value": value} | changed))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("origin == 'JFK'", True),
        ('origin != "JFK"', False),
        ("delay >= 15", True),
        ("delay > 15.0", False),
        ("late", True),
        ("!late || delay > 10", True),
        ("late && delay < 10", False),
        ("gust == null", True),
        ("gust > 5", None),
        ("gust > 5 || late", True),
        ("origin > 5", None),
        ("origin", None),
        ("origin in ['JFK', 'EWR']", True),
        ("'ORD' in stops", True),
        ("stops[0] == 'ORD'", True),
        ("stops[9] == 'ORD'", None),
        ("origin.startsWith('J') && origin.matches('^J.K$')", True),
        ("feature.carrier == 'UA'", True),
        ("value.feature.weather.wind < 8", True),
        ("left_ms > int(timestamp('2013-01-01T00:00:00Z')) * 1000", True),
        ("key == 'JFK' && partition == 1 && offset == 17", True),
        ("id == 'toy.event.flight[1]@17'", True),
        ("headers['trace.id'] == 'ab'", True),
        ("headers['none'] == 'ab'", None),
        ("model_version == 7", True),
        ("record.model_version == null", True),
        ("delay / 0.0 > 1.0", True),
        ("1 / 0 == 1", None),
    ],
)
def test_expression_holds_fails_or_cannot_be_told(text: str, expected: bool | None) -> None:
    assert parse(text, SCOPE).holds(shown(VALUE)) is expected


def test_record_without_fields_is_told_by_what_it_says_of_itself() -> None:
    for record in (shown(None), shown(None, error="TRUNCATED: it ends", hex="00")):
        assert parse("gust == null", SCOPE).holds(record) is None
        assert parse("key == 'JFK'", SCOPE).holds(record) is True


def test_field_that_its_writer_did_not_know_is_null() -> None:
    assert parse("gust == null && feature.carrier == null", SCOPE).holds(shown({})) is True


def test_numbers_and_texts_beyond_the_library_cannot_be_told() -> None:
    for delay in (2**64, "\ud800"):
        assert parse("delay == 1", SCOPE).holds(shown({"delay": delay})) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "filter '', at 1: mismatched input 'end'"),
        ("late = true", "filter 'late = true', at 6: not understood: '= '; write == to compare"),
        ("delay => 3", "filter 'delay => 3', at 7: not understood: '=>'; write >= or <="),
        (
            "late and gust > 1",
            "filter 'late and gust > 1', at 6: mismatched input 'and' expecting end; "
            "write && for and",
        ),
        (
            "origin == JFK",
            "filter 'origin == JFK', at 11: 'JFK' is no field of toy.event.flight; "
            "a text stands in quotes",
        ),
        (
            "gusts > 3",
            "filter 'gusts > 3', at 1: 'gusts' is no field of toy.event.flight; perhaps: gust, "
            "stops",
        ),
        (
            "gust > carrier",
            "filter 'gust > carrier', at 8: 'carrier' is no field of toy.event.flight; "
            "perhaps: feature.carrier",
        ),
        (
            "feature == null",
            "filter 'feature == null', at 1: 'feature' is a record; name one of its fields, "
            "for instance feature.carrier",
        ),
        (
            "stops.exists(s, s == 'ORD')",
            """filter "stops.exists(s, s == 'ORD')", at 14: filters have none of the macros all, """
            "exists, exists_one, filter, has, map; in a list: 'a' in LIST",
        ),
        (
            "__import__('os')",
            """filter "__import__('os')", at 11: there is no function '__import__'""",
        ),
        (
            "delay + 1.0",
            "filter 'delay + 1.0' is of type double, a condition was expected, for instance: "
            "delay_minutes >= 15",
        ),
        ("late" + " " * 997, "a filter of 1,001 characters is too long: 1,000 at most"),
    ],
)
def test_what_does_not_parse_is_answered_with_the_place_and_what_to_write(
    text: str, told: str
) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(text, SCOPE)
    assert str(caught.value) == told


def test_topic_that_nobody_declares_is_filtered_below_value() -> None:
    scope = scope_of("other.event.thing", None, Masks())
    assert parse("value.delay > 10 && key == 'JFK'", scope).holds(shown(VALUE)) is True
    assert parse("value.nothing > 10", scope).holds(shown(VALUE)) is None
    with pytest.raises(BadExpression, match=r"no loaded package declares other\.event\.thing"):
        parse("delay > 10", scope)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "late" + ")" * 400,
        "[" * 400 + "]" * 400 + " == []",
        "delay" + " + delay" * 120 + " > 1",
        "late" + " ? late : late" * 70,
    ],
)
def test_deep_expression_is_refused(text: str) -> None:
    with pytest.raises(BadExpression, match="nested too deeply"):
        parse(text, SCOPE)


def test_nothing_runs_away() -> None:
    """Texts that double in a chain of maps, lists that do, and patterns that backtrack."""
    eight = "+".join("a" * 8)
    for text in (
        "size(['x']" + f".map(a, {eight})" * 30 + "[0]) > 1",
        "[1]" + ".map(a, [a, a])" * 40 + " == []",
        "[[0, 0]].all(a, [[a, a]].all(b, [[b, b]].all(c, c == c)))",
    ):
        with pytest.raises(BadExpression):
            parse(text, SCOPE)
    begun = time.monotonic()
    long = shown(VALUE | {"origin": "a" * 100_000})
    assert parse("origin.matches('(a*)*b')", SCOPE).holds(long) is False
    assert time.monotonic() - begun < 5


def test_all_of_several_must_hold() -> None:
    yes, no, unknown = (parse(t, SCOPE) for t in ("late", "!late", "gust > 1"))
    cases: list[tuple[list[Expression], bool | None]] = [
        ([], True),
        ([yes, yes], True),
        ([yes, no], False),
        ([yes, unknown], None),
        ([unknown, no], False),
    ]
    for expressions, expected in cases:
        assert all_hold(expressions, shown(VALUE)) is expected
