from __future__ import annotations

from dataclasses import replace

from streams.graph import as_data, as_mermaid, as_text, differences, edges
from streams.topology import discover

TIDES = discover(["ops.examples.tides"])


def test_text_shows_what_each_processor_reads_and_writes() -> None:
    assert as_text(edges(TIDES)).split("\n") == [
        "flow tides",
        "  hour_level (fold)",
        "    <- tides.event.reading",
        "    -> tides.feature.level",
        "  flood (transform)",
        "    <- tides.feature.level",
        "    -> tides.alert.flood",
    ]


def test_internal_topics_are_shown_when_asked_for() -> None:
    assert as_text(edges(TIDES, internal=True)).split("\n")[7:] == [
        "  runtime (runtime)",
        "    <- tides-clock",
        "    <- tides-redrive",
        "    <- tides-control",
        "    -> tides-changelog",
        "    -> tides-journal",
        "    -> tides.dead_letter",
    ]


def test_mermaid_draws_streams_round_and_processors_as_boxes() -> None:
    assert as_mermaid(edges(TIDES)).split("\n") == [
        "flowchart LR",
        '  t0(["tides.event.reading"])',
        '  t1(["tides.feature.level"])',
        '  t2(["tides.alert.flood"])',
        "  subgraph tides",
        '    tides_hour_level["hour_level"]',
        '    tides_flood["flood"]',
        "  end",
        "  t0 --> tides_hour_level",
        "  tides_hour_level --> t1",
        "  t1 --> tides_flood",
        "  tides_flood --> t2",
    ]


def test_data_says_all_of_a_stream() -> None:
    data = as_data(TIDES)
    assert data["flows"] == {"tides": ["hour_level", "flood"]}
    streams = data["streams"]
    assert isinstance(streams, dict)
    assert streams["tides.event.reading"] == {
        "record": "Reading",
        "doc": "A gauge measures how high the water stands.",
        "topic": "tides.event.reading",
        "key": "gauge",
        "event_time": "measured_ms",
        "owner": "harbour",
        "partitions": 1,
        "retention_days": 3650,
        "compacted": False,
        "unique": "reading_id",
        "unique_days": 3,
        "ahead_hours_max": 24,
    }


def test_learner_writes_its_snapshots() -> None:
    written = {(e.processor, e.topic) for e in edges(discover()) if e.direction == "writes"}
    assert ("planned", "flights.model.planned") in written
    assert ("planned", "flights.prediction.planned") in written


def test_observed_edges_are_drawn_with_their_counts() -> None:
    observed = [replace(edge, records=1_000 + i) for i, edge in enumerate(edges(TIDES)[:2])]
    assert as_text(observed).split("\n")[2:] == [
        "    <- tides.event.reading  1,000 records",
        "    -> tides.feature.level  1,001 records",
    ]
    assert as_mermaid(observed).split("\n")[-2:] == [
        "  t0 -->|1,000| tides_hour_level",
        "  tides_hour_level -->|1,001| t1",
    ]


def test_difference_of_two_graphs_is_told_edge_by_edge_whatever_they_count() -> None:
    declared = edges(TIDES)
    observed = [replace(edge, records=1) for edge in declared[1:]]
    other = replace(declared[0], processor="somebody")
    assert differences(declared, [*observed, other]) == ([declared[0]], [other])


def test_mermaid_takes_names_that_are_not_declared() -> None:
    edge = replace(edges(TIDES)[0], flow="not declared", processor="?ab12")
    assert as_mermaid([edge]).split("\n")[2:] == [
        "  subgraph not_declared",
        '    not_declared__ab12["?ab12"]',
        "  end",
        "  t0 --> not_declared__ab12",
    ]
