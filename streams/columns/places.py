"""Many values in one buffer, a place in each, and the numbers that begin at those places.

References
----------
Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIXED_BYTES_MAX = 16  # that one field takes, texts aside
_STOPS, _SEVENS = np.uint64(0x8080_8080_8080_8080), np.uint64(0x7F7F_7F7F_7F7F_7F7F)
_SQUEEZE = [  # groups of 7, 14 and 28 bits move together
    (np.uint64(0x007F_007F_007F_007F), np.uint64(0x7F00_7F00_7F00_7F00), np.uint64(1)),
    (np.uint64(0x0000_3FFF_0000_3FFF), np.uint64(0x3FFF_0000_3FFF_0000), np.uint64(2)),
    (np.uint64(0x0000_0000_0FFF_FFFF), np.uint64(0x0FFF_FFFF_0000_0000), np.uint64(4)),
]
_ONE, _SEVEN = np.uint64(1), np.uint64(7)

Longs = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Buffer:
    """Values, one after the other, and views of their bytes as numbers that begin at any byte."""

    def __init__(self, values: Sequence[bytes], fields: int) -> None:
        padding = bytes(FIXED_BYTES_MAX * (fields + 1))
        self.data = np.frombuffer(b"".join([*values, padding]), np.uint8)
        size = np.fromiter(map(len, values), np.int64, len(values))
        self.end = np.cumsum(size)
        self.start = self.end - size
        self.words = self._view("<u8")
        self.doubles = self._view("<f8")
        self.floats = self._view("<f4")

    def _view(self, kind: str) -> NDArray[Any]:
        count = len(self.data) - np.dtype(kind).itemsize + 1
        return np.ndarray((count,), kind, self.data, strides=(1,))


class Places:
    """How far each of some values has been read, and which of them are odd."""

    __slots__ = ("at", "buffer", "end", "odd")

    def __init__(self, buffer: Buffer, at: Longs, end: Longs, odd: Flags) -> None:
        self.buffer = buffer
        self.at = at
        self.end = end
        self.odd = odd


def read_longs(places: Places) -> Longs:
    """The integers that begin at these places; of more than 56 bits is odd."""
    return _signed(read_unsigned(places))


def read_unsigned(places: Places) -> NDArray[np.uint64]:
    """The same, before the zigzag."""
    first = places.buffer.data[places.at]
    if not (first >= 0x80).any():
        places.at += 1
        return first.astype(np.uint64)
    word = places.buffer.words[places.at]
    stops = ~word & _STOPS
    low = stops & (~stops + _ONE)  # the mark of the last byte
    within = (low << _ONE) - _ONE  # all bits up to there
    size = np.bitwise_count(within) >> 3
    places.odd |= (stops == 0) | (size > 1) & (word & (low - (low >> _SEVEN)) == 0)
    places.at += size
    word &= within & _SEVENS
    for keep, move, by in _SQUEEZE:
        word = (word & keep) | ((word & move) >> by)
    return word


def _signed(number: NDArray[np.uint64]) -> Longs:
    left: Longs = (number >> _ONE).view(np.int64)
    return left ^ -(number & _ONE).view(np.int64)
