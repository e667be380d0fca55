"""Is a schema safe to decode by? Asked when one is registered, and when a writer's is first seen.

A registered schema may be anything. Some crash a decoder (one that holds itself), some let five
bytes become millions of values (an array of nulls), some carry markup where a view shows names. So
a schema has few names and no loops, and every item of an array or map takes a byte at least: then a
value of n bytes is never more than n values, besides the record's own fields.

Nothing here trusts what it looks at: any text and any JSON gets an answer, in bounded time.

References
----------
Apache Avro 1.12 specification, "Names", "Complex Types".
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, NamedTuple

SCHEMA_BYTES_MAX = 65_536
DEPTH_MAX = 32  # types within types
NESTING_MAX = 128  # JSON within JSON: defaults and attributes may nest, too
FIELDS_MAX = 1_000  # of a record and all records in it, named ones counted wherever they are named
FAULTS_MAX = 20
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
SHOWN_MAX = 60


class _Size(NamedTuple):
    """What a type amounts to: values, types within types, and whether part of it takes no byte."""

    values: int = 1
    depth: int = 1
    hollow: bool = False


class _Unsafe(Exception):
    """The sentence that says why a schema cannot be looked at any further."""


def schema_of(text: str) -> Any:
    """The JSON of a schema; ValueError when it is too large, too deep or no JSON."""
    if len(text) > SCHEMA_BYTES_MAX:
        raise ValueError(f"it has {len(text)} characters; at most {SCHEMA_BYTES_MAX} are taken")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it nests deeper than {NESTING_MAX} levels of JSON") from error


def unsafe(schema: Any) -> list[str]:
    """Why nothing may be decoded by a schema, a sentence each; empty when it is safe.

    >>> unsafe({"type": "array", "items": "null"})
    ['the schema: the items of an array take no byte, so that a few bytes are millions of them']
    """
    if _nests(schema):
        return [f"the schema nests deeper than {NESTING_MAX} levels of JSON"]
    size = len(json.dumps(schema, default=str))
    if size > SCHEMA_BYTES_MAX:
        return [f"the schema has {size} characters; at most {SCHEMA_BYTES_MAX} are taken"]
    lint = _Lint()
    try:
        whole = lint.look(schema, "", "", 1)
        if whole.values > FIELDS_MAX:
            lint.fault("", f"it holds {whole.values} values; at most {FIELDS_MAX} are taken")
    except _Unsafe as stop:
        lint.faults.append(str(stop))
    return lint.faults[:FAULTS_MAX]


def _nests(schema: Any) -> bool:
    """Whether JSON is too deep for what walks it by calling itself."""
    level = [schema]
    for _ in range(NESTING_MAX):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


class _Lint:
    """Looks at each type once. `named` holds the types defined so far, None while one is open."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.named: dict[str, _Size | None] = {}

    def fault(self, at: str, reason: str) -> None:
        where = f"field '{at}'" if at else "the schema"
        self.faults.append(f"{where}: {reason}")
        if len(self.faults) >= FAULTS_MAX:
            raise _Unsafe("the schema has more faults than are told")

    def look(self, schema: Any, space: str, at: str, depth: int) -> _Size:
        """The size of a type; what is wrong with it is noted, what is unknown counts as a value."""
        if depth > DEPTH_MAX:
            self.fault(at, f"its types nest deeper than {DEPTH_MAX}")
            return _Size()
        if isinstance(schema, str):
            return self._reference(schema, space, at, depth)
        if isinstance(schema, list):
            return self._union(schema, space, at, depth)
        kind = schema.get("type") if isinstance(schema, dict) else None
        if kind in ("array", "map"):
            return self._items(schema, kind, space, at, depth)
        if kind in ("record", "enum", "fixed"):
            return self._definition(schema, kind, space, at, depth)
        if isinstance(kind, str | dict | list):
            return self.look(kind, space, at, depth + 1)
        self.fault(at, f"{_shown(schema)} is no Avro type")
        return _Size()

    def _reference(self, name: str, space: str, at: str, depth: int) -> _Size:
        if name in PRIMITIVES:
            return _Size(hollow=name == "null")
        full = name if "." in name or not space else f"{space}.{name}"
        if full not in self.named:
            self.fault(at, f"it names {_shown(name)}, which is not defined before")
            return _Size()
        size = self.named[full]
        if size is None:
            self.fault(at, f"{full} holds itself; what it nests has no bound")
            return _Size()
        if depth + size.depth - 1 > DEPTH_MAX:
            self.fault(at, f"its types nest deeper than {DEPTH_MAX}")
        return size

    def _union(self, branches: list[Any], space: str, at: str, depth: int) -> _Size:
        if not branches or any(isinstance(branch, list) for branch in branches):
            self.fault(at, "a union is empty or holds a union")
            return _Size()
        sizes = [self.look(branch, space, at, depth + 1) for branch in branches]
        hollow = any(s.hollow for s, b in zip(sizes, branches, strict=True) if b != "null")
        return _Size(max(s.values for s in sizes), 1 + max(s.depth for s in sizes), hollow)

    def _items(self, schema: dict[str, Any], kind: str, space: str, at: str, depth: int) -> _Size:
        part = "items" if kind == "array" else "values"
        size = self.look(schema.get(part), space, at, depth + 1)
        if size.hollow:
            reason = f"the {part} of {'an array' if kind == 'array' else 'a map'} take no byte"
            self.fault(at, f"{reason}, so that a few bytes are millions of them")
        return _Size(size.values, size.depth + 1)

    def _definition(
        self, schema: dict[str, Any], kind: str, space: str, at: str, depth: int
    ) -> _Size:
        full = self._name(schema, space, at)
        if full in self.named:
            self.fault(at, f"{full} is defined twice")
        self.named[full] = None
        inner = full.rpartition(".")[0]
        size = _Size()
        if kind == "enum":
            self._symbols(schema.get("symbols"), at)
        elif kind == "fixed":
            size = self._fixed(schema.get("size"), at)
        else:
            size = self._record(schema.get("fields"), inner, at, depth)
        self.named[full] = size
        return size

    def _record(self, fields: Any, space: str, at: str, depth: int) -> _Size:
        if not isinstance(fields, list) or not all(isinstance(f, dict) for f in fields):
            self.fault(at, f"the fields of a record are {_shown(fields)}, not a list of objects")
            return _Size()
        if len(fields) > FIELDS_MAX:
            raise _Unsafe(f"a record has {len(fields)} fields; at most {FIELDS_MAX} are taken")
        seen: set[str] = set()
        sizes: list[_Size] = []
        for field in fields:
            name = field.get("name")
            path = self._field_name(field, name, seen, at)
            sizes.append(self.look(field.get("type"), space, path, depth + 1))
        return _Size(
            1 + sum(s.values for s in sizes),
            1 + max((s.depth for s in sizes), default=0),
            not sizes or any(s.hollow for s in sizes),
        )

    def _field_name(self, field: dict[str, Any], name: Any, seen: set[str], at: str) -> str:
        for other in (name, *_listed(field.get("aliases"))):
            if not isinstance(other, str) or not NAME.fullmatch(other):
                self.fault(at, f"{_shown(other)} is no name of a field: letters, digits and _")
        if str(name) in seen:
            self.fault(at, f"the field {_shown(name)} is there twice")
        seen.add(str(name))
        return f"{at}.{_shown(name)}" if at else _shown(name)

    def _name(self, schema: dict[str, Any], space: str, at: str) -> str:
        name, own = schema.get("name"), schema.get("namespace", space)
        for other in (name, own, *_listed(schema.get("aliases"))):
            parts = other.split(".") if isinstance(other, str) else [""]
            if other != "" and not all(NAME.fullmatch(part) for part in parts):
                self.fault(at, f"{_shown(other)} is no name: letters, digits and _, dots between")
        if name == "":
            self.fault(at, "a type has an empty name")
        return str(name) if "." in str(name) or not own else f"{own}.{name}"

    def _symbols(self, symbols: Any, at: str) -> None:
        if not isinstance(symbols, list) or not symbols:
            self.fault(at, "an enum has no symbols")
        for symbol in islice(_listed(symbols), SCHEMA_BYTES_MAX):
            if not isinstance(symbol, str) or not NAME.fullmatch(symbol):
                self.fault(at, f"{_shown(symbol)} is no symbol: letters, digits and _")
        if len(set(map(str, _listed(symbols)))) != len(_listed(symbols)):
            self.fault(at, "an enum has a symbol twice")

    def _fixed(self, size: Any, at: str) -> _Size:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            self.fault(at, f"the size of a fixed is {_shown(size)}")
            return _Size()
        return _Size(hollow=size == 0)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> str:
    """A name or value as it stands in a sentence: printable ASCII, and not long."""
    text = value if isinstance(value, str) and NAME.fullmatch(value) else ascii(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."
