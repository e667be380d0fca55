from __future__ import annotations

from typing import Any

import pytest

from ops.verify import CannotVerify, Verdict, Verifier, flow_of
from streams.driver import Driver
from streams.errors import NotFound, TopologyError
from streams.finder import parse_id
from streams.lineage import HEADER, pack_header, pack_stamp, place, varint
from streams.masking import masks_of
from streams.outline import outline
from streams.plan import Plan
from streams.shown import View
from streams.topology import Topology, discover
from tests.streams.toy import KEYS, driver, events, learner, sort
from tests.system.clinic.flow import Visit

GUESS, EXAMPLE = "toy.prediction.guess", "toy.example.thing"


def ran(*answers: int | None) -> Driver:
    return driver(sort, learner(), batch_records=2).run(events(*answers))


def verifier(done: Driver) -> Verifier:
    names = Topology({"toy": done.flow}).names
    registry = done.plan.registry
    return Verifier(Plan(done.flow, registry, keys=KEYS), View(registry, names), 1)


def verify(done: Driver, *topics: str, sample: int = 1_000) -> Verdict:
    checks = verifier(done)
    names = topics or done.flow.derived
    return checks.verify(done, checks.sample(done, names, sample, 0))


def tamper(done: Driver, topic: str, n: int, **changes: Any) -> None:
    log = done.logs[(topic, 0)]
    log[n] = log[n]._replace(**changes)


def test_every_stream_is_derived_again() -> None:
    found = verify(ran(5, None, 2_000, None, -1, None))
    assert (found.checked, found.equal, found.different) == (10, 10, [])
    assert dict(found.codes) == {"00000000": 10}


def test_sample_is_of_so_many_records_of_each_stream() -> None:
    done = ran(*[5, None] * 10)
    assert verify(done, GUESS, EXAMPLE, sample=3).equal == 6
    drawn = verifier(done).sample(done, [GUESS], 3, 0)
    assert drawn == verifier(done).sample(done, [GUESS], 3, 0)
    assert drawn != verifier(done).sample(done, [GUESS], 3, 1)


def test_one_record_is_derived_again() -> None:
    done = ran(5, None, 6, None)
    checks = verifier(done)
    found = checks.verify(done, checks.one(done, parse_id(f"{GUESS}[0]#1")))
    assert (found.checked, found.equal) == (1, 1)
    with pytest.raises(NotFound):
        checks.one(done, parse_id(f"{GUESS}[0]#2"))


def test_value_that_was_tampered_with_is_found() -> None:
    done = ran(5, None)
    other = ran(6, None).logs[(GUESS, 0)][0].value
    tamper(done, GUESS, 0, value=other)
    found = verify(done, GUESS)
    assert (found.checked, found.equal) == (1, 0)
    (one,) = found.different
    assert one["id"] == f"{GUESS}[0]#0"
    assert one["differs"] == "value: the same input, model and code lead to another"
    assert one["fields"] == {"answer": [6, 5]}


def test_field_that_may_not_be_seen_is_compared_and_not_shown() -> None:
    clinic = discover(["tests.system.clinic"])

    def visited(person: str) -> Driver:
        visit = Visit(person=person, at_ms=0, ward="north", homes=[], contacts={})
        return Driver(clinic.flow("clinic")).run([visit])

    done, topic = visited("ada"), "clinic.feature.count"
    tamper(done, topic, 0, value=visited("eva").logs[(topic, 0)][0].value)
    view = View(done.plan.registry, clinic.names, masks=masks_of(outline(clinic)))
    checks = Verifier(Plan(done.flow, done.plan.registry, keys=KEYS), view, 1)
    (one,) = checks.verify(done, checks.sample(done, [topic], 1, 0)).different
    assert one["fields"] == {"person": ["‹personal›", "‹personal›"]}


def test_trace_context_that_was_tampered_with_is_found() -> None:
    done = ran(5, None)
    headers = done.logs[(GUESS, 0)][0].headers
    tamper(done, GUESS, 0, headers={**headers, "traceparent": b"00-" + b"1" * 32})
    [one] = verify(done, GUESS).different
    assert one["differs"] == "trace: it bears another trace context than what it was made from"


def test_records_are_counted_by_the_settings_of_their_run() -> None:
    done = driver(sort, learner(), batch_records=1)
    for said in (None, {"batch_records_max": "1", "fetch_records": "7"}, {}):
        done.units[0].taken.settings = said
        done.run(events(5, None))
        done.crash()
    found = verify(done, GUESS)
    changed = (("batch_records_max", "1"), ("fetch_records", "7"))
    assert {c: n for c, n in found.settings.items() if n} == {(): 2, changed: 1}


def test_key_that_was_tampered_with_is_found() -> None:
    done = ran(5, None)
    tamper(done, GUESS, 0, key=b"y")
    assert verify(done, GUESS).equal == 0


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"parent": 1}, "input: it names other parents"),
        ({"model": 2}, "model: it names another version"),
        ({"processor": "sort"}, "processor: adder writes this"),
    ],
)
def test_header_that_was_tampered_with_is_found(changes: dict[str, Any], differs: str) -> None:
    done = ran(5, None)
    header = forged(**changes)
    assert forged() == done.logs[(GUESS, 0)][0].headers[HEADER]
    tamper(done, GUESS, 0, headers={HEADER: header})
    assert [d["differs"] for d in verify(done, GUESS).different] == [differs]


def test_record_of_other_code_is_equal_if_it_says_the_same() -> None:
    done = ran(5, None)
    tamper(done, GUESS, 0, headers={HEADER: forged(code="0badcafe")})
    found = verify(done, GUESS)
    assert (found.equal, dict(found.codes)) == (1, {"0badcafe": 1})


def test_record_of_other_code_that_says_something_else_differs_by_its_code() -> None:
    done = ran(5, None)
    other = ran(6, None).logs[(GUESS, 0)][0].value
    tamper(done, GUESS, 0, value=other, headers={HEADER: forged(code="0badcafe")})
    assert [d["differs"] for d in verify(done, GUESS).different] == [
        "code: another version has run, up to here or here"
    ]


def test_record_that_somebody_else_appended_is_found() -> None:
    done = ran(5, None)
    log = done.logs[(GUESS, 0)]
    log.append(log[0]._replace(offset=1, headers={}))
    log.append(log[0]._replace(offset=2, headers={HEADER: forged(n=1)}))
    found = verify(done, GUESS)
    assert (found.checked, found.equal) == (3, 1)
    assert [(d["id"], d["differs"]) for d in found.different] == [
        (f"{GUESS}[0]@1", "the journal does not lead to it"),
        (f"{GUESS}[0]#1", "the journal does not lead to it"),
    ]


def test_copy_of_a_record_is_found() -> None:
    done = ran(5, None)
    log = done.logs[(GUESS, 0)]
    log.append(log[0]._replace(offset=1))
    found = verify(done, GUESS)
    assert (found.checked, found.equal) == (2, 1)
    assert found.different == [{"id": f"{GUESS}[0]@1", "differs": "a copy: it bears an id twice"}]


def test_input_that_is_gone_is_told() -> None:
    done = ran(5, None, 6)
    del done.logs[("toy.event.thing", 0)][:2]
    with pytest.raises(CannotVerify, match=r"cannot verify before .*toy.event.thing\[0\]"):
        verify(done)


@pytest.mark.parametrize(
    ("topic", "error", "reason"),
    [
        ("toy.event.thing", CannotVerify, "nothing in the log leads to them"),
        ("toy.model.thing", CannotVerify, "doa model rebuild"),
        ("toy.event.nothing", TopologyError, "there is no stream"),
    ],
)
def test_stream_that_cannot_be_derived_is_refused(
    topic: str, error: type[Exception], reason: str
) -> None:
    flow = ran().flow
    with pytest.raises(error, match=reason):
        flow_of(Topology({"toy": flow}), topic)


def forged(
    *, n: int = 0, parent: int = 0, model: int = 1, processor: str = "adder", code: str = "00000000"
) -> bytes:
    reference = place("toy.feature.question", 0, 1) + varint(parent)
    return pack_header(n, pack_stamp(processor, code), varint(model + 1), 1, reference)


def test_after_other_code_has_run_nobody_is_accused() -> None:
    done = ran(5, None)
    journal = done.logs[("toy-journal", 0)]
    codec = done.plan.journal_codec
    entry = codec.decode(journal[0].value)
    value = codec.encode(entry.model_copy(update={"code_version": "0badcafe"}))
    tamper(done, "toy-journal", 0, value=value)
    tamper(done, GUESS, 0, headers={HEADER: forged(parent=1)})
    assert [d["differs"] for d in verify(done, GUESS).different] == [
        "code: another version has run, up to here or here"
    ]
