"""The body of an encoder as expressions, for Python: one for each field, which makes its bytes.

A call takes long there, so few are made: a text that was met before is found again as bytes, and
doubles that follow each other are packed at once.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from struct import Struct, pack
from typing import Any

from streams.varint import encode_long

HEAD = 5  # bytes of a value before its Avro body
STRINGS_CACHED_MAX, CACHED_CHARS_MAX = 32_768, 64


def encode_string(text: str) -> bytes:
    """UTF-8 after its length."""
    data = text.encode()
    return encode_long(len(data)) + data


encode_short_string = lru_cache(STRINGS_CACHED_MAX)(encode_string)


def encode_bytes(data: bytes) -> bytes:
    """Bytes after their length."""
    return encode_long(len(data)) + data


def pack_doubles(numbers: list[float]) -> bytes:
    """Doubles one after the other."""
    return pack(f"<{len(numbers)}d", *numbers)


class Expressions:
    """The expressions that encode a record, the lines that define `functions`, one for each class
    of nested records, and what all of them use, by name. KeyError for a type that only fastavro
    knows.
    """

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.names: dict[str, Any] = {
            "long": encode_long,
            "short_string": encode_short_string,
            "string": encode_string,
            "blob": encode_bytes,
            "pack": Struct("<d").pack,
            "pack_some": Struct("<cd").pack,
            "pack_all": pack_doubles,
        }
        self._encoders: dict[str, str] = {}  # by the names of classes

    def fields(self, schema: dict[str, Any]) -> str:
        """The expressions that encode the fields of a record whose `__dict__` is `d`, a comma after
        each.
        """
        parts: list[str] = []
        for plain, group in groupby(schema["fields"], key=lambda f: f["type"] == "double"):
            values = [(f["type"], f"d[{f['name']!r}]") for f in group]
            if plain:  # doubles that follow each other are packed at once
                pack = f"pack_{len(values)}"
                self.names[pack] = Struct("<" + "d" * len(values)).pack
                parts.append(f"{pack}({', '.join(value for _, value in values)})")
            else:
                parts += [self._value(kind, value) for kind, value in values]
        return "".join(f"{part}, " for part in parts)

    def _record(self, schema: dict[str, Any]) -> str:
        """Define the encoder of a nested record and return its name.

        It takes the value that was kept, if there is one and it is of this class and no subclass.
        """
        function = self._encoders[schema["name"]] = f"record_{len(self._encoders)}"
        parts = self.fields(schema)
        lines = [
            f"def {function}(r: Any) -> bytes:",
            f"    if type(r) is class_{schema['name']}:",
            "        try:",
            f"            return kept(r)[{HEAD}:]",
            "        except AttributeError:",
            "            pass",
            "    d: dict[str, Any] = r.__dict__",
            f"    return b''.join(({parts}))",
        ]
        self.functions += lines
        return function

    def _value(self, kind: Any, value: str) -> str:
        """The expression that encodes a value."""
        if isinstance(kind, list):
            return self._optional(kind, value)
        if isinstance(kind, dict):
            if kind["type"] == "record":
                return f"{self._record(kind)}({value})"
            if kind["type"] == "array":
                if kind["items"] == "double":
                    return f"(long(len(v)) + pack_all(v) + b'\\0' if (v := {value}) else b'\\0')"
                items = f"b''.join([{self._value(kind['items'], 'x')} for x in v])"
                return f"(long(len(v)) + {items} + b'\\0' if (v := {value}) else b'\\0')"
            if kind["type"] == "map":
                item = self._value(kind["values"], "x")
                pairs = f"b''.join([{_STRING.format('k')} + {item} for k, x in v.items()])"
                return f"(long(len(v)) + {pairs} + b'\\0' if (v := {value}) else b'\\0')"
            return self._value(kind["type"], value)
        if kind in self._encoders:
            return f"{self._encoders[kind]}({value})"
        return _PRIMITIVES[kind].format(value)

    def _optional(self, branches: list[Any], value: str) -> str:
        """A nullable value: two branches, one of them null."""
        if len(branches) != 2 or "null" not in branches:
            raise KeyError(str(branches))
        null = branches.index("null")
        nothing, something = (b"\0", b"\2") if null == 0 else (b"\2", b"\0")
        kind = branches[1 - null]
        if kind == "double":
            return f"({nothing!r} if (v := {value}) is None else pack_some({something!r}, v))"
        inner = self._value(kind, "w")
        return f"({nothing!r} if (w := {value}) is None else {something!r} + {inner})"


# A text is encoded once for many records, if it is so short that remembering it costs little.
_STRING = f"(short_string(s) if len(s := {{}}) <= {CACHED_CHARS_MAX} else string(s))"

_PRIMITIVES = {
    "int": "long({})",
    "long": "long({})",
    "double": "pack({})",
    "string": _STRING,
    "bytes": "blob({})",
    "boolean": "(b'\\1' if {} else b'\\0')",
}
