from __future__ import annotations

from typing import Any

import pytest

from streams.masking import Masks
from streams.scope import UnknownName, scope_of
from tests.streams.test_expression import SCOPE, VALUE, shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("delay", 15.0),
        ("value.delay", 15.0),
        ("feature.carrier", "UA"),
        ("feature", {"carrier": "UA", "weather": {"wind": 7}}),
        ("key", "JFK"),
        ("record.key", "JFK"),
        ("model_version", 7),
        ("record.model_version", None),
        ("headers.trace.id", "ab"),
        ("record.headers.trace.id", "ab"),
        ("headers.none", None),
        ("parents", []),
    ],
)
def test_column_is_a_field_or_what_the_record_says_of_itself(name: str, expected: Any) -> None:
    assert SCOPE.column(name)(shown(VALUE)) == expected


def test_unknown_column_is_answered_with_likely_ones() -> None:
    with pytest.raises(UnknownName) as caught:
        SCOPE.column("dealy")
    assert str(caught.value) == (
        "'dealy' is no field of toy.event.flight; perhaps: delay; "
        "doa catalog show toy.event.flight lists its fields"
    )


def test_column_of_an_undeclared_topic_may_be_any_field() -> None:
    scope = scope_of("other.event.thing", None, Masks())
    assert scope.column("delay")(shown(VALUE)) == 15.0
    assert scope.column("value.feature.carrier")(shown(VALUE)) == "UA"
