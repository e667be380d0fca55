"""A strict Avro decoder generated for one record class whose fields are plain: bytes that are
exactly what our encoder would have written become a record within its bounds.

It never says what is wrong: whatever is odd about a value raises, and the slow way (fastavro, the
exact decoder, pydantic) takes it or names the fault. So it may only ever take what the slow way
takes, with the same record. Texts and instants that were taken before are found again by their
bytes, checked already; most are.

References
----------
Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from struct import Struct
from typing import Any, Final

from schemas.fill import (
    INLINE,
    SET_FIELDS,
    Unknown,
    any_text,
    checker,
    checks_more,
    limits,
    rule_of,
    text_checker,
    within,
)
from schemas.generated import build, indented
from schemas.record import Record
from streams.compiled_encoder import KEEP_VALUE
from streams.encoder_expressions import HEAD
from streams.varint import GOES_ON, read_varint

KNOWN_MAX: Final = 32_768  # texts of one field, or instants, that are remembered
WIDE_MIN = 1 << 62  # a bound no smaller may not fit into a machine's integer
SIX_BYTES_MIN = 1 << 39  # a number no smaller takes six bytes, or more
_DOUBLE = Struct("<d")

Decode = Callable[[bytes], Any]

_TEXTS: dict[tuple[str, str | None], tuple[dict[bytes, str], Callable[[bytes], str]]] = {}


class Unlike(Exception):
    """A value that the slow way has to look at."""


def unlike(value: bytes | None) -> Any:
    """What stands for the decoder of a class that none can be compiled for."""
    raise Unlike


def compile_decoder(record: type[Record], schema: dict[str, Any], prefix: bytes) -> Decode | None:
    """A function from a value in the wire format to its record; it raises any Exception for what
    it does not take. None when a field is not plain, or the class checks more than its fields.
    """
    if checks_more(record):
        return None
    names: dict[str, Any] = {
        "head": prefix,
        "Unlike": Unlike,
        "long": _long,
        "instants": {},
        "instant": _instant,
        "double": _double,
        "new": object.__new__,
        "record": record,
        "set_fields": SET_FIELDS,
        "keep": KEEP_VALUE,
    }

    def lines(native: bool) -> list[str]:
        fields = _Text(native, names).fields(record, schema)
        items = ", ".join(f"{f['name']!r}: v{n}" for n, f in enumerate(schema["fields"]))
        body = [
            f"at: i64 = {HEAD}",
            "end: i64",
            "b: i64",
            "if not value.startswith(head): raise Unlike",
            *fields,
            "if at != len(value): raise Unlike",
            "r = new(record)",
            f"set_fields(r, {{{items}}})",
            "keep(r, value)",
            "return r",
        ]
        return ["def decode(value: bytes) -> Any:", *indented(body)]

    try:
        plain, native = lines(False), lines(True)
    except (KeyError, Unknown):
        return None  # a type, or a bound, that only the slow way knows
    decode: Decode = build("decode", plain, names, native)
    return decode


class _Text:
    """The lines that read fields, each into the variable `v` and its number, and leave `at` behind
    them; KeyError for a type that is not plain.
    """

    def __init__(self, native: bool, names: dict[str, Any]) -> None:
        self._native, self._names = native, names

    def fields(self, record: type[Record], schema: dict[str, Any]) -> list[str]:
        """Those of all fields."""
        fields = [
            (f"v{number}", declared["type"], record.model_fields[declared["name"]])
            for number, declared in enumerate(schema["fields"])
        ]
        lines = []
        for doubles, group in groupby(fields, key=lambda one: one[1] == "double"):
            if doubles and not self._native:
                lines += self._doubles([(v, info) for v, _, info in group])
            else:
                lines += [line for v, kind, info in group for line in self._field(kind, v, info)]
        return lines

    def _field(self, kind: Any, v: str, info: Any) -> list[str]:
        if not isinstance(kind, list):
            return self._plain(kind, v, info)
        if len(kind) != 2 or "null" not in kind:
            raise KeyError(str(kind))
        null = kind.index("null")
        return [
            f"{v}: Any",
            "b = value[at]; at += 1",
            f"if b == {2 * null}: {v} = None",
            f"elif b != {2 - 2 * null}: raise Unlike",
            "else:",
            *indented(self._plain(kind[1 - null], f"{v}_some", info)),
            f"    {v} = {v}_some",
        ]

    def _plain(self, kind: Any, v: str, info: Any) -> list[str]:
        """The lines that read a value of a primitive type."""
        if isinstance(kind, dict):
            return self._plain(kind["type"], v, info)
        match kind:
            case "string":
                return self._text(v, info)
            case "boolean":
                return ["b = value[at]; at += 1", "if b > 1: raise Unlike", f"{v} = b == 1"]
            case "double":
                read = "read_double" if self._native else "double"
                bounds = self._bounds(v, info, f"{v} - {v} == 0")
                return [f"{v} = {read}(value, at)", "at += 8", *bounds]
            case "int":
                width = f"-1 << 31 <= {v} < 1 << 31"
                return [*_wide(v, info), *self._long(v), *self._bounds(v, info, width)]
            case "long":
                lines = self._instant(v) if _is_instant(info) else self._long(v)
                return [*_wide(v, info), *lines, *self._bounds(v, info, None)]
        raise KeyError(str(kind))

    def _text(self, v: str, info: Any) -> list[str]:
        if self._native and any_text(info.annotation, info.metadata):
            return [  # decoding one is as quick as to look it up, and quicker where many differ
                "b = value[at]; at += 1",
                "if b & 1 or b > 127: raise Unlike",
                "end = at + (b >> 1)",
                "if end > len(value): raise Unlike",
                f"{v} = value[at:end].decode()",
                "at = end",
            ]
        texts, text = f"texts_{v}", f"text_{v}"
        self._names[texts], self._names[text] = _texts_of(info)
        return [
            "end = at + (value[at] >> 1) + 1",
            "part = value[at:end]",
            f"{v} = {texts}.get(part)",
            f"if {v} is None: {v} = {text}(part)",
            "at = end",
        ]

    def _long(self, v: str) -> list[str]:
        if self._native:
            return [f"{v}, at = read_long(value, at)"]
        return [
            "b = value[at]",
            f"if b < 128: {v} = b >> 1 ^ -(b & 1); at += 1",
            f"else: {v}, at = long(value, at)",
        ]

    def _instant(self, v: str) -> list[str]:
        if self._native:
            return self._long(v)
        return [
            f"{v} = instants.get(value[at:at + 6])",
            f"if {v} is None: {v}, at = instant(value, at, instants)",
            "else: at += 6",
        ]

    def _doubles(self, run: list[tuple[str, Any]]) -> list[str]:
        """The lines that unpack doubles that follow each other at once."""
        unpack, variables = f"unpack_{len(run)}", "".join(f"{v}, " for v, _ in run)
        self._names[unpack] = Struct(f"<{len(run)}d").unpack_from
        checks = (self._bounds(v, info, f"{v} - {v} == 0") for v, info in run)
        lines = [f"{variables}= {unpack}(value, at)", f"at += {8 * len(run)}"]
        return lines + [line for check in checks for line in check]

    def _bounds(self, v: str, info: Any, always: str | None) -> list[str]:
        """The lines that hold a number to its bounds, and to a condition of its type."""
        if {type(m).__name__ for m in info.metadata} - INLINE:
            self._names[f"check_{v}"] = _checker(info)
            return [f"{v} = check_{v}({v})"]
        tests = within(v, info.metadata, always)
        return [f"if not ({tests}): raise Unlike"] if tests else []


def _wide(v: str, info: Any) -> list[str]:
    """What keeps the compiler from comparing `v` as a machine's integer: odd bounds."""
    bounds = [bound for bound in limits(info.metadata) if bound is not None]
    plain = all(type(bound) is int and abs(bound) < WIDE_MIN for bound in bounds)
    return [] if plain else [f"{v}: Any"]


def _is_instant(info: Any) -> bool:
    """Whether most values of a field take six bytes. Any other length is read as well: no six bytes
    that begin with a shorter number are among those that are known.
    """
    extra = info.json_schema_extra or {}
    return extra.get("unit") == "ms" or (limits(info.metadata)[0] or 0) >= SIX_BYTES_MIN


def _checker(info: Any) -> Callable[[Any], Any]:
    return checker(info.annotation, info.metadata)


def _texts_of(info: Any) -> tuple[dict[bytes, str], Callable[[bytes], str]]:
    """Texts that are known by their bytes, after a length of one byte, and a function that adds
    one. Fields of one rule share them: a flight is named by all its events.
    """
    rule = repr(info.annotation), rule_of(info.metadata)
    if rule in _TEXTS:
        return _TEXTS[rule]
    known: dict[bytes, str] = {}
    check = text_checker(info.annotation, info.metadata)

    def text_of(part: bytes) -> str:
        size = part[0]
        if size & 1 or size > 127 or len(part) != (size >> 1) + 1:
            raise Unlike  # a length that is negative, takes two bytes, or goes beyond the end
        text = check(part[1:].decode())
        _remember(known, part, text)
        return text

    if rule[1] is not None:
        _TEXTS[rule] = known, text_of
    return known, text_of


def _long(value: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends; as `schemas.wire.read_long`."""
    if value[at] < GOES_ON:
        left, end = value[at], at + 1
    elif 0 < value[at + 1] < GOES_ON:
        left, end = value[at] + (value[at + 1] << 7) - GOES_ON, at + 2
    else:
        left, end = read_varint(value, at)
        if value[end - 1] == 0 or left >> 64:
            raise Unlike  # longer than it need be, or than 64 bits
    return left >> 1 ^ -(left & 1), end


def _instant(value: bytes, at: int, known: dict[bytes, int]) -> tuple[int, int]:
    """A number that should take six bytes, and where it ends."""
    number, end = _long(value, at)
    if end == at + 6:
        _remember(known, value[at:end], number)
    return number, end


def _double(value: bytes, at: int) -> float:
    number: float = _DOUBLE.unpack_from(value, at)[0]
    return number


def _remember(known: dict[bytes, Any], part: bytes, found: Any) -> None:
    if len(known) >= KNOWN_MAX:
        known.clear()
    known[part] = found
