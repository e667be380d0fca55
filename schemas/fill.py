"""Making records quickly: a function that is generated for each record class takes what the fields
are given, where that is exactly what they hold.

It never says what is wrong. Whatever is odd (a field that is missing or left to its default, one
too many, a number to be converted, a bound) it refuses, and pydantic takes it or names the fault.
So it may only ever take what pydantic takes, with the same record.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic

from schemas.generated import build, indented

TEXTS_KNOWN_MAX, KNOWN_CHARS_MAX = 32_768, 64  # of one rule, that were checked before
CONFIG = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # of all records
FREE = {"frozen", "title"}  # what a class may say otherwise
INLINE = {"Ge", "Le"}  # bounds that are compared in the generated code

Fill = Callable[[Any, dict[str, Any]], bool]
PLAIN = {str, int, bool, type(None)}  # what a rule may hold to be known by its repr
_TEXTS: dict[str | None, tuple[set[str], Callable[[str], None]]] = {}
Model = type[pydantic.BaseModel]

# Past pydantic's own, which would look at what was checked.
SET_FIELDS: Callable[[Any, dict[str, Any]], None] = vars(pydantic.BaseModel)["__dict__"].__set__


class Unknown(Exception):
    """A field of a kind that only pydantic knows."""


def refuse(record: Any, fields: dict[str, Any]) -> bool:
    """What stands for the function of a class that has none."""
    return False


def first_fill(model: Model) -> Fill:
    """The function of a class, which is generated when it is first called."""

    def first(record: Any, fields: dict[str, Any]) -> bool:
        if not model.__pydantic_complete__:
            return False  # it names classes that are not there yet
        made = model._fill = compile_fill(model)  # type: ignore[attr-defined]  # of Record
        return made(record, fields)

    return first


def compile_fill(model: Model) -> Fill:
    """A function that gives a new record these fields, or returns False and leaves it as it was."""
    names: dict[str, Any] = {"set_fields": SET_FIELDS}
    lines = ["def fill(r: Any, d: dict[str, Any]) -> bool:"]
    lines += [f"    if len(d) != {len(model.model_fields)}: return False", "    try:"]
    try:
        if checks_more(model):
            raise Unknown
        for number, (name, info) in enumerate(model.model_fields.items()):
            if info.alias or info.validation_alias:
                raise Unknown
            v = f"v{number}"
            checks = _checks(v, info.annotation, info.metadata, names)
            lines += [f"        {line}" for line in (f"{v}: Any = d[{name!r}]", *checks)]
    except Unknown:
        return refuse
    items = ", ".join(f"{name!r}: v{n}" for n, name in enumerate(model.model_fields))
    lines += [f"        set_fields(r, {{{items}}})"]
    lines += ["    except Exception:", "        return False", "    return True"]
    made: Fill = build("fill", lines, names)
    return made


def checks_more(model: Model) -> bool:
    """Whether making a record runs code of its author's, which only pydantic would call, or goes by
    rules of its own.
    """
    decorators = model.__pydantic_decorators__
    metadata = [m for info in model.model_fields.values() for m in info.metadata]
    config = {name: value for name, value in model.model_config.items() if name not in FREE}
    own_schema = any("__get_pydantic_core_schema__" in vars(c) for c in _classes_of(model))
    return bool(
        config != CONFIG
        or own_schema
        or decorators.field_validators
        or decorators.model_validators
        or decorators.validators
        or decorators.root_validators
        or model.__pydantic_custom_init__
        or model.__pydantic_post_init__
        or model.__private_attributes__
        or any(type(m).__module__ == "pydantic.functional_validators" for m in metadata)
    )


def _classes_of(model: Model) -> list[type]:
    """The class and those it inherits from, up to pydantic's own."""
    return list(model.__mro__[: model.__mro__.index(pydantic.BaseModel)])


def limits(metadata: list[Any]) -> tuple[Any, Any]:
    """The lower and the upper bound of a field, None where there is none; Unknown if it is none
    that can be written down.
    """
    bounds = {type(m).__name__: m for m in metadata}
    low, high = bounds.get("Ge"), bounds.get("Le")
    found = low and low.ge, high and high.le
    for bound in found:
        if type(bound) not in (int, float, type(None)) or not math.isfinite(bound or 0):
            raise Unknown
    return found


def within(v: str, metadata: list[Any], always: str | None) -> str:
    """The condition that a number is within its bounds, if any; and another condition, of its type,
    which two bounds imply.
    """
    low, high = limits(metadata)
    tests = [always] if always and (low is None or high is None) else []
    tests += [f"{v} >= {low!r}"] if low is not None else []
    tests += [f"{v} <= {high!r}"] if high is not None else []
    return " and ".join(tests)


def checker(annotation: Any, metadata: list[Any]) -> Callable[[Any], Any]:
    """What pydantic makes of a value of a field."""
    kind: Any = Annotated[(annotation, *metadata)] if metadata else annotation
    adapter = pydantic.TypeAdapter(kind, config=CONFIG)
    check: Callable[[Any], Any] = adapter.validator.validate_python
    return check


def any_text(annotation: Any, metadata: list[Any]) -> bool:
    """Whether any text will do for a field."""
    return annotation in (str, str | None) and not metadata


def text_checker(annotation: Any, metadata: list[Any]) -> Callable[[str], str]:
    """What pydantic makes of a text; one that is known is not asked about again, whether it was
    read or a record was made of it.
    """
    if any_text(annotation, metadata):
        return str
    if annotation not in (str, str | None):
        return checker(annotation, metadata)
    known, look = _texts(metadata)

    def checked(text: str) -> str:
        if text not in known:
            look(text)
        return text

    return checked


def _checks(v: str, annotation: Any, metadata: list[Any], names: dict[str, Any]) -> list[str]:
    """The lines that let `v` pass only if it is of a kind and within its bounds."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        if len(kinds) != 1:
            raise Unknown
        return [f"if {v} is not None:", *indented(_checks(v, kinds[0], metadata, names))]
    if get_origin(annotation) is Literal:
        names[f"some_{v}"] = allowed = set(get_args(annotation))
        if {type(one) for one in allowed} != {str} or metadata:
            raise Unknown
        return [f"if type({v}) is not str or {v} not in some_{v}: return False"]
    if annotation is str and metadata:
        names[f"known_{v}"], names[f"look_{v}"] = _texts(metadata)
        return [
            f"if type({v}) is not str: return False",
            f"if {v} not in known_{v}: look_{v}({v})",
        ]
    if annotation in (int, float):
        return _numbers(v, annotation, metadata)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        if metadata or checks_more(annotation):
            raise Unknown
        names[f"class_{v}"] = annotation
        return [f"if type({v}) is not class_{v}: return False"]
    if annotation not in (str, bool, bytes) or metadata:
        raise Unknown
    return [f"if type({v}) is not {annotation.__name__}: return False"]


def _numbers(v: str, kind: type, metadata: list[Any]) -> list[str]:
    """The lines that hold a number to its type and its bounds."""
    if {type(m).__name__ for m in metadata} - INLINE:
        raise Unknown
    n = f"{v}_number"
    tests = within(n, metadata, f"{n} - {n} == 0" if kind is float else None)
    lines = [f"if type({v}) is not {kind.__name__}: return False"]
    if tests:
        lines += [f"{n}: {kind.__name__} = {v}", f"if not ({tests}): return False"]
    return lines


def _texts(metadata: list[Any]) -> tuple[set[str], Callable[[str], None]]:
    """Texts that were checked before, and a function that checks one and adds it if it is short.
    Fields of one rule share them.
    """
    rule = rule_of(metadata)
    if rule in _TEXTS:
        return _TEXTS[rule]
    known: set[str] = set()
    check = checker(str, metadata)

    def look(text: str) -> None:
        if check(text) != text:
            raise Unknown  # pydantic makes another text of it
        if len(text) > KNOWN_CHARS_MAX:
            return
        if len(known) >= TEXTS_KNOWN_MAX:
            known.clear()
        known.add(text)

    if rule is not None:
        _TEXTS[rule] = known, look
    return known, look


def rule_of(metadata: list[Any]) -> str | None:
    """What fields have in common that take the same texts; None when a name or a repr would not
    tell two rules apart, as of functions and compiled patterns.
    """
    for one in metadata:
        names = getattr(one, "__dict__", None) or getattr(one, "__dataclass_fields__", None)
        if names is None or any(type(getattr(one, name)) not in PLAIN for name in names):
            return None
    return repr(metadata)
