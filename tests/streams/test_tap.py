from __future__ import annotations

from typing import Any

import pytest

from streams.tap import BadCondition, condition

VALUE: dict[str, Any] = {
    "origin": "JFK",
    "delay": 15.0,
    "count": 3,
    "late": True,
    "gust": None,
    "feature": {"carrier": "UA", "weather": {"wind": 7}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("origin = JFK", True),
        ("origin='JFK'", True),
        ('origin != "JFK"', False),
        ("origin < K", True),
        ("delay >= 15", True),
        ("delay > 15", False),
        ("delay <= 1.5e1", True),
        ("count = 3", True),
        ("count = '3'", False),
        ("late = true", True),
        ("late != false", True),
        ("gust = null", True),
        ("gust != null", False),
        ("gust > 5", False),
        ("origin != null", True),
        ("nothing = null", True),
        ("nothing = 1", False),
        ("feature.carrier = UA", True),
        ("feature.weather.wind < 8", True),
        ("feature.carrier.code = UA", False),
        ("origin > 5", False),
    ],
)
def test_condition_compares_a_field_with_a_literal(text: str, expected: bool) -> None:
    assert condition(text)(VALUE) is expected


@pytest.mark.parametrize(
    "text", ["", "delay", "delay ~ 3", "= 3", "3 = delay", "delay == 3", "delay => 3"]
)
def test_condition_that_does_not_parse_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(BadCondition) as caught:
        condition(text)
    assert str(caught.value) == (
        f"--where {text!r} is not FIELD OP LITERAL with OP one of = != < <= > >=, "
        "for instance: --where 'delay_minutes >= 15'"
    )
