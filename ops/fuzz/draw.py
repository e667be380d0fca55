"""Random Avro: schemas, and bytes that are legal under a schema but for one fault, if wanted.

The bytes are made here and not by a library, which would only make what it also takes: blocks with
and without their size, and every fault that the specification leaves room for.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Any

from streams.varint import encode_long

DEPTH_MAX = 4
ITEMS_MAX = 3
LONG_BITS = 63
SCHEMAS_KEPT = 100
KINDS = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class Drawn:
    """Bytes drawn for a schema. `fault_at` counts values; the first from there on that can hold a
    fault gets one, and `fault` then says which.
    """

    def __init__(self, draw: Random, schema: Any, fault_at: int | None = None) -> None:
        self.draw = draw
        self.body = bytearray()
        self.fault: str | None = None
        self._left = fault_at
        self._named = named_in(json.dumps(schema))
        self.value(schema)

    def value(self, schema: Any) -> None:
        """Append a value of a schema."""
        if isinstance(schema, list):
            self._union(schema)
        elif isinstance(schema, dict):
            self._complex(schema)
        elif schema in self._named:
            self.value(self._named[schema])
        else:
            self._primitive(schema)

    def _faulty(self) -> bool:
        """Whether the fault belongs here."""
        if self._left is None or self.fault is not None:
            return False
        self._left -= 1
        return self._left < 0

    def _put(self, data: bytes, fault: str | None = None) -> None:
        self.fault = fault or self.fault
        self.body += data

    def _number(self, bits: int) -> None:
        low = self.draw.randint(0, bits)
        number = self.draw.randint(-(1 << low), (1 << low) - 1)
        if self._faulty():
            overlong = encode_long(number)
            overlong = overlong[:-1] + bytes([overlong[-1] | 0x80, 0])
            wide = b"\xff" * 9 + b"\x02" if bits == LONG_BITS else encode_long(1 << 40)
            self._put(*self.draw.choice([(overlong, "over-long"), (wide, "too wide")]))
        else:
            self._put(encode_long(number))

    def _primitive(self, kind: str) -> None:
        if kind in ("int", "long"):
            self._number(31 if kind == "int" else LONG_BITS)
        elif kind == "boolean":
            wrong = (bytes([self.draw.randint(2, 255)]), "boolean")
            self._put(*wrong) if self._faulty() else self._put(self.draw.choice([b"\0", b"\1"]))
        elif kind in ("float", "double"):
            number = struct.pack("<f", self.draw.uniform(-1e6, 1e6))
            wide = struct.pack("<d", self.draw.uniform(-1e9, 1e9))
            self._put(number if kind == "float" else wide)
        elif kind in ("bytes", "string"):
            self._text(kind)

    def _text(self, kind: str) -> None:
        text = "".join(self.draw.choices("ab\0é漢🙂", k=self.draw.randint(0, 8))).encode()
        if self._faulty():
            length = encode_long(-1 - self.draw.getrandbits(self.draw.randint(1, 62)))
            no_text = b"\x04\xc3\x28" if kind == "string" else length
            fault = [(length, "length"), (no_text, "no text" if kind == "string" else "length")]
            self._put(*self.draw.choice(fault))
        else:
            self._put(encode_long(len(text)) + text)

    def _index(self, count: int, name: str) -> int:
        if self._faulty():
            wrong = self.draw.choice([-1, -count, count, count + 7, -(1 << 40)])
            self._put(encode_long(wrong), name)
            return -1
        index = self.draw.randrange(count)
        self._put(encode_long(index))
        return index

    def _union(self, branches: list[Any]) -> None:
        index = self._index(len(branches), "branch")
        self.value(branches[index])  # a wrong branch is followed by what the last would hold

    def _complex(self, schema: dict[str, Any]) -> None:
        kind = schema["type"]
        if kind == "record":
            for field in schema["fields"]:
                self.value(field["type"])
        elif kind == "enum":
            self._index(len(schema["symbols"]), "symbol")
        elif kind == "fixed":
            self._put(self.draw.randbytes(schema["size"]))
        elif kind == "array":
            self._blocks(lambda _: self.value(schema["items"]))
        elif kind == "map":
            self._blocks(lambda n: self._entry(n, schema["values"]))
        else:
            self.value(kind)

    def _entry(self, number: int, values: Any) -> None:
        key = b"k%d" % number
        self._put(encode_long(len(key)) + key)
        self.value(values)

    def _blocks(self, item: Callable[[int], None]) -> None:
        """Items in blocks of any form."""
        left = self.draw.randint(0, ITEMS_MAX)
        while left:
            count = self.draw.randint(1, left)
            before, self.body = self.body, bytearray()
            for n in range(count):
                item(left - n)
            block, self.body = self.body, before
            if self.draw.random() < 0.5:
                size = len(block)
                if self._faulty():
                    self.fault, size = "block size", size + self.draw.choice([-1, 1, 1 << 40])
                self.body += encode_long(-count) + encode_long(size) + block
            else:
                self.body += encode_long(count) + block
            left -= count
        self.body += b"\0"


@lru_cache(SCHEMAS_KEPT)
def named_in(text: str) -> dict[str, Any]:
    """The types that a schema defines, by name."""
    return {schema["name"]: schema for schema in _definitions(json.loads(text))}


def _definitions(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict) and "name" in schema and isinstance(schema["type"], str):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from _definitions(part)


def draw_schema(draw: Random) -> dict[str, Any]:
    """Any safe record schema."""
    names = iter(range(1_000))

    def kind(depth: int) -> Any:
        form = draw.choice(("plain", "plain", "record", "array", "map", "union", "enum", "fixed"))
        if form == "plain" or depth >= DEPTH_MAX:
            return draw.choice(KINDS[1:])
        if form == "record":
            return record(depth + 1)
        if form == "array":
            return {"type": "array", "items": kind(depth + 1)}
        if form == "map":
            return {"type": "map", "values": kind(depth + 1)}
        if form == "union":
            others = draw.sample(KINDS[1:], draw.randint(1, 3))
            return ["null", *others, {"type": "array", "items": kind(depth + 1)}]
        name = f"T{next(names)}"
        if form == "enum":
            return {"type": "enum", "name": name, "symbols": ["A", "B", "C"]}
        return {"type": "fixed", "name": name, "size": draw.randint(1, 4)}

    def record(depth: int) -> dict[str, Any]:
        fields = [{"name": f"f{n}", "type": kind(depth)} for n in range(draw.randint(1, 4))]
        return {"type": "record", "name": f"T{next(names)}", "fields": fields}

    return record(0)


def spoil(draw: Random, schema: Any) -> Any:
    """A schema with something evil put somewhere."""
    evil: Any = draw.choice(
        [
            None, 7, "Missing", "T0", [], {}, {"type": []}, {"type": "array", "items": "null"},
            {"type": "map", "values": {"type": "record", "name": "E", "fields": []}},
            {"type": "fixed", "name": "F", "size": draw.choice([0, -1, 1 << 70])},
            {"type": "record", "name": "../x", "fields": [{"name": "<b>", "type": "T0"}]},
            {"type": "enum", "name": "D", "symbols": [[], {}, "A", "A"]},
        ]
    )  # fmt: skip
    if isinstance(schema, dict) and draw.random() < 0.9:
        changed = dict(schema)
        name = draw.choice(sorted(changed))
        changed[name] = spoil(draw, changed[name])
        return changed
    if isinstance(schema, list) and schema and draw.random() < 0.9:
        where = draw.randrange(len(schema))
        return [*schema[:where], spoil(draw, schema[where]), *schema[where + 1 :]]
    return evil
