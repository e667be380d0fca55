"""Nothing that is personal may be found in what is shown: each test looks for it as text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from schemas.compatibility import linked
from schemas.derive import avro_schema
from schemas.record import Record, Stream, field
from streams.columns.types import wanted_columns
from streams.driver import Driver
from streams.errors import Refusal
from streams.expression import BadExpression, parse
from streams.masking import Masks, masks_of
from streams.merge import Stored
from streams.outline import outline
from streams.processor import fold
from streams.scope import scope_of
from streams.shown import Shown, View
from streams.topology import Flow, Topology, discover
from tests.system.clinic.flow import Address, Count, Visit

CLINIC = discover(["tests.system.clinic"])
EVENT, COUNT, LETTER = "clinic.event.visit", "clinic.feature.count", "clinic.dead_letter"
ADA = Visit(
    person="ada-1815",
    at_ms=60_000,
    ward="north",
    cost=12.5,
    homes=[Address(town="London", street="Marylebone 12")],
    contacts={"brother": Address(town="Bath", street="Royal Crescent 1")},
)
SECRETS = ("ada-1815", "Marylebone", "Royal Crescent", "12.5")


def clinic(*records: Any) -> Driver:
    return Driver(CLINIC.flow("clinic")).run(records or [ADA])


def view(ran: Driver, *may_see: str) -> View:
    masks = masks_of(outline(CLINIC), frozenset(may_see))
    return View(ran.plan.registry, CLINIC.names, masks=masks)


def shown(ran: Driver, topic: str, *may_see: str) -> list[Shown]:
    return [view(ran, *may_see).show(topic, 0, stored) for stored in ran.stored(topic)]


def leaked(record: Any) -> list[str]:
    """What of the secrets, or of their bytes, a record that is shown holds."""
    text = str(asdict(record) if isinstance(record, Shown) else record)
    return [secret for secret in SECRETS if secret in text or secret.encode().hex() in text]


def foreign(ran: Driver, schema: dict[str, Any], value: bytes, key: bytes = b"ada-1815") -> Shown:
    """A record that another producer wrote by a schema of its own."""
    schema_id = ran.plan.registry.schema_id(f"{EVENT}-value", schema)
    data = b"\x00" + schema_id.to_bytes(4, "big") + value
    return view(ran).show(EVENT, 0, Stored(0, key, data, {}))


def test_fields_that_are_not_public_are_named_and_not_shown() -> None:
    ran = clinic()
    [visit] = shown(ran, EVENT)
    assert visit.value == {
        "person": "‹personal›",
        "at_ms": 60_000,
        "ward": "north",
        "cost": "‹internal›",
        "homes": [{"town": "London", "street": "‹personal›"}],
        "contacts": {"brother": {"town": "Bath", "street": "‹personal›"}},
    }
    assert visit.key == "‹personal›"
    for topic in {name for name, _ in ran.logs}:
        assert [leaked(one) for one in shown(ran, topic)] == [[]] * len(ran.stored(topic))
    assert len(shown(ran, "clinic-changelog")) > 0


def test_what_may_be_seen_is_shown() -> None:
    ran = clinic()
    [visit] = shown(ran, EVENT, "personal", "internal")
    assert visit.value == ADA.model_dump()
    assert visit.key == "ada-1815"
    [visit] = shown(ran, EVENT, "internal")
    assert (visit.value or {})["cost"] == 12.5
    assert leaked(visit) == ["12.5"]


class Bill(Record):
    """What is to be paid."""

    cost: float | None = field("What it costs.", sensitivity="internal")


@fold(reads=(Visit, Count), writes=(), state=Bill, key="person")
def bills(state: Bill | None, record: Visit | Count) -> tuple[Bill | None, list[Record]]:
    """Nothing is paid."""
    if isinstance(record, Visit):
        return Bill(cost=record.cost), []
    raise Refusal(f"cost {state and state.cost}")


def test_who_may_see_one_kind_does_not_see_another_in_a_text_or_a_key() -> None:
    flow = Flow("clinic", (*CLINIC.flow("clinic").processors, bills))
    ran = Driver(flow).run([ADA])

    def told(*may_see: str) -> tuple[str, str | None]:
        masks = masks_of(outline(Topology({"clinic": flow})), frozenset(may_see))
        by = View(ran.plan.registry, {}, masks=masks)
        [letter] = ran.stored(LETTER)
        [*_, state] = ran.stored("clinic-changelog")
        shown = by.show(LETTER, 0, letter)
        assert shown.headers["error.record"] == f"{COUNT}[0]#0"
        assert by.opened(ran.letters[0])["text"] == shown.headers["error.message"]
        return shown.headers["error.message"], by.show("clinic-changelog", 0, state).key

    assert told() == ("‹personal›", "‹personal›")
    assert told("personal") == ("‹internal›", "‹internal›")
    assert told("internal") == ("‹personal›", "‹personal›")
    assert told("internal", "personal")[0] == "cost 12.5"
    assert "‹" not in str(told("internal", "personal")[1])


def test_field_within_a_stricter_one_is_hidden_by_its_own_kind_too() -> None:
    class Stay(Record):
        """Where somebody lies."""

        bed: int = field("Which bed.", sensitivity="internal")

    class Guest(Record, stream=Stream("inn.event.guest", "inn", "at_ms", "inn")):
        """Somebody comes."""

        inn: str = field("Where.")
        at_ms: int = field("When.", unit="ms", ge=0)
        stay: Stay = field("Who lies where.", sensitivity="personal")

    def masks(*may_see: str) -> Masks:
        return Masks({"inn.event.guest": linked(avro_schema(Guest))}, may_see=frozenset(may_see))

    value = {"inn": "a", "at_ms": 0, "stay": {"bed": 7}}
    some = masks("personal")
    assert some.kinds("inn.event.guest") == {"stay.bed": "internal"}
    assert some.of("inn.event.guest", {}).raw == "internal"
    assert some.of("inn.event.guest", {}).value(value)["stay"] == {"bed": "‹internal›"}
    assert masks().kinds("inn.event.guest") == {"stay": "personal", "stay.bed": "personal"}
    assert masks("internal").of("inn.event.guest", {}).value(value)["stay"] == "‹personal›"
    once = masks("internal").of("inn.event.guest", {}).value(value)
    assert some.of("inn.event.guest", {}).value(once)["stay"] == "‹personal›"
    assert masks("internal", "personal").kinds("inn.event.guest") == {}
    assert "stay" in wanted_columns(Guest, may_see=frozenset({"internal", "personal"})).schema.names
    assert "stay" not in wanted_columns(Guest, may_see=frozenset({"personal"})).schema.names


def test_null_is_hidden_as_well() -> None:
    [visit] = shown(clinic(ADA.model_copy(update={"cost": None})), EVENT)
    assert (visit.value or {})["cost"] == "‹internal›"


def test_bytes_that_cannot_be_decoded_are_hidden_with_the_reason() -> None:
    ran = clinic()
    ran.publish_raw(EVENT, b"ada-1815", b"ada-1815, Marylebone", user=b"ada-1815")
    broken = shown(ran, EVENT)[-1]
    assert leaked(broken) == []
    assert (broken.error, broken.hex) == ("WIRE_FORMAT: ‹personal›", "‹personal›")
    assert broken.headers == {"user": "‹personal›"}
    whole = ran.stored(EVENT)[0].value or b""
    torn = view(ran).show(EVENT, 0, Stored(9, b"ada-1815", whole[:-3], {}))
    assert (leaked(torn), torn.hex) == ([], "‹personal›")


def test_dead_letter_hides_what_its_record_hides() -> None:
    ran = clinic(ADA.model_copy(update={"ward": "closed"}))
    [letter] = shown(ran, LETTER)
    assert leaked(letter) == []
    assert letter.headers["error.class"] == "REFUSED"
    assert letter.headers["error.record"] == f"{EVENT}[0]@0"
    assert letter.headers["error.message"] == "‹personal›"
    opened = view(ran).opened(ran.letters[0])
    assert leaked(opened) == []
    assert opened["value"] == "‹personal›"
    assert leaked(view(ran, "personal", "internal").opened(ran.letters[0])) == list(SECRETS)


def test_letter_of_a_stream_that_is_not_loaded_hides_its_bytes() -> None:
    ran = clinic()
    stored = Stored(0, b"ada-1815", b"ada-1815", {"error.record": b"zoo.event.visit[0]@1"})
    letter = view(ran).show(LETTER, 0, stored)
    assert (leaked(letter), letter.hex, letter.key) == ([], "‹undeclared›", "‹undeclared›")


def test_schema_of_a_foreign_writer_takes_no_mark_away() -> None:
    schema = avro_schema(Visit)
    plain = {"name": "person", "type": "string"}
    other = {"name": "nickname", "type": "string", "default": ""}
    bare = {**schema, "fields": [plain, other]}
    del bare["key"]
    found = foreign(clinic(), bare, b"\x10ada-1815\x10ada-1815")
    assert found.value == {"person": "‹personal›", "nickname": "‹undeclared›"}
    assert (found.key, leaked(found)) == ("‹personal›", [])


def test_value_of_another_shape_is_hidden() -> None:
    ran = clinic()
    assert leaked(foreign(ran, {"type": "string"}, b"\x10ada-1815")) == []
    assert (
        leaked(foreign(ran, {"type": "map", "values": "string"}, b"\x02\x02a\x10ada-1815\0")) == []
    )
    homes = {"name": "homes", "type": "string"}
    found = foreign(ran, {"type": "record", "name": "Visit", "fields": [homes]}, b"\x10ada-1815")
    assert (found.value, leaked(found)) == ({"homes": "‹undeclared›"}, [])


def test_mark_of_a_writer_counts_where_nothing_is_declared() -> None:
    ran = clinic()
    [stored] = ran.stored(EVENT)
    found = View(ran.plan.registry, {}, masks=Masks()).show("other.event.visit", 0, stored)
    assert (leaked(found), found.key) == ([], "‹personal›")


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("person == 'ada-1815'", "person", "personal"),
        ("ward == 'north' && value.cost > 3.0", "value.cost", "internal"),
        ("key == 'ada-1815'", "key", "personal"),
        ("record.key == 'ada-1815'", "record.key", "personal"),
    ],
)
def test_filter_is_no_oracle(text: str, name: str, kind: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(text, scope_of(EVENT, Visit, masks_of(outline(CLINIC))))
    assert str(caught.value) == (
        f"filter {text!r} names {name}, which is {kind}: a filter may only ask for what may be "
        f"seen (--sensitive, with DOA_MAY_SEE={kind})"
    )
    allowed = masks_of(outline(CLINIC), frozenset({"personal", "internal"}))
    [visit] = shown(clinic(), EVENT, "personal", "internal")
    assert parse(text, scope_of(EVENT, Visit, allowed)).holds(visit) is True


def test_filter_finds_nothing_in_what_is_hidden_within() -> None:
    [visit] = shown(clinic(), EVENT)
    scope = scope_of(EVENT, Visit, masks_of(outline(CLINIC)))
    assert parse("homes[0].town == 'London'", scope).holds(visit) is True
    assert parse("contacts.brother.street == 'Royal Crescent 1'", scope).holds(visit) is None
    assert parse("'street' in homes[0]", scope).holds(visit) is False
    anywhere = scope_of("other.event.visit", None, Masks())
    assert parse("value.person != ''", anywhere).holds(visit) is None


def test_topic_that_no_loaded_package_declares_hides_what_no_schema_tells_of() -> None:
    ran = clinic()
    ran.publish_raw(EVENT, b"ada-1815", b"ada-1815, Marylebone", user=b"ada-1815")
    ran.publish_raw(EVENT, b"ada-1815", None)
    stranger = View(ran.plan.registry, {}, masks=masks_of(outline(discover(["ops.examples"]))))
    for topic in {name for name, _ in ran.logs}:
        for stored in ran.stored(topic):
            assert leaked(stranger.show(topic, 0, stored)) == []
    whole, garbage, tombstone = (stranger.show(EVENT, 0, one) for one in ran.stored(EVENT))
    assert (whole.value or {})["ward"] == "north"
    assert (garbage.error, garbage.hex) == ("WIRE_FORMAT: ‹undeclared›", "‹undeclared›")
    assert (garbage.key, tombstone.key, whole.key) == (
        "‹undeclared›", "‹undeclared›", "‹personal›",
    )  # fmt: skip
    state, *_ = (stranger.show("clinic-changelog", 0, s) for s in ran.stored("clinic-changelog"))
    assert state.key == "‹personal›"


def test_key_of_a_foreign_schema_is_as_public_as_its_fields() -> None:
    def of(key: Any = None, **marks: str) -> str | None:
        noted = {"name": "note", "type": "string", **marks}
        schema = {"type": "record", "name": "Note", "fields": [noted], "key": key}
        ran = clinic()
        number = ran.plan.registry.schema_id("other.event.note-value", schema)
        value = b"\0" + number.to_bytes(4, "big") + b"\x10ada-1815"
        return view(ran).show("other.event.note", 0, Stored(0, b"ada-1815", value, {})).key

    assert (of(), of("note"), of("other")) == ("ada-1815",) * 3
    for key in (None, "note", "other", ["note"], {}):
        assert of(key, sensitivity="internal") == "‹internal›"
