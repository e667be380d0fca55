"""What generated codecs write and read with: Avro's longs, texts and bytes.

This is for the compiler, which reads it before each codec that it makes: a machine's integers,
and one buffer for a whole value. Python, to which a call is dear, runs codecs that are put together
otherwise.

References
----------
Apache Avro 1.12 specification, "Binary Encoding". librt, mypyc's runtime library.
"""

from __future__ import annotations

from typing import Any  # noqa: F401 (for what follows)

from librt.strings import BytesWriter, read_f64_le, write_f64_le
from mypy_extensions import i64, u8


def put_long(w: BytesWriter, number: int) -> None:
    """A signed integer, zigzag; OverflowError beyond 64 bits."""
    try:
        signed: i64 = i64(number)
    except ValueError:
        raise OverflowError(f"{number} does not fit into an Avro long") from None
    left: i64 = (signed << 1) ^ (signed >> 63)
    while left < 0 or left > 127:  # as an unsigned integer, whose highest bit is no sign
        w.append(u8(left & 127 | 128))
        left = (left >> 7) & ((1 << 57) - 1)
    w.append(u8(left))


def put_text(w: BytesWriter, text: str) -> None:
    """UTF-8 after its length."""
    put_blob(w, text.encode())


def put_blob(w: BytesWriter, data: bytes) -> None:
    """Bytes after their length."""
    put_long(w, len(data))
    w.write(data)


def put_double(w: BytesWriter, number: float) -> None:
    """A double."""
    write_f64_le(w, number)


def put_doubles(w: BytesWriter, numbers: list[float]) -> None:
    """Doubles one after the other."""
    for number in numbers:
        write_f64_le(w, number)


def read_double(value: bytes, at: i64) -> float:
    """The double at `value[at:]`."""
    return read_f64_le(value, at)


def read_long(value: bytes, at: i64) -> tuple[i64, i64]:
    """The signed integer at `value[at:]`, and where it ends. ValueError when it is longer than it
    need be, or than 64 bits; IndexError when it is cut short.
    """
    left: i64 = 0
    shift: i64 = 0
    byte: i64 = value[at]
    while byte > 127:
        left |= (byte & 127) << shift
        shift += 7
        at += 1
        byte = value[at]
        if shift == 63 and byte > 1:
            raise ValueError("longer than 64 bits")
    if byte == 0 and shift:
        raise ValueError("longer than it need be")
    left |= byte << shift
    return (left >> 1 & (1 << 63) - 1) ^ -(left & 1), at + 1
