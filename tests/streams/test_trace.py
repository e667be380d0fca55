from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from streams.driver import Driver
from streams.errors import NotFound
from streams.finder import Finder, parse_id
from streams.lineage import DERIVED, FOREIGN, HEADER, Reference, header_number
from streams.outline import outline
from streams.processor import fold
from streams.shown import View
from streams.topology import Flow, Topology, stream_of
from streams.trace import Span, Trace, Tracer
from streams.validation import _name_problems
from tests.streams.test_driver import Sum, Tick, Total, tick, total
from tests.streams.toy import driver, events, learner, sort


@fold(reads=Tick, writes=Total, state=Sum, key="place", parents="range")
def adding(state: Sum | None, record: Tick) -> tuple[Sum, list[Total]]:
    """What a place has so far."""
    amount = (0 if state is None else state.amount) + record.amount
    return Sum(place=record.place, amount=amount), [total(record.at_ms, amount)]


class Named:
    """Who names whom, by looking at all there is but snapshots."""

    def __init__(self, ran: Driver, view: View) -> None:
        self.named = [
            (parent, self._reference(topic, partition, stored))
            for (topic, partition), log in ran.logs.items()
            if ".model." not in topic
            for stored in log
            for parent in view.parents(stored)
        ]

    def children(self, parent: Reference) -> Iterable[Reference]:
        return [child for one, child in self.named if one == parent]

    def spans(self, parent: Reference) -> Iterable[Span]:
        found = [
            child.number
            for one, child in self.named
            if one.last is not None
            and replace(one, number=0, last=None) == replace(parent, number=0)
            and one.number <= parent.number <= one.last
        ]
        if found:
            between = Reference(stream_of(Total).topic, 0, DERIVED, min(found), max(found))
            yield Span(between, len(found))

    def _reference(self, topic: str, partition: int, stored: Any) -> Reference:
        header = stored.headers.get(HEADER)
        if header is None:
            return Reference(topic, partition, FOREIGN, stored.offset)
        return Reference(topic, partition, DERIVED, header_number(header))


def tracer(ran: Driver) -> tuple[Tracer, View]:
    topology = Topology({ran.flow.name: ran.flow})
    view = View(ran.plan.registry, topology.names)
    return Tracer(outline(topology), Finder(ran), view), view


def up(ran: Driver, text: str, depth: int | None = None) -> Trace:
    return tracer(ran)[0].up(parse_id(text), depth)


def down(ran: Driver, text: str, depth: int | None = None) -> Trace:
    follows, view = tracer(ran)
    return follows.down(parse_id(text), Named(ran, view), depth)


def links(trace: Trace) -> list[tuple[str, str]]:
    return [(link.child, link.parent) for link in trace.links]


def kinds(trace: Trace) -> dict[str, str]:
    return {node.id: node.kind for node in trace.nodes.values()}


def test_prediction_is_traced_to_its_event_and_to_what_its_model_had_learnt() -> None:
    ran = driver(sort, learner()).run(events(5, 6, None))
    trace = up(ran, "toy.prediction.guess[0]#0")
    assert links(trace) == [
        ("toy.prediction.guess[0]#0", "model adder@0#2"),
        ("toy.prediction.guess[0]#0", "toy.feature.question[0]#0"),
        ("toy.feature.question[0]#0", "toy.event.thing[0]@2"),
    ]
    assert kinds(trace) == {
        "toy.prediction.guess[0]#0": "record",
        "model adder@0#2": "model",
        "toy.feature.question[0]#0": "record",
        "toy.event.thing[0]@2": "event",
    }
    model = trace.nodes["model adder@0#2"]
    assert (str(model.reference), model.count) == ("toy.example.thing[0]#0..#1", 2)
    shown = trace.nodes["toy.prediction.guess[0]#0"].shown
    assert shown is not None and shown.value is not None
    assert (shown.processor, shown.code_version, shown.model_version) == ("adder", "00000000", 2)
    assert shown.value["answer"] == 11
    assert trace.cut == 0


def test_record_that_is_asked_for_by_its_offset_is_called_by_its_number() -> None:
    ran = driver(sort, learner()).run(events(5, None))
    assert up(ran, "toy.prediction.guess[0]@0").root == "toy.prediction.guess[0]#0"


def test_event_has_nothing_above_it() -> None:
    trace = up(driver(sort, learner()).run(events(5)), "toy.event.thing[0]@0")
    assert (links(trace), kinds(trace)) == ([], {"toy.event.thing[0]@0": "event"})


def test_aggregate_names_one_range_of_events() -> None:
    ran = Driver(Flow("toy", (adding,))).run([tick("a", 1), tick("b", 2), tick("c", 3)])
    trace = up(ran, "toy.feature.total[0]#2")
    assert links(trace) == [
        ("toy.feature.total[0]#2", "toy.event.tick[0]@2"),
        ("toy.feature.total[0]#2", "toy.event.tick[0]@0..@1"),
    ]
    assert trace.nodes["toy.event.tick[0]@0..@1"].count == 2


def test_dead_letter_is_traced_to_the_record_that_was_refused() -> None:
    trace = up(driver(sort, learner()).run(events(-1)), "toy.dead_letter[0]@0")
    assert links(trace) == [
        ("toy.dead_letter[0]@0", "toy.example.thing[0]#0"),
        ("toy.example.thing[0]#0", "toy.event.thing[0]@0"),
    ]
    assert kinds(trace)["toy.dead_letter[0]@0"] == "dead letter"


def test_parent_that_is_gone_says_so() -> None:
    ran = driver(sort, learner()).run(events(5, None))
    ran.logs[("toy.event.thing", 0)].clear()
    trace = up(ran, "toy.prediction.guess[0]#0")
    node = trace.nodes["toy.event.thing[0]@1"]
    assert node.missing == "toy.event.thing[0]@1 is not there: toy.event.thing[0] is empty"


def test_depth_ends_a_trace_and_is_counted() -> None:
    ran = driver(sort, learner()).run(events(5, None))
    trace = up(ran, "toy.prediction.guess[0]#0", depth=1)
    assert links(trace)[-1] == ("toy.prediction.guess[0]#0", "toy.feature.question[0]#0")
    assert trace.cut == 1


def test_record_that_is_not_there_is_refused() -> None:
    ran = driver(sort, learner()).run(events(None))
    with pytest.raises(NotFound, match=r"guess\[0\]#7 is not there: .* has not come so far yet"):
        up(ran, "toy.prediction.guess[0]#7")


def test_event_is_followed_down_to_signals_and_models() -> None:
    ran = driver(sort, learner()).run(events(5, 2_000, None))
    trace = down(ran, "toy.event.thing[0]@1")
    assert links(trace) == [
        ("toy.example.thing[0]#1", "toy.event.thing[0]@1"),
        ("model adder@0#2", "toy.example.thing[0]#1"),
        ("toy.signal.alarm[0]#0", "toy.example.thing[0]#1"),
    ]


def test_example_after_the_end_of_a_learner_has_no_model() -> None:
    ran = driver(sort, learner(until_ms=1)).run(events(5, 6))
    assert "model adder@0#1" in down(ran, "toy.event.thing[0]@0").nodes
    assert list(down(ran, "toy.event.thing[0]@1").nodes) == [
        "toy.event.thing[0]@1",
        "toy.example.thing[0]#1",
    ]


def test_what_names_a_range_with_a_record_in_it_is_counted_and_the_first_followed() -> None:
    ran = Driver(Flow("toy", (adding,))).run([tick("a", 1), tick("b", 2), tick("c", 3)])
    trace = down(ran, "toy.event.tick[0]@0")
    assert links(trace) == [
        ("toy.feature.total[0]#0", "toy.event.tick[0]@0"),
        ("toy.feature.total[0]#1..#2", "toy.event.tick[0]@0"),
        ("toy.feature.total[0]#1", "toy.feature.total[0]#1..#2"),
    ]
    assert trace.nodes["toy.feature.total[0]#1..#2"].count == 2


def test_only_record_that_names_a_range_is_a_child_like_others() -> None:
    ran = Driver(Flow("toy", (adding,))).run([tick("a", 1), tick("b", 2), tick("c", 3)])
    assert links(down(ran, "toy.event.tick[0]@1")) == [
        ("toy.feature.total[0]#1", "toy.event.tick[0]@1"),
        ("toy.feature.total[0]#2", "toy.event.tick[0]@1"),
    ]


def test_refused_event_is_followed_down_to_its_dead_letter() -> None:
    ran = driver(sort, learner()).run(events(-1))
    assert ("toy.dead_letter[0]@0", "toy.example.thing[0]#0") in links(
        down(ran, "toy.event.thing[0]@0")
    )


def test_only_what_was_not_followed_further_is_counted() -> None:
    ran = driver(sort, learner()).run(events(2_000))
    assert down(ran, "toy.event.thing[0]@0", depth=1).cut == 1
    assert down(ran, "toy.event.thing[0]@0", depth=2).cut == 0


def test_only_so_many_children_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.trace.NODES_MAX", 3)
    ran = Driver(Flow("toy", (adding,))).run([tick(str(n), n) for n in range(9)])
    follows, view = tracer(ran)
    known = Named(ran, view)
    known.named = [(Reference("toy.event.tick", 0, FOREIGN, 0), child) for _, child in known.named]
    trace = follows.down(parse_id("toy.event.tick[0]@0"), known)
    assert len(trace.nodes) <= 4
    assert trace.cut > 5


def test_processors_of_two_flows_may_not_share_a_name() -> None:
    flows = {name: Flow(name, (adding,)) for name in ("one", "two")}
    assert "flows one and two both have a processor called 'adding'" in " ".join(
        _name_problems(Topology(flows))
    )
