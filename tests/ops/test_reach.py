from __future__ import annotations

from ops.reach import reach
from streams.driver import Driver
from streams.finder import parse_id
from streams.lineage import DERIVED, HEADER, Reference, pack_header
from streams.topology import Flow
from tests.streams.test_driver import tick
from tests.streams.test_trace import adding, tracer
from tests.streams.toy import driver, events, learner, sort


def test_records_that_lead_to_events_are_counted() -> None:
    ran = driver(sort, learner()).run(events(5, 6, None))
    follows, _ = tracer(ran)
    told: list[None] = []
    ids = ["toy.prediction.guess[0]#0", "toy.example.thing[0]#1", "toy.event.thing[0]@0"]
    found = reach(follows, map(parse_id, ids), lambda: told.append(None))
    assert (found.checked, found.reached, found.lost, len(told)) == (3, 3, [], 3)


def test_record_whose_parent_is_gone_is_told() -> None:
    ran = driver(sort, learner()).run(events(5, None))
    ran.logs[("toy.event.thing", 0)].clear()
    follows, _ = tracer(ran)
    found = reach(follows, [parse_id("toy.prediction.guess[0]#0"), parse_id("toy.x.y[0]#0")])
    assert (found.checked, found.reached) == (2, 0)
    assert found.lost == [
        "toy.prediction.guess[0]#0: toy.event.thing[0]@1 is not there: toy.event.thing[0] is empty",
        "toy.x.y[0]#0: toy.x.y[0]#0 is not there: toy.x.y[0] is empty",
    ]


def test_range_is_followed_to_its_last_record() -> None:
    ran = Driver(Flow("toy", (adding,))).run([tick("a", 1), tick("b", 2), tick("c", 3)])
    follows, _ = tracer(ran)
    assert reach(follows, [parse_id("toy.feature.total[0]#2")]).reached == 1
    log = ran.logs[("toy.event.tick", 0)]
    log[1] = log[1]._replace(offset=99)
    found = reach(tracer(ran)[0], [parse_id("toy.feature.total[0]#2")])
    assert found.lost == [
        "toy.feature.total[0]#2: toy.event.tick[0]@1 is not there: that offset holds the end of a "
        "transaction, or its record was compacted away"
    ]


def test_derived_record_without_parents_leads_nowhere() -> None:
    ran = driver(sort, learner()).run(events(5))
    log = ran.logs[("toy.example.thing", 0)]
    log[0] = log[0]._replace(headers={})
    found = reach(tracer(ran)[0], [parse_id("toy.example.thing[0]@0")])
    assert found.lost == ["toy.example.thing[0]@0: it leads to no event"]


def test_record_that_names_itself_ends_nothing() -> None:
    ran = Driver(Flow("toy", (adding,))).run([tick("a", 1), tick("b", 2)])
    log = ran.logs[("toy.feature.total", 0)]
    itself = Reference("toy.feature.total", 0, DERIVED, 0, 1).packed()
    header = pack_header(1, bytes(8), b"\x00", 1, itself)
    log[1] = log[1]._replace(headers={HEADER: header})
    assert reach(tracer(ran)[0], [parse_id("toy.feature.total[0]#1")]).checked == 1
