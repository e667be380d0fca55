from __future__ import annotations

import pytest

from ops.catalog import declared, models_below, search
from streams.errors import TopologyError
from streams.topology import Topology, discover
from tests.streams.toy import Event, driver, learner, sort

TIDES = discover(["ops.examples.tides"])


def found(query: str) -> list[str]:
    return [hit.topic for hit in search(TIDES, query)]


def test_without_words_all_streams_are_listed() -> None:
    assert found("") == ["tides.alert.flood", "tides.event.reading", "tides.feature.level"]


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("reading", ["tides.event.reading", "tides.feature.level"]),
        ("READING", ["tides.event.reading", "tides.feature.level"]),
        ("flood", ["tides.alert.flood"]),
        ("floo", ["tides.alert.flood"]),
        ("nothing like it", []),
        ("flood nothing", []),
        ("(*", ["tides.alert.flood", "tides.event.reading", "tides.feature.level"]),
    ],
)
def test_every_word_must_be_found(query: str, topics: list[str]) -> None:
    assert found(query) == topics


def test_hit_names_the_fields_that_the_words_were_found_in() -> None:
    [hit] = search(discover(), "gust humidity arrival weather")[:1]
    assert hit.topic.startswith("flights.")
    assert {"humidity", "wind_gust"} <= set(hit.fields)


def test_whole_words_come_before_beginnings() -> None:
    topics = [hit.topic for hit in search(discover(), "late")]
    assert "flights.example.planned" in topics
    assert [topic for topic in topics if ".model." in topic] == []  # they say "later"


def test_declaration_is_told_with_writers_readers_and_models() -> None:
    facts = declared(discover(), "flights.feature.planned")
    assert facts["written_by"] == ["flights/features (fold)"]
    assert facts["read_by"] == [
        "flights/planned (learner)",
        "flights/planned_frozen (learner)",
        "flights/planned_join (fold)",
    ]
    assert facts["models"] == ["planned", "planned_drift", "planned_frozen"]
    distance = next(f for f in facts["fields"] if f["name"] == "distance")
    assert (distance["kind"], distance["unit"], distance["sensitivity"]) == (
        "float",
        "mile",
        "public",
    )


def test_models_that_an_event_reaches_are_told() -> None:
    flow = driver(sort, learner()).flow
    assert models_below(Topology({"toy": flow}), Event) == ["adder"]


def test_unknown_stream_is_answered_with_likely_ones() -> None:
    with pytest.raises(TopologyError, match=r"perhaps: tides\.event\.reading"):
        declared(TIDES, "tides.reading")
