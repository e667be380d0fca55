"""What is wrong with a record is told to everybody without what is not for everybody's eyes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from schemas.derive import avro_schema
from schemas.record import Record, Stream, field
from streams.driver import Driver
from streams.errors import (
    DataError,
    EmptyValue,
    OutOfBounds,
    Refusal,
    RegistryError,
    SubjectMismatch,
    Undecodable,
    UnknownSchema,
    UnsafeSchema,
    Unwritable,
    WireFormat,
)
from streams.masking import masks_of
from streams.merge import Stored
from streams.outline import outline
from streams.processor import Clock, fold, hours
from streams.sensitivity import safe_text
from streams.shown import Shown, View
from streams.tolerance import Tolerance
from streams.topology import Flow, Topology

STAY, BED, LETTER = "ward.event.stay", "ward.event.bed", "ward.dead_letter"


class Stay(Record, stream=Stream(STAY, "ward", "at_ms", "ward")):
    """Somebody stays at a ward."""

    ward: str = field("The ward.")
    at_ms: int = field("When.", unit="ms", ge=0)
    person: str = field("Who.", sensitivity="personal", max_length=20)


class Bed(Record, stream=Stream(BED, "ward", "at_ms", "ward")):
    """A bed is made free; nothing about a person is in it."""

    ward: str = field("The ward.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Guest(Record):
    """Who stays."""

    person: str = field("Who.", sensitivity="personal")


@fold(reads=(Stay, Bed), writes=(), state=Guest, key="ward")
def beds(state: Guest | None, record: Stay | Bed) -> tuple[Guest | None, list[Record]]:
    """A bed in which somebody lies is not free."""
    if isinstance(record, Stay):
        return Guest(person=record.person), []
    if state is not None:
        raise Refusal(f"{state.person} lies there")
    return None, []


@fold(reads=Stay, writes=(), state=Guest, key="person", expires=hours(1))
def guests(state: Guest | None, stay: Stay) -> tuple[Guest, list[Record]]:
    """Remember who came."""
    return Guest(person=stay.person), []


@guests.expired
def leaves(state: Guest, at_ms: int) -> list[Record]:
    """Nobody leaves."""
    raise Refusal(f"{state.person} does not leave")


def ward(*tolerances: Tolerance) -> Flow:
    return Flow("ward", (beds, guests), tolerances=tolerances)


def ran(flow: Flow) -> Driver:
    """Ada comes; a bed is said to be free that is not; her stay expires."""
    stay = Stay(ward="north", at_ms=0, person="ada-1815")
    return Driver(flow).run([stay, Bed(ward="north", at_ms=1), Clock(9_000_000)])


def view(done: Driver, *may_see: str) -> View:
    topology = Topology({"ward": done.flow})
    masks = masks_of(outline(topology), frozenset(may_see))
    return View(done.plan.registry, topology.names, masks=masks)


def shown(done: Driver, topic: str, *may_see: str) -> list[Shown]:
    return [view(done, *may_see).show(topic, 0, stored) for stored in done.stored(topic)]


def foreign(done: Driver, topic: str, value: bytes) -> Shown:
    return view(done).show(topic, 0, Stored(0, b"north", value, {}))


def leaks(told: Any) -> bool:
    text = str(asdict(told) if isinstance(told, Shown) else told)
    return "ada-1815" in text or b"ada-1815".hex() in text


def test_letter_of_a_public_record_may_quote_another_that_is_not() -> None:
    done = ran(ward())
    letter, _ = shown(done, LETTER)
    assert letter.headers["error.record"] == f"{BED}[0]@0"
    assert letter.headers["error.message"] == "‹personal›"
    assert letter.value == {"ward": "north", "at_ms": 1}
    assert not leaks(letter)
    opened = view(done).opened(done.letters[0])
    assert (opened["text"], opened["fields"]) == ("‹personal›", letter.value)
    [told, _] = shown(done, LETTER, "personal")
    assert told.headers["error.message"] == "ada-1815 lies there"
    assert view(done, "personal").opened(done.letters[0])["text"] == "ada-1815 lies there"


def test_letter_of_a_flow_that_is_not_loaded_hides_what_its_processor_says() -> None:
    done = ran(ward())
    stored = done.stored(LETTER)[0]
    headers = {**stored.headers, "error.flow": b"elsewhere"}
    letter = view(done).show(LETTER, 0, stored._replace(headers=headers))
    assert letter.headers["error.message"] == "‹undeclared›"


def test_coordinate_of_an_entry_is_hidden_wherever_it_stands() -> None:
    done = ran(ward())
    entry = done.letters[1]
    assert entry.cause.origin == "ward-changelog[0]/guests/state/ada-1815"
    assert not leaks(shown(done, LETTER)[1])
    done.redrive(entry)
    [redrive] = shown(done, "ward-redrive")
    assert (redrive.value or {})["origin"] == "‹personal›"
    assert not leaks(redrive)


def test_trace_of_a_letter_is_hidden_as_its_other_headers() -> None:
    done = Driver(ward())
    state = b"who=ada-1815"
    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    done.publish_raw(STAY, b"north", b"ada-1815", traceparent=trace, tracestate=state)
    done.process()
    [letter] = done.letters
    assert letter.trace["tracestate"] == state
    assert view(done).opened(letter)["trace"] == {
        "traceparent": "‹personal›",
        "tracestate": "‹personal›",
    }
    assert view(done, "personal").opened(letter)["trace"]["tracestate"] == "who=ada-1815"


@pytest.mark.parametrize("value", [b"\0\0\0\x77\0\x10ada-1815", b"\0\0\0\x77\0"])
def test_bytes_of_a_schema_that_cannot_be_had_are_hidden_though_all_declared_is_public(
    value: bytes,
) -> None:
    found = foreign(ran(ward()), BED, value)
    assert (found.hex, found.error) == (
        "‹undeclared›",
        "UNKNOWN_SCHEMA: no schema has the id 30464",
    )
    assert not leaks(found)


def test_bytes_that_name_no_schema_are_as_public_as_their_stream() -> None:
    done = ran(ward())
    assert foreign(done, BED, b"nothing").hex == b"nothing".hex()
    assert foreign(done, STAY, b"nothing").hex == "‹personal›"


def test_text_that_quotes_a_field_of_the_writer_alone_is_hidden() -> None:
    done = ran(ward())
    noted = {"name": "note", "type": {"type": "string", "logicalType": "uuid"}}
    schema = {**avro_schema(Bed)}
    schema["fields"] = [*schema["fields"], noted]
    number = done.plan.registry.schema_id(f"{BED}-value", schema)
    found = foreign(done, BED, b"\0" + number.to_bytes(4, "big") + b"\x0anorth\x02\x10ada-1815")
    assert found.error == "OUT_OF_BOUNDS: ‹undeclared›"
    assert not leaks(found)


@pytest.mark.parametrize(
    ("tolerance", "named"),
    [
        (Tolerance(0, 9, processor="beds"), f"{BED}[0]@0 (REFUSED: ‹personal›)"),
        (Tolerance(0, 9, processor="guests"),
         "ward-changelog[0]/‹personal› (REFUSED: ‹personal›)"),
    ],
)  # fmt: skip
def test_pause_of_a_flow_quotes_nothing_personal(tolerance: Tolerance, named: str) -> None:
    done = ran(ward(tolerance))
    assert done.paused == (
        f"dead letter of {named} is number 1 among the last 9 records; at most 0 are tolerated"
    )


def test_state_that_cannot_be_written_is_named_without_its_key() -> None:
    @fold(reads=Stay, writes=(), state=Guest, key="person")
    def spoils(state: Guest | None, stay: Stay) -> tuple[Guest, list[Record]]:
        return Guest(person="").model_copy(update={"person": {"ada-1815": 7}}), []

    with pytest.raises(Unwritable) as error:
        ran(Flow("ward", (spoils, beds)))
    assert str(error.value) == "spoils/state/‹personal›: TypeError: ‹personal›"
    assert (error.value.__cause__, error.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfBounds("it is 'Ada'"), "‹internal›"),
        (Undecodable("a map holds 'Ada' twice"), "‹internal›"),
        (WireFormat("the value begins with 4164613a20"), "‹internal›"),
        (DataError("Ada"), "‹internal›"),
        (KeyError("Ada"), "‹internal›"),
        (EmptyValue("the value is empty"), "the value is empty"),
        (UnknownSchema("no schema has the id 7"), "no schema has the id 7"),
        (SubjectMismatch("schema id 7 is not one of a"), "schema id 7 is not one of a"),
        (UnsafeSchema("schema id 7 is no Avro"), "schema id 7 is no Avro"),
        (RegistryError("it does not answer"), "it does not answer"),
    ],
)
def test_text_is_told_where_it_can_quote_nothing(error: Exception, told: str) -> None:
    assert safe_text(error, ["public", "internal"]) == told
    assert safe_text(error, ["public"]) == str(error)
