"""What a tracer outside sent with an event goes on with all that comes of it, and with no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from schemas.record import Record, Stream, field
from streams.driver import CRASH, Driver
from streams.processor import Clock, fold, transform
from streams.topology import Flow, stream_of
from streams.trace_context import Context, context_of
from tests.streams.replayed import held, redone
from tests.streams.toy import Alarm, Event, Example, Guess, Model, Question, driver, learner, sort

TRACE, FOREIGN_SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
TOLD = b"00-" + TRACE + b"-" + FOREIGN_SPAN + b"-01"
STATE = b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"


class Seen(Record, stream=Stream("toy.event.seen", "key", "at_ms", "me")):
    """An event; one of amount 13 is refused."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.")


class Copy(Seen, stream=Stream("toy.feature.copy", "key", "at_ms", "me")):
    """The same, derived."""


class Sum(Seen, stream=Stream("toy.signal.sum", "key", "at_ms", "me")):
    """What came up to a time."""


class Open(Record):
    """The sum so far."""

    amount: int = field("How much.")


luck = {"bad": True}


@transform(reads=Seen, writes=Copy)
def copy(event: Seen) -> list[Copy]:
    if event.amount == 13 and luck["bad"]:
        raise ValueError("unlucky")
    return [Copy(**dict(event))]


@fold(reads=Copy, writes=Sum, state=Open, key="key", expires=10)
def add(state: Open | None, event: Copy) -> tuple[Open, list[Sum]]:
    amount = event.amount + (state.amount if state else 0)
    return Open(amount=amount), [Sum(key=event.key, at_ms=event.at_ms, amount=amount)]


@add.expired
def close(state: Open, deadline_ms: int) -> list[Sum]:
    return [Sum(key="x", at_ms=deadline_ms, amount=-state.amount)]


def span(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).hexdigest()[:16].encode()


def bears(identity: str, **state: bytes) -> dict[str, bytes]:
    return {"traceparent": b"00-" + TRACE + b"-" + span(identity) + b"-01", **state}


def traces(ran: Driver, topic: str) -> list[dict[str, bytes]]:
    return [
        {name: data for name, data in one.headers.items() if name.startswith("trace")}
        for one in ran.stored(topic)
    ]


def seen(at_ms: int, amount: int = 1) -> Seen:
    return Seen(key="x", at_ms=at_ms, amount=amount)


def flow(batch_records: int = 1_000) -> Driver:
    return Driver(Flow("toy", (copy, add)), batch_records=batch_records)


@pytest.fixture(autouse=True)
def unlucky() -> Iterator[None]:
    luck["bad"] = True
    yield


def test_all_that_comes_of_a_traced_event_is_of_its_trace() -> None:
    ran = flow()
    ran.publish(seen(1))
    ran.publish(seen(2), traceparent=TOLD, tracestate=STATE)
    ran.publish(seen(3))
    ran.process()
    assert traces(ran, "toy.feature.copy") == [
        {},
        bears("toy.feature.copy[0]#1", tracestate=STATE),
        {},
    ]
    assert traces(ran, "toy.signal.sum") == [
        {},
        bears("toy.signal.sum[0]#1", tracestate=STATE),
        {},
    ], "the entry was made of the first event, but the record that triggered counts"
    assert [list(s.headers) for s in ran.stored("toy.feature.copy")][::2] == [["doa"], ["doa"]]


def test_what_expires_was_triggered_by_no_record() -> None:
    ran = flow()
    ran.publish(seen(1), traceparent=TOLD)
    ran.publish(seen(50), traceparent=TOLD)  # before it the first entry expires
    ran.run([Clock(at_ms=100)])
    assert [s.amount for s in ran.read(Sum)] == [1, -1, 1, -1]
    first, late = bears("toy.signal.sum[0]#0"), bears("toy.signal.sum[0]#2")
    assert traces(ran, "toy.signal.sum") == [first, {}, late, {}]


def test_dead_letter_keeps_it_and_so_does_what_comes_of_its_redrive() -> None:
    ran = flow()
    ran.publish(seen(1, 13), traceparent=TOLD, tracestate=STATE)
    ran.publish_raw("toy.event.seen", b"x", b"garbage", traceparent=TOLD)
    ran.process()
    assert traces(ran, "toy.dead_letter") == [
        bears("copy toy.event.seen[0]@0 1", tracestate=STATE),
        bears(" toy.event.seen[0]@1 1"),
    ]
    luck["bad"] = False
    ran.redrive(*ran.letters)
    assert traces(ran, "toy.feature.copy") == [bears("toy.feature.copy[0]#0", tracestate=STATE)]
    assert traces(ran, "toy.dead_letter")[2:] == [bears(" toy.event.seen[0]@1 2")]


def test_learner_hands_it_on_and_a_snapshot_bears_it() -> None:
    ran = driver(sort, learner(snapshot_every=1))
    for at_ms, answer in enumerate((2_000, None)):
        ran.publish(Event(key="x", at_ms=at_ms, answer=answer), traceparent=TOLD)
    ran.process()
    for record in (Question, Example, Guess, Alarm, Model):
        topic = stream_of(record).topic
        assert traces(ran, topic) == [bears(f"{topic}[0]#0")]


@pytest.mark.parametrize("batch_records", [1, 3, 1_000])
def test_replay_and_crash_give_the_same_bytes(batch_records: int) -> None:
    ran = flow(batch_records)
    for at_ms in range(9):
        headers = {"traceparent": TOLD} if at_ms % 2 else {}
        ran.publish(seen(7 * at_ms, 13 if at_ms == 5 else 1), **headers)
    ran.run([CRASH])
    assert redone(ran) == held(ran)
    assert sum(map(bool, traces(ran, "toy.feature.copy"))) == 3


@pytest.mark.parametrize(
    "told",
    [
        b"",
        TOLD[:-1],
        TOLD + b"0",
        TOLD + b"-00",
        TOLD.upper(),
        b"ff" + TOLD[2:],
        b"00-" + 32 * b"0" + b"-" + FOREIGN_SPAN + b"-01",
        b"00-" + TRACE + b"-" + 16 * b"0" + b"-01",
        b"0g" + TOLD[2:],
        b" " + TOLD,
        TOLD + b"\n",
        "٠٠".encode() + TOLD[2:],
        b"01" + TOLD[2:] + b"x",
        b"01" + TOLD[2:] + b"-" + 500 * b"x",
    ],
)
def test_what_is_no_traceparent_is_left_out(told: bytes) -> None:
    ran = flow()
    ran.publish(seen(1), traceparent=told, tracestate=STATE)
    ran.process()
    assert traces(ran, "toy.feature.copy") == [{}]
    assert not ran.dead_letters


def test_unknown_flags_and_later_versions_and_long_states() -> None:
    later = b"cc" + TOLD[2:-2] + b"ff-what comes"
    assert context_of({"traceparent": later}) == Context(TRACE, b"03")
    assert context_of({"traceparent": TOLD, "tracestate": 512 * b"a"}) == Context(
        TRACE, b"01", 512 * b"a"
    )
    assert context_of({"traceparent": TOLD, "tracestate": 513 * b"a"}) == Context(TRACE, b"01")
    assert context_of({"tracestate": STATE}) is None
