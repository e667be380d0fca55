from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lineage import (
    DERIVED,
    FOREIGN,
    Origin,
    Reference,
    header_number,
    name_code,
    names_of,
    pack_header,
    pack_stamp,
    place,
    read_varint,
    unpack_header,
    unpack_references,
    varint,
)

TOPICS = ("flights.event.arrival", "flights.example.planned", "flights.signal.planned_score")
NAMES = names_of((*TOPICS, "planned_join"))
NUMBERS = st.integers(0, 2**63 - 1)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    number = draw(NUMBERS)
    return Reference(
        draw(st.sampled_from(TOPICS)),
        draw(st.integers(0, 2**20)),
        draw(st.sampled_from((FOREIGN, DERIVED))),
        number,
        draw(st.none() | st.integers(number, 2**63 - 1)),
    )


@given(number=NUMBERS, tail=st.binary(max_size=3))
def test_varint_round_trips(number: int, tail: bytes) -> None:
    packed = varint(number)
    assert read_varint(packed + tail, 0) == (number, len(packed))


@given(parents=st.lists(references(), max_size=5))
def test_references_round_trip(parents: list[Reference]) -> None:
    packed = b"".join(p.packed() for p in parents)
    assert unpack_references(packed, 0, NAMES) == tuple(parents)


@given(n=NUMBERS, version=st.none() | NUMBERS, parents=st.lists(references(), max_size=5))
def test_header_round_trips(n: int, version: int | None, parents: list[Reference]) -> None:
    stamp = pack_stamp("planned_join", "0badcafe")
    model = varint(0 if version is None else version + 1)
    packed = b"".join(p.packed() for p in parents)
    header = pack_header(n, stamp, model, len(parents), packed)
    assert header_number(header) == n
    assert unpack_header(header, NAMES) == Origin(
        n, "planned_join", "0badcafe", version, tuple(parents)
    )


@pytest.mark.parametrize(
    ("reference", "text", "size"),
    [
        (Reference(TOPICS[0], 0, FOREIGN, 17), "flights.event.arrival[0]@17", 6),
        (Reference(TOPICS[1], 3, DERIVED, 300), "flights.example.planned[3]#300", 7),
        (Reference(TOPICS[1], 40, DERIVED, 5, 9), "flights.example.planned[40]#5..#9", 8),
        (Reference(TOPICS[0], 0, FOREIGN, 5, 9), "flights.event.arrival[0]@5..@9", 7),
    ],
)
def test_reference_is_short_on_the_wire_and_plain_for_people(
    reference: Reference, text: str, size: int
) -> None:
    assert str(reference) == text
    assert len(reference.packed()) == size


def test_header_of_a_record_with_one_parent_has_18_bytes() -> None:
    parent = place("flights.event.arrival", 0, FOREIGN) + varint(17)
    header = pack_header(3, pack_stamp("planned_join", "0badcafe"), b"\x00", 1, parent)
    assert header.hex() == "01039339b54a0badcafe0001a548f8530011"
    assert len(header) == 18


def test_unknown_code_is_shown_as_it_is() -> None:
    header = pack_header(0, pack_stamp("renamed", "0badcafe"), b"\x00", 0, b"")
    assert unpack_header(header, NAMES).processor == f"?{name_code('renamed').hex()}"


@pytest.mark.parametrize("header", [b"", b"\x02\x03", b"traceparent", b"\x01", b"\x01\x80"])
def test_header_of_somebody_else_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a lineage header|varint cut short"):
        header_number(header)


def test_two_names_of_one_code_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^buckeroo and plumless share the code 4ddb0c25$"):
        names_of(["plumless", "buckeroo"])
