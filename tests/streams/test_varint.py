"""Integers as bytes: by tables, as by hand."""

from __future__ import annotations

import random

import pytest

from streams.varint import encode_long, read_varint, varint

EDGES = [
    n + more for bits in (0, 7, 14, 21, 28, 35, 42, 63) for n in (1 << bits,) for more in (-1, 0)
]
CHANCE = random.Random(4)
NUMBERS = [
    *EDGES,
    300,
    2_714_000_000_001,
    *(CHANCE.getrandbits(b) for b in range(64) for _ in range(50)),
]


def by_hand(number: int) -> bytes:
    groups = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def test_numbers_are_written_as_by_hand_and_read_back() -> None:
    for number in NUMBERS:
        assert varint(number) == by_hand(number)
        assert read_varint(b"ab" + varint(number) + b"\xff", 2) == (number, 2 + len(varint(number)))


def test_signed_numbers_are_zigzag() -> None:
    for number in NUMBERS:
        if number >> 63 == 0:
            assert encode_long(number) == by_hand(2 * number)
            assert encode_long(-number - 1) == by_hand(2 * number + 1)
    for beyond in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(OverflowError, match="does not fit"):
            encode_long(beyond)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xff" * 5, b"\xff" * 6, b"\xff" * 10, b"\xff" * 20]
)
def test_number_that_is_cut_short_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut short or too long"):
        read_varint(data, 0)


def test_number_that_is_longer_than_it_need_be_is_read() -> None:
    assert read_varint(b"\x81\x80\x80\x80\x80\x00", 0) == (1, 6)
    assert read_varint(b"\x81\x00", 0) == (1, 2)
