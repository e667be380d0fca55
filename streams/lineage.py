"""Where a record came from: ids, references and the packed header that carries them.

The id of a derived record is `topic[partition]#n`, n counting densely what its unit wrote there;
the id of a record from
outside is `topic[partition]@offset`. Offsets are no names for derived records: transactions and
aborts consume them.

In memory and on the wire an id is a *reference*: four bytes that stand for the topic (CRC-32 of
its name without
namespace; a topology refuses two topics that share them), then a varint `partition << 2 | kind`
(both together: its place), then a
varint number, and for a range a second one, its length. The header of a record holds one version
byte, its own n, its processor (CRC-32 of the name),
the code version, the model version + 1 (0: none), the number of parents and their references.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from streams.varint import read_varint, varint

HEADER: Final = "doa"
FORMAT: Final = 1
FOREIGN: Final = 0
DERIVED: Final = 1
RANGE: Final = 2  # a range is RANGE | FOREIGN or RANGE | DERIVED

# By the places of the single records; a call of what is cached would leave compiled code.
_range_places: dict[bytes, bytes] = {}


@cache
def name_code(name: str) -> bytes:
    """The four bytes that stand for a topic or a processor."""
    return zlib.crc32(name.encode()).to_bytes(4, "big")


@cache
def place(topic: str, partition: int, kind: int) -> bytes:
    """The constant part of every reference into one partition."""
    return name_code(topic) + varint(partition << 2 | kind)


def pack_range(single: bytes, first: int, last: int) -> bytes:
    """A reference to the records first..last at a place, both included."""
    where = _range_places.get(single)
    if where is None:
        number, _ = read_varint(single, 4)
        _range_places[single] = where = single[:4] + varint(number | RANGE)
    return where + varint(first) + varint(last - first)


@dataclass(frozen=True, order=True)
class Reference:
    """An id as text and numbers, for people and tools.

    >>> str(Reference("flights.event.arrival", 0, FOREIGN, 17))
    'flights.event.arrival[0]@17'
    """

    topic: str
    partition: int
    kind: int
    number: int
    last: int | None = None

    def __str__(self) -> str:
        mark = "#" if self.kind == DERIVED else "@"
        tail = "" if self.last is None else f"..{mark}{self.last}"
        return f"{self.topic}[{self.partition}]{mark}{self.number}{tail}"

    def packed(self) -> bytes:
        """The reference as bytes; the topic's name is folded into its four-byte code."""
        single = place(self.topic, self.partition, self.kind)
        if self.last is not None:
            return pack_range(single, self.number, self.last)
        return single + varint(self.number)


@dataclass(frozen=True)
class Origin:
    """What the header of a derived record says."""

    n: int
    processor: str
    code_version: str
    model_version: int | None
    parents: tuple[Reference, ...]


def pack_header(n: int, stamp: bytes, model: bytes, count: int, parents: bytes) -> bytes:
    """The header of one record; `stamp` is processor and code version, eight bytes."""
    return b"\x01" + varint(n) + stamp + model + varint(count) + parents


def pack_stamp(processor: str, code_version: str) -> bytes:
    """Eight bytes: who wrote a record, and with which code (eight hex digits)."""
    return name_code(processor) + bytes.fromhex(code_version)


def header_number(header: bytes) -> int:
    """The n of a packed header, without unpacking the rest; ValueError when it is no header of
    ours.
    """
    if not header or header[0] != FORMAT:
        raise ValueError("not a lineage header")
    return read_varint(header, 1)[0]


def unpack_header(header: bytes, names: dict[bytes, str]) -> Origin:
    """Read a packed header. `names` maps the codes of all known topics and processors to their
    names.
    """
    n, at = header_number(header), 1
    _, at = read_varint(header, at)
    processor, code_version = header[at : at + 4], header[at + 4 : at + 8].hex()
    model, at = read_varint(header, at + 8)
    _, at = read_varint(header, at)
    parents = unpack_references(header, at, names)
    return Origin(n, _name(processor, names), code_version, model - 1 if model else None, parents)


def unpack_references(data: bytes, at: int, names: dict[bytes, str]) -> tuple[Reference, ...]:
    """Read all references of `data[at:]`."""
    return tuple(
        Reference(_name(code, names), where >> 2, where & 1, number, last)
        for code, where, number, last in raw_references(data, at)
    )


RawReference = tuple[bytes, int, int, int | None]  # topic's code, place, number, last of a range


def raw_header(header: bytes) -> tuple[int, bytes, int, list[RawReference]]:
    """A packed header's n, its stamp, its model's version + 1, and its parents as `raw_references`
    gives them.
    """
    n, at = header_number(header), 1
    _, at = read_varint(header, at)
    stamp = header[at : at + 8]
    model, at = read_varint(header, at + 8)
    _, at = read_varint(header, at)
    if (n | model) >> 63:
        raise ValueError("a number that no log can hold")
    return n, stamp, model, raw_references(header, at)


def raw_references(data: bytes, at: int) -> list[RawReference]:
    """What `data[at:]` refers to, to its end. The place is `partition << 2 | kind`, without the
    mark of a range; ValueError where a number is cut short or has more than 63 bits.
    """
    references: list[RawReference] = []
    while at < len(data):
        code = data[at : at + 4]
        where, at = read_varint(data, at + 4)
        number, at = read_varint(data, at)
        if where & RANGE:
            length, at = read_varint(data, at)
            references.append((code, where & ~RANGE, number, number + length))
        else:
            length = 0
            references.append((code, where, number, None))
        if (where | number + length) >> 63:
            raise ValueError("a reference to what no log can hold")
    return references


def split_reference(reference: bytes) -> tuple[bytes, bytes, int]:
    """A packed reference to one record, its place and its number; ValueError when it is none."""
    _, at = read_varint(reference, 4)
    number, end = read_varint(reference, at)
    if end != len(reference):
        raise ValueError("not a reference to one record")
    return reference, reference[:at], number


def names_of(names: Iterable[str]) -> dict[bytes, str]:
    """The codes of topics and processors; ValueError names two that share one."""
    codes: dict[bytes, str] = {}
    for name in names:
        if codes.setdefault(name_code(name), name) != name:
            raise ValueError(
                f"{name} and {codes[name_code(name)]} share the code {name_code(name).hex()}"
            )
    return codes


def _name(code: bytes, names: dict[bytes, str]) -> str:
    return names.get(code, f"?{code.hex()}")
