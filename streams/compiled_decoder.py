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
from typing import Any

from schemas.fill import INLINE, SET, SETTERS, Unknown, checker, checks_more, limits, within
from schemas.generated import build
from schemas.record import Record
from streams.compiled_encoder import KEEP_BODY
from streams.varint import GOES_ON, read_varint

KNOWN_MAX = 32_768  # texts of one field, or instants, that are remembered
WIDE_MIN = 1 << 62  # a bound no smaller may not fit into a machine's integer
SIX_BYTES_MIN = 1 << 39  # a number no smaller takes six bytes, or more

Decode = Callable[[bytes], Any]

_TEXTS: dict[str, tuple[dict[bytes, str], Callable[[bytes], str]]] = {}


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
        "new": object.__new__,
        "record": record,
        **SETTERS,
        "named": set(record.model_fields),  # shared: a copy of a record copies it
        "keep": KEEP_BODY,
    }
    lines = ["b: i64", "end: i64", "at: i64 = 5", "if not value.startswith(head): raise Unlike"]
    try:
        fields = [
            (f"v{number}", declared["type"], record.model_fields[declared["name"]])
            for number, declared in enumerate(schema["fields"])
        ]
        for doubles, group in groupby(fields, key=lambda one: one[1] == "double"):
            if doubles:
                lines += _doubles([(v, info) for v, _, info in group], names)
            else:
                lines += [line for v, kind, info in group for line in _field(kind, v, info, names)]
    except (KeyError, Unknown):
        return None  # a type, or a bound, that only the slow way knows
    items = ", ".join(f"{f['name']!r}: v{n}" for n, f in enumerate(schema["fields"]))
    lines += [
        "if at != len(value): raise Unlike",
        "r = new(record)",
        f"set_fields(r, {{{items}}})",
        *SET,
        "keep(r, value[5:])",
        "return r",
    ]
    body = ["def decode(value: bytes) -> Any:", *(f"    {line}" for line in lines)]
    decode: Decode = build("decode", body, names)
    return decode


def _field(kind: Any, v: str, info: Any, names: dict[str, Any]) -> list[str]:
    """The lines that read one field into the variable `v`, and leave `at` behind it."""
    if not isinstance(kind, list):
        return [*_wide(v, info), *_plain(kind, v, info, names)]
    if len(kind) != 2 or "null" not in kind:
        raise KeyError(str(kind))
    null = kind.index("null")
    return [
        f"{v}: Any",
        "b = value[at]; at += 1",
        f"if b == {2 * null}: {v} = None",
        f"elif b != {2 - 2 * null}: raise Unlike",
        "else:",
        *(f"    {line}" for line in _plain(kind[1 - null], v, info, names)),
    ]


def _plain(kind: Any, v: str, info: Any, names: dict[str, Any]) -> list[str]:
    """The lines that read a value of a primitive type; KeyError for any other."""
    if isinstance(kind, dict):
        return _plain(kind["type"], v, info, names)
    if kind == "string":
        texts, text = f"texts_{v}", f"text_{v}"
        names[texts], names[text] = _texts_of(info)
        return [
            "end = at + (value[at] >> 1) + 1",
            "part = value[at:end]",
            f"{v} = {texts}.get(part)",
            f"if {v} is None: {v} = {text}(part)",
            "at = end",
        ]
    if kind == "boolean":
        return ["b = value[at]; at += 1", "if b > 1: raise Unlike", f"{v} = b == 1"]
    if kind == "double":
        return _doubles([(v, info)], names)
    if kind not in ("int", "long"):
        raise KeyError(str(kind))
    if kind == "long" and _is_instant(info):  # an `int` is held to its width below
        return [
            f"{v} = instants.get(value[at:at + 6])",
            f"if {v} is None: {v}, at = instant(value, at, instants)",
            "else: at += 6",
            *_bounds(v, info, names, None),
        ]
    lines = [
        "b = value[at]",
        "if b < 128: at += 1",
        "else: b, at = long(value, at)",
        f"{v} = (b >> 1) ^ -(b & 1)",
    ]
    width = f"-1 << 31 <= {v} < 1 << 31" if kind == "int" else None
    return lines + _bounds(v, info, names, width)


def _wide(v: str, info: Any) -> list[str]:
    """What keeps the compiler from comparing `v` as a machine's integer: odd bounds."""
    bounds = [bound for bound in limits(info.metadata) if bound is not None]
    plain = all(type(bound) is int and abs(bound) < WIDE_MIN for bound in bounds)
    return [] if plain or info.annotation is not int else [f"{v}: Any"]


def _is_instant(info: Any) -> bool:
    """Whether most values of a field take six bytes. Any other length is read as well: no six bytes
    that begin with a shorter number are among those that are known.
    """
    extra = info.json_schema_extra or {}
    return extra.get("unit") == "ms" or (limits(info.metadata)[0] or 0) >= SIX_BYTES_MIN


def _doubles(run: list[tuple[str, Any]], names: dict[str, Any]) -> list[str]:
    """The lines that read doubles that follow each other."""
    unpack, variables = f"unpack_{len(run)}", "".join(f"{v}, " for v, _ in run)
    names[unpack] = Struct(f"<{len(run)}d").unpack_from
    checks = (_bounds(v, info, names, f"{v} - {v} == 0") for v, info in run)
    floats = ", ".join(["float"] * len(run))
    lines = [
        f"all_{run[0][0]}: tuple[{floats}] = {unpack}(value, at)",
        f"{variables}= all_{run[0][0]}",
        f"at += {8 * len(run)}",
    ]
    return lines + [line for check in checks for line in check]


def _bounds(v: str, info: Any, names: dict[str, Any], always: str | None) -> list[str]:
    """The lines that hold a number to its bounds, and to a condition of its type."""
    if {type(m).__name__ for m in info.metadata} - INLINE:
        names[f"check_{v}"] = _checker(info)
        return [f"{v} = check_{v}({v})"]
    tests = within(v, info.metadata, always)
    return [f"if not ({tests}): raise Unlike"] if tests else []


def _checker(info: Any) -> Callable[[Any], Any]:
    return checker(info.annotation, info.metadata)


def _texts_of(info: Any) -> tuple[dict[bytes, str], Callable[[bytes], str]]:
    """Texts that are known by their bytes, after a length of one byte, and a function that adds
    one. Fields of one rule share them: a flight is named by all its events.
    """
    rule = repr((info.annotation, info.metadata))
    if rule in _TEXTS:
        return _TEXTS[rule]
    known: dict[bytes, str] = {}
    check = _checker(info)

    def text_of(part: bytes) -> str:
        size = part[0]
        if size & 1 or size > 127 or len(part) != (size >> 1) + 1:
            raise Unlike  # a length that is negative, takes two bytes, or goes beyond the end
        text: str = check(part[1:].decode())
        _remember(known, part, text)
        return text

    _TEXTS[rule] = known, text_of
    return _TEXTS[rule]


def _long(value: bytes, at: int) -> tuple[int, int]:
    """A number that takes more than one byte, before the zigzag, and where it ends."""
    second = value[at + 1]
    if 0 < second < GOES_ON:
        return value[at] + (second << 7) - GOES_ON, at + 2
    left, end = read_varint(value, at)
    if value[end - 1] == 0 or left >> 64:
        raise Unlike  # longer than it need be, or than 64 bits
    return left, end


def _instant(value: bytes, at: int, known: dict[bytes, int]) -> tuple[int, int]:
    """A number that should take six bytes, and where it ends."""
    left, end = _long(value, at) if value[at] >= GOES_ON else (value[at], at + 1)
    number = (left >> 1) ^ -(left & 1)
    if end == at + 6:
        _remember(known, value[at:end], number)
    return number, end


def _remember(known: dict[bytes, Any], part: bytes, found: Any) -> None:
    if len(known) >= KNOWN_MAX:
        known.clear()
    known[part] = found
