from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ops.examples.tides.records import FloodAlert, HourLevel, Reading
from streams.driver import Driver
from streams.processor import Clock
from streams.settings import Settings
from streams.tap import BadCondition, Seen, condition, seen
from streams.topology import discover

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


TIDES = discover(["ops.examples.tides"])


def tides() -> Driver:
    def read(number: int, minute: int, level: float) -> Reading:
        name = f"r{number}"
        return Reading(reading_id=name, gauge="CUX", measured_ms=minute * 60_000, level=level)

    readings = [read(0, 0, 4.0), read(1, 30, 6.0), read(2, 31, 1.0)]
    return Driver(TIDES.flow("tides")).run([*readings, Clock(7_200_000)])


def shown(ran: Driver, topic: str) -> list[Seen]:
    cluster: Any = SimpleNamespace(settings=Settings(namespace="twin"))
    stored = ran.stored(topic)
    return [seen(f"twin.{topic}", 0, s, ran.plan.registry, TIDES.names, cluster) for s in stored]


def test_derived_record_is_shown_with_its_id_and_parents() -> None:
    ran = tides()
    (level,) = shown(ran, "tides.feature.level")
    assert level.id == "tides.feature.level[0]#0"
    assert level.parents == ("tides.event.reading[0]@0", "tides.event.reading[0]@1")
    assert (level.processor, level.model_version, level.key) == ("hour_level", None, "CUX")
    assert level.value == dict(ran.read(HourLevel)[0])
    (alert,) = shown(ran, "tides.alert.flood")
    assert alert.parents == ("tides.feature.level[0]#0",)
    assert ran.read(FloodAlert)[0].excess == 0.5


def test_foreign_record_is_shown_with_its_offset() -> None:
    readings = shown(tides(), "tides.event.reading")
    assert [r.id for r in readings] == [f"tides.event.reading[0]@{n}" for n in range(3)]
    assert [r.parents for r in readings] == [()] * 3


def test_dead_letter_is_shown_with_what_was_wrong() -> None:
    (letter,) = shown(tides(), "tides.dead_letter")
    assert letter.headers["error.message"] == "the level leaps from 6.0 to 1.0 m"
    assert letter.value is not None
    assert letter.value["reading_id"] == "r2"


def test_what_cannot_be_decoded_is_shown_as_hex_with_the_reason() -> None:
    ran = tides()
    ran.publish_raw("tides.event.reading", b"\xff\x00", b"{}", doa=b"not ours")
    broken = shown(ran, "tides.event.reading")[-1]
    assert (broken.id, broken.key) == ("tides.event.reading[0]@3", "0xff00")
    assert (broken.value, broken.hex) == (None, "7b7d")
    assert broken.error == (
        "WIRE_FORMAT: the value begins with 7b7d; 00 and a schema id were expected"
    )
