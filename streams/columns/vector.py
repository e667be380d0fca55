"""A decoder of columns: the same field of thousands of Avro values at a time, without an object
for any of them.

All values lie in one buffer, and each has a place in it that moves on field by field. What is odd
about a value (another length than its fields take, a branch that is none, a text that is not UTF-8,
a number of more than eight bytes or with one too many) is noted, not told: the exact decoder takes
such a value, or names the fault. Bounds of records are not checked: a view shows what is there.

References
----------
Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.columns.places import Buffer, Flags, Longs, Places, read_longs
from streams.columns.types import arrow_type, inlined
from streams.exact import DAY_MS, YEAR_1_DAY, YEAR_9999_DAY

HEAD_BYTES = 5  # of the wire format
INSTANT_MIN, INSTANT_MAX = YEAR_1_DAY * DAY_MS, (YEAR_9999_DAY + 1) * DAY_MS - 1
Read = Callable[["Places"], Any]  # moves on; gives an array of numpy or Arrow, or None if skipped


class Odd(Exception):
    """A schema whose values are not laid out in a fixed order of plain fields."""


class Decoder:
    """Decodes values of one schema, of which some fields are wanted."""

    def __init__(self, schema: dict[str, Any], wanted: set[str]) -> None:
        fields = inlined(schema)["fields"]
        self._reads = {f["name"]: compile_read(f["type"], f["name"] in wanted) for f in fields}
        self._leaves = 1 + sum(_leaves(field["type"]) for field in fields)
        self.types = {f["name"]: arrow_type(f["type"]) for f in fields if f["name"] in wanted}

    def decode(self, values: Sequence[bytes]) -> tuple[dict[str, pa.Array], Flags]:
        """The wanted fields of values in the wire format, whose schema id was looked at; and which
        values are odd: what stands in their place says nothing.
        """
        buffer = Buffer(values, self._leaves)
        odd = np.zeros(len(values), np.bool_)
        places = Places(buffer, buffer.start + HEAD_BYTES, buffer.end, odd)
        found = {}
        for name, read in self._reads.items():
            array = read(places)
            if name in self.types:
                found[name] = finished(array, self.types[name])
        places.odd |= places.at != places.end
        return found, places.odd


def compile_read(kind: Any, wanted: bool) -> Read:
    """A function that reads a field of this type, or goes past it; Odd for what has no fixed
    order.
    """
    if isinstance(kind, list):
        if len(kind) != 2 or "null" not in kind:
            raise Odd
        null = kind.index("null")
        return _nullable(compile_read(kind[1 - null], wanted), 2 * null, arrow_type(kind), wanted)
    if isinstance(kind, dict):
        if kind["type"] == "record":
            names = [field["name"] for field in kind["fields"]]
            reads = [compile_read(field["type"], wanted) for field in kind["fields"]]
            return _record(names, reads, arrow_type(kind), wanted)
        if kind["type"] == "enum":
            return _enum(pa.array(kind["symbols"], pa.string()), wanted)
        if kind.get("logicalType") == "timestamp-millis" and kind["type"] == "long":
            return _instants
        if "logicalType" in kind:
            raise Odd  # it may forbid some values
        return compile_read(kind["type"], wanted)
    match kind:
        case "int" | "long":
            return _longs(narrow=kind == "int")
        case "double":
            return _floats("doubles", 8)
        case "float":
            return _floats("floats", 4)
        case "boolean":
            return _booleans
        case "string" | "bytes":
            return _texts(arrow_type(kind), wanted)
    raise Odd  # arrays, maps and fixed


def finished(array: Any, kind: pa.DataType) -> pa.Array:
    """A column of Arrow of what was read."""
    if isinstance(array, pa.Array):
        return array
    values, given = array if isinstance(array, tuple) else (array, None)
    if pa.types.is_timestamp(kind):
        values = values.view("datetime64[ms]")
    return pa.array(values, kind, mask=None if given is None else ~given)


def _longs(*, narrow: bool) -> Read:
    def read(places: Places) -> Longs:
        found = read_longs(places)
        if narrow:
            places.odd |= (found < -(1 << 31)) | (found >= 1 << 31)
        return found

    return read


def _instants(places: Places) -> Longs:
    found = read_longs(places)
    if len(found) and (found.min() < INSTANT_MIN or found.max() > INSTANT_MAX):
        places.odd |= (found < INSTANT_MIN) | (found > INSTANT_MAX)
    return found


def _floats(view: str, size: int) -> Read:
    def read(places: Places) -> NDArray[Any]:
        found: NDArray[Any] = getattr(places.buffer, view)[places.at]
        places.at += size
        return found

    return read


def _booleans(places: Places) -> Flags:
    found = places.buffer.data[places.at]
    places.at += 1
    places.odd |= found > 1
    true: Flags = found == 1
    return true


def _enum(symbols: pa.Array, wanted: bool) -> Read:
    def read(places: Places) -> pa.Array | None:
        index = read_longs(places)
        wrong = (index < 0) | (index >= len(symbols))
        places.odd |= wrong
        return symbols.take(pa.array(np.where(wrong, 0, index))) if wanted else None

    return read


def _texts(kind: pa.DataType, wanted: bool) -> Read:
    def read(places: Places) -> pa.Array | None:
        size = read_longs(places)
        wrong = (size < 0) | (size > places.end - places.at)
        places.odd |= wrong
        size[wrong] = 0
        start = places.at.copy()
        places.at += size
        if not wanted:
            return None
        found = _gathered(places.buffer, start, size, kind)
        if kind == pa.string() and not _is_text(found):
            wrong = ~_are_texts(places.buffer, start, size)
            places.odd |= wrong
            size[wrong] = 0
            found = _gathered(places.buffer, start, size, kind)
        return found

    return read


def _gathered(buffer: Buffer, start: Longs, size: Longs, kind: pa.DataType) -> pa.Array:
    """Bytes from here and there, as an Arrow array of texts or bytes."""
    ends = np.zeros(len(size) + 1, np.int32)
    np.cumsum(size, out=ends[1:])
    if len(size) and size[0] and (size == size[0]).all():
        data = buffer.data[start[:, None] + np.arange(size[0])].ravel()
    else:
        data = buffer.data[np.repeat(start - ends[:-1], size) + np.arange(ends[-1])]
    return pa.Array.from_buffers(kind, len(size), [None, pa.py_buffer(ends), pa.py_buffer(data)])


def _is_text(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _are_texts(buffer: Buffer, start: Longs, size: Longs) -> Flags:
    found = np.ones(len(size), np.bool_)
    for row, (at, length) in enumerate(zip(start.tolist(), size.tolist(), strict=True)):
        try:
            bytes(buffer.data[at : at + length]).decode()
        except UnicodeDecodeError:
            found[row] = False
    return found


def _record(names: list[str], reads: list[Read], kind: pa.DataType, wanted: bool) -> Read:
    kinds = [kind.field(name).type for name in names]

    def read(places: Places) -> pa.Array | None:
        arrays = [one(places) for one in reads]
        if not wanted:
            return None
        whole = [finished(array, of) for array, of in zip(arrays, kinds, strict=True)]
        return pa.StructArray.from_arrays(whole, fields=list(kind))

    return read


def _nullable(inner: Read, null: int, kind: pa.DataType, wanted: bool) -> Read:
    """Read the branch; the values that are given are places of their own."""

    def read(places: Places) -> Any:
        branch = places.buffer.data[places.at]
        places.at += 1
        given = branch == 2 - null
        places.odd |= ~given & (branch != null)
        rows = np.flatnonzero(given)
        if len(rows) == len(given):
            return inner(places)
        some = Places(places.buffer, places.at[rows], places.end[rows], places.odd[rows])
        found = inner(some) if len(rows) else None
        places.at[rows], places.odd[rows] = some.at, some.odd
        if not wanted:
            return None
        if found is None:
            return pa.nulls(len(given), kind)
        if isinstance(found, np.ndarray):
            values = np.zeros(len(given), found.dtype)
            values[rows] = found
            return values, given
        return finished(found, kind).take(pa.array(np.cumsum(given) - 1, mask=~given))

    return read


def _leaves(kind: Any) -> int:
    """How many fields of a fixed size a value may have."""
    if isinstance(kind, list):
        return 1 + sum(map(_leaves, kind))
    if isinstance(kind, dict) and kind["type"] == "record":
        return sum(_leaves(field["type"]) for field in kind["fields"])
    return 1
