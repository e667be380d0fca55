"""An Avro decoder that takes exactly what the specification allows, and nothing else.

fastavro is fast and lenient: an index of -1 is the last branch, a boolean of 7 is true, a number of
more than 64 bits wraps. This one is slow and refuses. It is asked where bytes are not what our own
encoder would have written, where a writer's schema is not today's, and before anything large is
decoded. Only schemas that `schemas.lint` found safe may be given to it.

References
----------
Apache Avro 1.12 specification, "Binary Encoding", "Logical Types".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any

from streams.errors import OutOfBounds, TooLarge, TrailingBytes, Truncated, Undecodable

VALUES_MAX = 8_192  # in one value: a few ms to count, a few MB to hold
PRECISION_MAX = 1_000
LONG_BYTES_MAX = 10
DAY_MS = 86_400_000
YEAR_1_DAY, YEAR_9999_DAY = -719_162, 2_932_896  # what dates and instants of most languages hold

Read = Callable[["Cursor"], Any]


class Cursor:
    """A place in a value, and how many values may still come."""

    __slots__ = ("at", "data", "end", "left", "values_max")

    def __init__(self, data: bytes, at: int, values_max: int) -> None:
        self.data = data
        self.at = at
        self.end = len(data)
        self.left = self.values_max = values_max

    def take(self, size: int) -> bytes:
        """The next bytes, all of them."""
        start, self.at = self.at, self.at + size
        if self.at > self.end:
            raise Truncated(f"{size} bytes are announced at {start}; the value ends at {self.end}")
        return self.data[start : self.at]

    def spend(self, count: int) -> None:
        """Count values."""
        self.left -= count
        if self.left < 0:
            raise TooLarge(f"it holds more than {self.values_max} values")


def compile_exact(schema: Any, values_max: int = VALUES_MAX) -> Callable[[bytes, int], Any]:
    """A function from a value and the place where its Avro body begins to what it holds.

    It raises Truncated, TrailingBytes or Undecodable, TooLarge, or OutOfBounds for a number or text
    that its logical type has no meaning for.

    >>> decode = compile_exact({"type": "array", "items": "long"})
    >>> decode(bytes([3, 4, 2, 4, 0]), 0)  # a block of two items that says its size, two bytes
    [1, 2]
    """
    read = _reader(schema, "", {})

    def decode(value: bytes, start: int) -> Any:
        cursor = Cursor(value, start, values_max)
        found = read(cursor)
        if cursor.at != cursor.end:
            raise TrailingBytes(f"it ends at byte {cursor.at}, the value at {cursor.end}")
        return found

    return decode


def _reader(schema: Any, space: str, named: dict[str, Read]) -> Read:
    """What reads a type; its name is known to what comes after it."""
    if isinstance(schema, list):
        return partial(_union, [_reader(branch, space, named) for branch in schema])
    if isinstance(schema, str):
        full = f"{space}.{schema}" if space and "." not in schema else schema
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else named[full]
    kind = schema["type"]
    if kind == "array":
        return partial(_array, _reader(schema["items"], space, named))
    if kind == "map":
        return partial(_map, _reader(schema["values"], space, named))
    if kind not in ("record", "enum", "fixed"):
        return _logical(schema, _reader(kind, space, named))
    name, own = schema["name"], schema.get("namespace", space)
    full = name if "." in name or not own else f"{own}.{name}"
    inner = full.rpartition(".")[0]
    if kind == "record":
        fields = [(f["name"], _reader(f["type"], inner, named)) for f in schema["fields"]]
        named[full] = partial(_record, fields)
    elif kind == "enum":
        named[full] = partial(_enum, schema["symbols"])
    else:
        named[full] = _logical(schema, partial(_fixed, schema["size"]))
    return named[full]


def _null(cursor: Cursor) -> None:
    return None


def _boolean(cursor: Cursor) -> bool:
    byte = cursor.take(1)[0]
    if byte > 1:
        raise Undecodable(f"byte {cursor.at - 1}: a boolean of {byte}; 0 or 1 was expected")
    return byte == 1


def _long(cursor: Cursor) -> int:
    data, start = cursor.data, cursor.at
    shift = left = 0
    for at in range(start, min(start + LONG_BYTES_MAX, cursor.end)):
        byte = data[at]
        left |= (byte & 0x7F) << shift
        if byte < 0x80:
            cursor.at = at + 1
            if (byte == 0 and at > start) or left >> 64:
                raise Undecodable(
                    f"byte {start}: a number that is longer than it need be, or than 64 bits"
                )
            return (left >> 1) ^ -(left & 1)
        shift += 7
    if cursor.end - start < LONG_BYTES_MAX:
        raise Truncated(f"a number begins at {start}; the value ends at {cursor.end}")
    raise Undecodable(f"byte {start}: a number of more than {LONG_BYTES_MAX} bytes")


def _int(cursor: Cursor) -> int:
    start, number = cursor.at, _long(cursor)
    if not -(1 << 31) <= number < 1 << 31:
        raise Undecodable(f"byte {start}: an int of {number}, which 32 bits do not hold")
    return number


def _float(pattern: Struct, cursor: Cursor) -> float:
    number: float = pattern.unpack(cursor.take(pattern.size))[0]
    return number


def _bytes(cursor: Cursor) -> bytes:
    start, size = cursor.at, _long(cursor)
    if size < 0:
        raise Undecodable(f"byte {start}: a length of {size}")
    return cursor.take(size)


def _string(cursor: Cursor) -> str:
    start, data = cursor.at, _bytes(cursor)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"byte {start}: a text that is no UTF-8: {error}") from error


def _fixed(size: int, cursor: Cursor) -> bytes:
    return cursor.take(size)


def _enum(symbols: list[str], cursor: Cursor) -> str:
    start, index = cursor.at, _int(cursor)
    if not 0 <= index < len(symbols):
        raise Undecodable(f"byte {start}: symbol {index} of {len(symbols)}")
    return symbols[index]


def _union(branches: list[Read], cursor: Cursor) -> Any:
    start, index = cursor.at, _long(cursor)
    if not 0 <= index < len(branches):
        raise Undecodable(f"byte {start}: branch {index} of {len(branches)}")
    return branches[index](cursor)


def _record(fields: list[tuple[str, Read]], cursor: Cursor) -> dict[str, Any]:
    cursor.spend(len(fields))
    return {name: read(cursor) for name, read in fields}


def _array(item: Read, cursor: Cursor) -> list[Any]:
    found: list[Any] = []
    _blocks(cursor, lambda: found.append(item(cursor)))
    return found


def _map(value: Read, cursor: Cursor) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def entry() -> None:
        key = _string(cursor)
        if key in found:
            raise Undecodable(f"byte {cursor.at}: a map holds the key {key[:80]!r} twice")
        found[key] = value(cursor)

    _blocks(cursor, entry)
    return found


def _blocks(cursor: Cursor, take: Callable[[], None]) -> None:
    """Items come in blocks; a negative count says that the size of the block follows."""
    while count := _long(cursor):
        size = _long(cursor) if count < 0 else None
        count, start = abs(count), cursor.at
        if count > cursor.end - start:  # an item takes a byte at least, see schemas.lint
            raise Truncated(f"{count} items are announced at {start}; the value is shorter")
        cursor.spend(count)
        for _ in range(count):
            take()
        if size is not None and cursor.at - start != size:
            raise Undecodable(
                f"byte {start}: a block of {size} bytes that takes {cursor.at - start}"
            )


_PRIMITIVES: dict[str, Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": partial(_float, Struct("<f")),
    "double": partial(_float, Struct("<d")),
    "bytes": _bytes,
    "string": _string,
}


def _logical(schema: dict[str, Any], read: Read) -> Read:
    """The same, within what its logical type means; one that is unknown or does not fit is ignored,
    as Avro demands.
    """
    kind, name = schema["type"], schema.get("logicalType")
    if not isinstance(kind, str) or not isinstance(name, str):
        return read
    if (kind, name) in _RANGES:
        return partial(_ranged, name, *_RANGES[(kind, name)], read)
    precision: Any = schema.get("precision")
    exists = isinstance(precision, int) and 0 < precision <= PRECISION_MAX
    if exists and (kind, name) in (("bytes", "decimal"), ("fixed", "decimal")):
        return partial(_decimal, precision, read)
    if (kind, name) == ("string", "uuid"):
        return partial(_uuid, read)
    return read


_RANGES = {
    ("int", "date"): (YEAR_1_DAY, YEAR_9999_DAY),
    ("int", "time-millis"): (0, DAY_MS - 1),
    ("long", "time-micros"): (0, DAY_MS * 1_000 - 1),
} | {
    ("long", f"{prefix}-{unit}"): (
        YEAR_1_DAY * DAY_MS * scale,
        (YEAR_9999_DAY + 1) * DAY_MS * scale - 1,
    )
    for prefix in ("timestamp", "local-timestamp")
    for unit, scale in (("millis", 1), ("micros", 1_000))
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _ranged(name: str, low: int, high: int, read: Read, cursor: Cursor) -> int:
    number: int = read(cursor)
    if not low <= number <= high:
        raise OutOfBounds(f"a {name} of {number}; {low} to {high} was expected")
    return number


def _decimal(precision: int, read: Read, cursor: Cursor) -> bytes:
    data: bytes = read(cursor)
    if abs(int.from_bytes(data, "big", signed=True)) >= 10**precision:
        raise OutOfBounds(f"a decimal of more than {precision} digits")
    return data


def _uuid(read: Read, cursor: Cursor) -> str:
    text: str = read(cursor)
    if not _UUID.fullmatch(text):
        raise OutOfBounds(f"a uuid of {text[:80]!r}")
    return text
