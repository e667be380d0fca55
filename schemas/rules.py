"""What a record class has to say: docs, units, types that Avro holds, a key and an event time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from schemas.record import Record

PLAIN_TYPES = (str, int, float, bool, bytes, type(None))
YEAR_2000_MS = 946_684_800_000


def underivable(record: type[Record]) -> list[str]:
    """Types that Avro, or the derivation of it, cannot hold; and names it cannot tell apart."""
    try:
        classes = classes_in(record)
    except ValueError as error:
        return [str(error)]
    return [
        f"{name}.{field} holds {kind}; use str, int, float, bool, bytes, list, dict[str, ...], "
        "None or a record"
        for name, nested in classes.items()
        for field, info in nested.model_fields.items()
        for kind in _unknown(info.annotation)
    ]


def undocumented(record: type[Record]) -> list[str]:
    """Records and fields without a doc; measured fields (floats) without a unit or bounds.

    A share has bounds and no unit; what is counted or scaled without bounds has the unit "1".
    """
    problems = []
    for nested in classes_in(record).values():
        if not (nested.__doc__ or "").strip():
            problems.append(f"{nested.__name__} has no docstring")
        for name, info in nested.model_fields.items():
            if not info.description:
                problems.append(f"{nested.__name__}.{name} has no doc")
            if _measured(info.annotation) and not extra_of(info).get("unit") and not info.metadata:
                problems.append(f"{nested.__name__}.{name} is measured: it needs a unit or bounds")
    return problems


def unkeyed(record: type[Record]) -> list[str]:
    """What is wrong with the fields that a stream names as its key and event time."""
    assert record.stream is not None, f"{record.__name__} declares no stream"
    problems = []
    key = record.model_fields.get(record.stream.key)
    if key is None or key.annotation is not str:
        problems.append(f"{record.__name__}: the key {record.stream.key!r} is no field of type str")
    time = record.model_fields.get(record.stream.event_time)
    name = record.stream.event_time
    if time is None or time.annotation is not int or not is_instant(name, time):
        problems.append(
            f"{record.__name__}: the event time {name!r} is no int field with unit ms "
            "whose name ends in _ms"
        )
    return problems


def classes_in(record: type[Record]) -> dict[str, type[Record]]:
    """All record classes that a record holds, by name; ValueError when names cannot tell them."""
    found: dict[str, type[Record]] = {}
    for nested in _walk(record, ()):
        if found.setdefault(nested.__name__, nested) is not nested:
            raise ValueError(
                f"{record.__name__} holds two records of the name {nested.__name__}; rename one"
            )
    return found


def is_instant(name: str, info: Any) -> bool:
    """Whether a field holds an instant: unit ms, `_ms`, and no bound before the year 2000."""
    bounds = [bound.le for bound in info.metadata if getattr(bound, "le", None) is not None]
    duration = any(bound < YEAR_2000_MS for bound in bounds)
    return extra_of(info).get("unit") == "ms" and name.endswith("_ms") and not duration


def extra_of(info: Any) -> dict[str, Any]:
    """Unit and sensitivity of a field, as `field` keeps them."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _walk(record: type[Record], above: tuple[type[Record], ...]) -> Iterator[type[Record]]:
    if record in above:
        raise ValueError(f"{record.__name__} holds itself; a record has a bounded depth")
    yield record
    for info in record.model_fields.values():
        for nested in _nested(info.annotation):
            yield from _walk(nested, (*above, record))


def _nested(annotation: Any) -> list[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [record for part in get_args(annotation) for record in _nested(part)]


def _measured(annotation: Any) -> bool:
    return annotation is float or any(map(_measured, get_args(annotation)))


def _unknown(annotation: Any) -> list[str]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [f"the literal {p!r}" for p in parts if not isinstance(p, str)]
    if origin is dict and parts[0] is not str:
        return ["a dict whose keys are not str"]
    if origin is not None and (origin in {list, dict} or type(None) in parts):
        return [kind for part in parts for kind in _unknown(part)]
    if isinstance(annotation, type) and (annotation in PLAIN_TYPES or _nested(annotation)):
        return []
    return [getattr(annotation, "__name__", None) or str(annotation)]
