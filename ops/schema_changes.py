"""What differs between two versions of a schema, change by change, and whom it breaks.

Three things can go wrong: old records that cannot be read any more, by whoever reads by the new
version; new records that cannot be read by whoever still has the old one; and what both read, and
which means something else. Everything below follows a stream, so the models that it reaches count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ops.catalog import models_below, named
from ops.connect import Connection
from schemas.compatibility import fields_of, linked, unreadable
from schemas.derive import avro_schema
from schemas.lint import unsafe
from streams.processor import RecordClass
from streams.topology import Topology, stream_of

OLD, BEHIND, MISREAD, NONE = "old records", "readers behind", "misread", "none"
EFFECTS = {
    OLD: "old records cannot be read by",
    BEHIND: "new ones cannot be read by others, nor, until they are restarted, by",
    MISREAD: "without a complaint it is misread by",
}


@dataclass(frozen=True)
class Change:
    """One difference. `effect` says what goes wrong, if anything."""

    field: str
    what: str
    effect: str


def changes(after: Any, before: Any) -> list[Change]:
    """What differs between a schema and the one before it.

    >>> level = {"name": "level", "type": "int", "unit": "m"}
    >>> old = {"type": "record", "name": "R", "fields": [level]}
    >>> new = {**old, "fields": [{**level, "unit": "cm"}]}
    >>> [(change.what, change.effect) for change in changes(new, old)]
    [("field 'level' was in m and is in cm", 'misread')]
    """
    new, old = fields_of(linked(after)), fields_of(linked(before))
    found = [
        Change("", f"the {name} was {before[name]} and is {after.get(name)}", MISREAD)
        for name in ("key", "event_time")
        if name in before and after.get(name) != before[name]
    ]
    for path in dict.fromkeys((*old, *new)):
        above = path.rpartition(".")[0]
        if above and (above in old) != (above in new):
            continue  # the record that holds it was added or removed, which is told
        found += _of_field(path, new.get(path), old.get(path), _renamed(path, new, old))
    return found


def whom(topology: Topology, record: RecordClass, change: Change) -> dict[str, list[str]]:
    """The processors and models that a change of a stream's schema breaks."""
    if change.effect == NONE:
        return {"readers": [], "models": []}
    readers = [named(flow.name, p) for flow, p in topology.readers(record)]
    return {"readers": readers, "models": models_below(topology, record)}


def told(topology: Topology, record: RecordClass, after: Any, before: Any) -> list[dict[str, Any]]:
    """The changes between two versions, each with whom it breaks; by a schema that is unsafe, or of
    no record, nothing is decoded, and it is not compared.
    """
    for schema in (before, after):
        if faults := unsafe(schema):
            found = [Change("", f"a version is unsafe ({faults[0]})", NONE)]
            break
        if schema.get("type") != "record":
            found = [Change("", "a version is of no record", NONE)]
            break
    else:
        found = changes(after, before)
    return [asdict(one) | whom(topology, record, one) for one in found]


def versions(
    connection: Connection, topology: Topology, record: RecordClass
) -> Iterator[dict[str, Any]]:
    """Each registered schema of a stream, with its changes; and the declared one, if it differs
    from the last: what would break if it were applied.
    """
    before: Any = None
    subject = f"{connection.settings.prefix}{stream_of(record).subject}"
    for version, schema_id, schema in connection.registry.versions(subject):
        found = [] if before is None else told(topology, record, schema, before)
        yield {"version": version, "schema_id": schema_id, "changes": found}
        before = schema
    found = [] if before is None else told(topology, record, avro_schema(record), before)
    if found:
        yield {"version": "declared", "schema_id": None, "changes": found}


def sentence(change: dict[str, Any]) -> str:
    """A change, in words.

    >>> both = {"readers": ["flood"], "models": ["tide"]}
    >>> sentence({"what": "field 'level' was in m and is in cm", "effect": MISREAD} | both)
    "field 'level' was in m and is in cm: without a complaint it is misread by flood; models: tide"
    """
    if change["effect"] == NONE:
        return f"{change['what']}: nobody breaks"
    readers = ", ".join(change["readers"]) or "readers that nobody declares"
    models = f"; models: {', '.join(change['models'])}" if change["models"] else ""
    return f"{change['what']}: {EFFECTS[change['effect']]} {readers}{models}"


def _renamed(path: str, new: dict[str, Any], old: dict[str, Any]) -> str | None:
    """The former name of a new field, or the new one of a former."""
    above = path.rpartition(".")[0]
    for other, one in new.items():
        names = [f"{above}.{alias}".lstrip(".") for alias in one.get("aliases", ())]
        if other == path and path not in old:
            return next((alias for alias in names if alias in old), None)
        if path in old and path not in new and path in names:
            return other
    return None


def _of_field(path: str, new: Any, old: Any, renamed: str | None) -> Iterator[Change]:
    name = f"field {path!r}"
    if old is None:
        if renamed is not None:
            yield Change(path, f"{name} was called {renamed!r}", NONE)
        elif "default" in new:
            yield Change(path, f"{name} was added, with a default", NONE)
        else:
            yield Change(path, f"{name} was added without a default", OLD)
        return
    if new is None:
        gone = f"is called {renamed!r}" if renamed else "was removed"
        if "default" in old:
            yield Change(path, f"{name} {gone}; readers before get its default", NONE)
        else:
            yield Change(path, f"{name} {gone}, and had no default", BEHIND)
        return
    yield from _of_type(path, name, new, old)
    if new.get("unit") != old.get("unit"):
        units = f"was in {old.get('unit', 'no unit')} and is in {new.get('unit', 'no unit')}"
        yield Change(path, f"{name} {units}", MISREAD if old.get("unit") else NONE)
    kinds = (old.get("sensitivity", "public"), new.get("sensitivity", "public"))
    if kinds[0] != kinds[1]:
        yield Change(path, f"{name} was {kinds[0]} and is {kinds[1]}", NONE)
    if new.get("doc") != old.get("doc"):
        docs = f"was {old.get('doc', '')!r} and is {new.get('doc', '')!r}"
        yield Change(path, f"the meaning of {name} {docs}", NONE)


def _of_type(path: str, name: str, new: Any, old: Any) -> Iterator[Change]:
    """A type that differs in itself; what differs in the fields of a record is told of them."""
    types = _bare(new["type"]), _bare(old["type"])
    if types[0] == types[1]:
        return
    what = f"{name} was {_said(types[1])} and is {_said(types[0])}"
    forward, back = (
        {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]} for kind in types
    )
    effects = [OLD] if unreadable(reader=forward, writer=back) else []
    effects += [BEHIND] if unreadable(reader=back, writer=forward) else []
    yield from (Change(path, what, effect) for effect in effects or [NONE])


def _bare(kind: Any) -> Any:
    """A linked type without docs, and without the fields of records."""
    if isinstance(kind, list):
        return [_bare(one) for one in kind]
    if not isinstance(kind, dict):
        return kind
    kept = ("type", "name", "size", "symbols", "default", "items", "values")
    bare = {key: kind[key] for key in kept if key in kind}
    bare |= {part: _bare(kind[part]) for part in ("items", "values") if part in kind}
    return bare | ({"fields": []} if kind["type"] == "record" else {})


def _said(kind: Any) -> str:
    if isinstance(kind, list):
        return " or ".join(map(_said, kind))
    if not isinstance(kind, dict):
        return str(kind)
    if kind["type"] == "enum":
        return f"one of {', '.join(kind['symbols'])}"
    part = kind.get("items", kind.get("values"))
    if part is not None:
        return f"{kind['type']} of {_said(part)}"
    return str(kind.get("name", kind["type"]))
