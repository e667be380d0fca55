"""Integers as bytes, seven bits in each, the lowest first: LEB128, and Avro's zigzag of it.

Nearly all are small, or an instant in ms, which takes six bytes: these are put together from tables
of two bytes each, and read at once.
"""

from __future__ import annotations

from typing import Final

GOES_ON: Final = 0x80  # the mark of a byte that is not the last
_SIX: Final = 6
_THREE_MARKS: Final = 0x80 | 0x80 << 7
_SIX_MARKS: Final = 0x80 | 0x80 << 7 | 0x80 << 14 | 0x80 << 21 | 0x80 << 28
_FIRST_TWO: Final = [bytes((n & 0x7F | GOES_ON, n >> 7 | GOES_ON)) for n in range(1 << 14)]
_LAST: Final = [bytes((n,) if n < 0x80 else (n & 0x7F | GOES_ON, n >> 7)) for n in range(1 << 14)]


def varint(number: int) -> bytes:
    """An unsigned integer.

    >>> varint(300).hex()
    'ac02'
    """
    if number < 1 << 14:
        return _LAST[number]
    if number < 1 << 28:
        return _FIRST_TWO[number & 0x3FFF] + _LAST[number >> 14]
    if number < 1 << 42:  # twice an instant in ms, up to 2039
        return _FIRST_TWO[number & 0x3FFF] + _FIRST_TWO[number >> 14 & 0x3FFF] + _LAST[number >> 28]
    return _FIRST_TWO[number & 0x3FFF] + varint(number >> 14)


def encode_long(number: int) -> bytes:
    """A signed integer, zigzag; OverflowError beyond 64 bits.

    >>> encode_long(-65).hex()
    '8101'
    """
    left = number << 1 if number >= 0 else ~(number << 1)
    if left < 1 << 14:
        return _LAST[left]
    if left >> 64:
        raise OverflowError(f"{number} does not fit into an Avro long")
    return varint(left)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned integer at `data[at:]` and the position after it; raises ValueError when it is
    cut short.

    >>> read_varint(varint(2_714_000_000_001), 0)
    (2714000000001, 6)
    """
    six = data[at : at + _SIX]
    size = len(six)
    if size and six[0] < GOES_ON:
        return six[0], at + 1
    if size > 1 and six[1] < GOES_ON:
        return six[0] + (six[1] << 7) - GOES_ON, at + 2
    if size > 2 and six[2] < GOES_ON:
        return six[0] + (six[1] << 7) + (six[2] << 14) - _THREE_MARKS, at + 3
    if size == _SIX and six[5] < GOES_ON <= six[3] & six[4]:
        a, b, c, d, e, f = six
        return a + (b << 7) + (c << 14) + (d << 21) + (e << 28) + (f << 35) - _SIX_MARKS, at + _SIX
    return _read_bytewise(data, at)


def _read_bytewise(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("varint cut short or too long")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < GOES_ON:
            return number, at
        shift += 7
