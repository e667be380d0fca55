from __future__ import annotations

from collections.abc import Iterable

import pytest

from ops.alike import Alike, alike, computed
from ops.catalog import fields_of
from schemas.record import Record, Stream, field
from streams.errors import TopologyError
from streams.processor import transform
from streams.topology import Flow, Topology, discover

BOTH = discover(["processors", "ops.examples.tides"])


class Wave(Record, stream=Stream("sea.event.wave", "buoy", "at_ms", "me", unique="name")):
    """A wave."""

    name: str = field("Its name.")
    buoy: str = field("The buoy.")
    at_ms: int = field("When.", unit="ms", ge=0)
    height: float = field("Height of the wave above the trough.", unit="m")


class Swell(Record, stream=Stream("sea.feature.swell", "buoy", "at_ms", "me")):
    """A long wave."""

    name: str = field("Its name.")
    buoy: str = field("The buoy.")
    at_ms: int = field("When.", unit="ms", ge=0)
    height: float = field("Height of the wave above the trough.", unit="m")
    crest: float = field("The height of a wave above its trough.", unit="m")
    feet: float = field("Height of the wave above the trough.", unit="ft")


@transform(reads=Wave, writes=Swell)
def swells(wave: Wave) -> Iterable[Swell]:
    """Tell long waves."""
    return ()


SEA = Topology({"sea": Flow("sea", (swells,))})
HEIGHT = Alike(
    "height", "sea.feature.swell", "name", "m", "Height of the wave above the trough.",
    ("sea/swells (transform)",), ("sea.event.wave",), (),
)  # fmt: skip
CREST = Alike(
    "crest", "sea.feature.swell", "meaning", "m", "The height of a wave above its trough.",
    ("sea/swells (transform)",), (), (),
)  # fmt: skip


def test_field_is_found_by_name_and_by_meaning_in_what_processors_write() -> None:
    assert computed(SEA, "height") == [HEIGHT, CREST]
    [height] = [one for one in fields_of(Wave) if one.name == "height"]
    assert alike(SEA, "sea.event.wave", height) == [HEIGHT, CREST]
    assert alike(SEA, "sea.feature.swell", height) == []


def test_feature_of_the_flights_is_told_with_who_computes_it_and_its_models() -> None:
    found = {one.topic: one for one in computed(BOTH, "departure_late_share")}
    assert set(found) == {"flights.feature.departed", "flights.feature.planned"}
    planned = found["flights.feature.planned"]
    assert planned.written_by == ("flights/features (fold)",)
    assert planned.taken_from == ()
    assert planned.models == ("planned", "planned_drift", "planned_frozen")


def test_what_is_passed_on_names_where_it_was_taken_from() -> None:
    found = {one.topic: one.taken_from for one in computed(BOTH, "probability")}
    assert found["flights.example.planned"] == (
        "flights.prediction.planned",
        "flights.prediction.planned_frozen",
    )
    assert found["flights.prediction.planned"] == ()
    [level] = computed(BOTH, "level")
    assert (level.topic, level.taken_from) == ("tides.feature.level", ("tides.event.reading",))


def test_what_only_says_which_record_it_is_is_not_computed() -> None:
    assert computed(BOTH, "gauge") == []
    assert computed(SEA, "name") == []
    assert computed(BOTH, "dew_point") == []  # of an event alone


def test_unknown_field_is_answered_with_likely_ones() -> None:
    with pytest.raises(TopologyError) as caught:
        computed(BOTH, "late_share")
    assert str(caught.value) == (
        "no stream has a field 'late_share'; perhaps: route_late_share, carrier_late_share, "
        "airport_late_share, departure_late_share; doa catalog WORDS searches their meanings"
    )
