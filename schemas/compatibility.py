"""Can today's schema read yesterday's records? Avro's resolution rules as a list of reasons why
not.

Nothing is asked of a registry: the same answer is given offline, before anything is written. Beyond
Avro, a change of unit or key is named too, since it would be read without a complaint, and wrongly.

References
----------
Apache Avro 1.12 specification, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
NAMED = ("record", "enum", "fixed")
PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
Level = Literal["BACKWARD", "FULL"]
Seen = frozenset[tuple[int, int]]


def incompatibilities(after: Any, before: Any, level: Level = "BACKWARD") -> list[str]:
    """Why a schema may not follow another under a registry's compatibility level."""
    reasons = unreadable(reader=after, writer=before)
    if level == "FULL":
        back = unreadable(reader=before, writer=after)
        reasons += [f"readers of the old schema: {reason}" for reason in back]
    return reasons


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Why a reader's schema cannot read all of a writer's records; empty when it can.

    >>> long, text = {"name": "n", "type": "long"}, {"name": "t", "type": "string"}
    >>> old = {"type": "record", "name": "R", "fields": [long]}
    >>> unreadable(reader={**old, "fields": [long, text]}, writer=old)
    ["field 't' was added without a default: old records cannot be read"]
    """
    return list(_reasons(linked(reader), linked(writer), "", frozenset()))


def linked(schema: Any) -> Any:
    """A schema with names replaced by what they name, logical types by what carries them."""
    return _linked(schema, "", {})


def reinterpreted(after: Any, before: Any) -> list[str]:
    """What Avro reads without a complaint and means something else now."""
    reasons = [
        f"the {name} was {before[name]} and is {after.get(name)}: old records were placed by it"
        for name in ("key", "event_time")
        if name in before and after.get(name) != before[name]
    ]
    new, old = fields_of(after), fields_of(before)
    for path, field in new.items():
        units = (old.get(path, field).get("unit"), field.get("unit"))
        if units[0] != units[1] and units[0] is not None:
            reasons.append(
                f"{_said(path)} was in {units[0]} and is in {units[1]}: old values are misread"
            )
    return reasons


def _reasons(reader: Any, writer: Any, at: str, seen: Seen) -> Iterator[str]:
    where = _said(at)
    if isinstance(writer, list):
        for branch in writer:
            yield from _reasons(reader, branch, at, seen)
        return
    if isinstance(reader, list):
        branch = next((branch for branch in reader if _matches(branch, writer)), None)
        if branch is None:
            kinds = ", ".join(map(_kind, reader))
            yield f"{where} was {_kind(writer)}, which no branch of [{kinds}] reads"
        else:
            yield from _reasons(branch, writer, at, seen)
        return
    now, was = _kind(reader), _kind(writer)
    if now != was:
        if now not in PROMOTIONS.get(was, ()):
            yield f"{where} was {was} and is {now}: old values cannot be read"
    else:
        yield from _same_kind_reasons(now, reader, writer, at, seen)


def _same_kind_reasons(kind: str, reader: Any, writer: Any, at: str, seen: Seen) -> Iterator[str]:
    where = _said(at)
    if kind == "array":
        yield from _reasons(reader["items"], writer["items"], f"{at}[]", seen)
    elif kind == "map":
        yield from _reasons(reader["values"], writer["values"], f"{at}[]", seen)
    elif kind in NAMED and not _same_name(reader, writer):
        yield f"{where} was named {writer['name']} and is named {reader['name']}"
    elif kind == "fixed" and reader["size"] != writer["size"]:
        yield f"{where} was {writer['size']} bytes long and is {reader['size']}"
    elif kind == "enum" and "default" not in reader:
        lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if lost:
            yield f"{where} lost the symbols {', '.join(lost)}: old values cannot be read"
    elif kind == "record" and (id(reader), id(writer)) not in seen:
        yield from _record_reasons(reader, writer, at, seen | {(id(reader), id(writer))})


def _record_reasons(reader: Any, writer: Any, at: str, seen: Seen) -> Iterator[str]:
    written = {field["name"]: field for field in writer["fields"]}
    for field in reader["fields"]:
        names = (field["name"], *field.get("aliases", ()))
        before = next((written[name] for name in names if name in written), None)
        path = _path(at, field["name"])
        if before is not None:
            yield from _reasons(field["type"], before["type"], path, seen)
        elif "default" not in field:
            yield f"{_said(path)} was added without a default: old records cannot be read"


def _matches(reader: Any, writer: Any) -> bool:
    """Whether a branch of the reader's union is the one that the writer's value is read as.

    Records match by name alone, as Avro has it: what their fields lack is a reason, not another
    branch.
    """
    now, was = _kind(reader), _kind(writer)
    if now != was:
        return now in PROMOTIONS.get(was, ())
    if now in NAMED:
        return _same_name(reader, writer) and reader.get("size") == writer.get("size")
    if now in {"array", "map"}:
        part = "items" if now == "array" else "values"
        new, old = reader[part], writer[part]
        return isinstance(new, list) or isinstance(old, list) or _matches(new, old)
    return True


def _kind(schema: Any) -> str:
    if isinstance(schema, dict):
        return str(schema["type"])
    return "union" if isinstance(schema, list) else str(schema)


def _same_name(reader: Any, writer: Any) -> bool:
    """Names are compared without their namespace: a record may move to another."""
    names = (reader["name"], *reader.get("aliases", ()))
    return _short(writer["name"]) in map(_short, names)


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _said(path: str) -> str:
    return f"field '{path}'" if path else "the record"


def _linked(schema: Any, namespace: str, names: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_linked(branch, namespace, names) for branch in schema]
    if isinstance(schema, str):
        if schema in PRIMITIVES:
            return schema
        full = schema if "." in schema else f"{namespace}.{schema}"
        if full not in names:
            raise ValueError(f"the schema names {schema}, which it does not define before")
        return names[full]
    kind = schema["type"]
    if kind == "array":
        return {"type": kind, "items": _linked(schema["items"], namespace, names)}
    if kind == "map":
        return {"type": kind, "values": _linked(schema["values"], namespace, names)}
    if kind not in NAMED:
        return _linked(kind, namespace, names)
    inner, _, short = schema["name"].rpartition(".")
    inner = inner or schema.get("namespace", namespace)
    linked = names[f"{inner}.{short}"] = dict(schema)
    fields = schema.get("fields", ())
    # The name is known before the fields are looked at: they may hold it.
    linked["fields"] = [{**f, "type": _linked(f["type"], inner, names)} for f in fields]
    return linked


def fields_of(schema: Any, at: str = "") -> dict[str, dict[str, Any]]:
    """All fields by path, those of nested records under the field that defines them."""
    found: dict[str, dict[str, Any]] = {}
    for field in schema["fields"]:
        path = _path(at, field["name"])
        found[path] = field
        for nested in _records_in(field["type"]):
            found |= fields_of(nested, path)
    return found


def _records_in(kind: Any) -> Iterator[dict[str, Any]]:
    if isinstance(kind, list):
        for branch in kind:
            yield from _records_in(branch)
    elif isinstance(kind, dict):
        if kind["type"] == "record":
            yield kind
        else:
            yield from _records_in([kind.get("items"), kind.get("values"), kind["type"]])
