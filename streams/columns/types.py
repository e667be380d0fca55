"""The Arrow type of each field of a stream, and which of them a caller may see.

An instant (`timestamp-millis` in Avro) is a timestamp in ms, UTC. Whatever says ms and is none, a
duration, is an int64. Literals are strings. Every column may be null: a tombstone has no fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa

from schemas.compatibility import linked
from schemas.derive import avro_schema
from schemas.record import Record
from streams.errors import StreamsError
from streams.masking import PUBLIC, UNDECLARED, Masks, strictest
from streams.topology import stream_of

INSTANT = pa.timestamp("ms", tz="UTC")
COORDINATES: dict[str, Any] = {  # of every stream, before its fields
    "_id": pa.string(),
    "_key": pa.string(),
    "_partition": pa.int32(),
    "_offset": pa.int64(),
    "_appended": INSTANT,
}
PARENTS = "_parents"  # only if it is asked for: it costs more than all others
_PRIMITIVES = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}


class NoSuchColumn(StreamsError):
    """A column was asked for that a stream does not have, or that the caller may not see."""


class Wanted(NamedTuple):
    """Columns of a topic in their order; `masked` says of those that are left out how sensitive
    they are, `masks` what else may not be seen.
    """

    schema: pa.Schema
    masked: dict[str, str]
    masks: Masks
    topic: str

    def hidden(self, schema_id: int, writer: Any) -> dict[str, str]:
        """The columns that are null in records of this writer, since its schema says that they are
        not public, though the record's class does not; and how sensitive they are.
        """
        key = self.masks.of(self.topic, {}, schema_id, writer).key
        found = _by_column(self.masks.kinds(self.topic, writer)) | ({"_key": key} if key else {})
        return {name: found[name] for name in self.schema.names if name in found}


def arrow_type(kind: Any) -> pa.DataType:
    """The Arrow type of an Avro type as our records have it.

    >>> arrow_type(["null", {"type": "long", "logicalType": "timestamp-millis"}])
    TimestampType(timestamp[ms, tz=UTC])
    """
    if isinstance(kind, list):
        branches = [branch for branch in kind if branch != "null"]
        if len(branches) != 1:
            raise NoSuchColumn(f"{kind} may be of several types; a column has one")
        return arrow_type(branches[0])
    if isinstance(kind, str):
        return _PRIMITIVES[kind]
    if kind.get("logicalType") == "timestamp-millis":
        return INSTANT
    match kind["type"]:
        case "record":
            return pa.struct([pa.field(f["name"], arrow_type(f["type"])) for f in kind["fields"]])
        case "array":
            return pa.list_(arrow_type(kind["items"]))
        case "map":
            return pa.map_(pa.string(), arrow_type(kind["values"]))
        case "enum":
            return pa.string()
        case plain:
            return arrow_type(plain)


def inlined(kind: Any, known: dict[str, Any] | None = None, space: str = "") -> Any:
    """The same schema, each name of a type replaced by what it stands for.

    >>> hop = {"type": "record", "name": "Hop", "fields": [{"name": "n", "type": "long"}]}
    >>> both = [{"name": "a", "type": hop}, {"name": "b", "type": ["null", "Hop"]}]
    >>> whole = inlined({"type": "record", "name": "Way", "fields": both})
    >>> whole["fields"][1]["type"][1]["fields"]
    [{'name': 'n', 'type': 'long'}]
    """
    known = {} if known is None else known
    if isinstance(kind, str):
        if kind in _PRIMITIVES:
            return kind
        return known[kind if "." in kind or not space else f"{space}.{kind}"]
    if isinstance(kind, list):
        return [inlined(branch, known, space) for branch in kind]
    if not isinstance(kind["type"], str):
        return inlined(kind["type"], known, space)
    if kind["type"] in ("array", "map"):
        part = "items" if kind["type"] == "array" else "values"
        return kind | {part: inlined(kind[part], known, space)}
    if "name" not in kind:
        return kind
    space = kind["name"].rpartition(".")[0] or kind.get("namespace") or space
    name = kind["name"].rpartition(".")[2]
    fields = [f | {"type": inlined(f["type"], known, space)} for f in kind.get("fields", ())]
    known[f"{space}.{name}" if space else name] = found = kind | {"fields": fields}
    return found


def wanted_columns(
    record: type[Record],
    names: Iterable[str] | None = None,
    *,
    may_see: frozenset[str] = frozenset(),
) -> Wanted:
    """The columns of a stream: all but `_parents`, or those that are named; NoSuchColumn.

    Fields that are not public, and a key that is made of one, are left out unless `may_see`
    names their sensitivity.
    """
    types = COORDINATES | {PARENTS: pa.list_(pa.string())}
    types |= {
        field["name"]: arrow_type(field["type"]) for field in inlined(avro_schema(record))["fields"]
    }
    topic = stream_of(record).topic
    masks = Masks({topic: linked(avro_schema(record))}, may_see=may_see)
    secret = _secret(record, masks)
    if names is None:
        names = [name for name in types if name != PARENTS and name not in secret]
    names = list(dict.fromkeys(names))
    if not names:
        raise NoSuchColumn(f"no column of {topic} was asked for; it has {', '.join(types)}")
    for name in names:
        if name in secret:
            raise NoSuchColumn(
                f"{name} of {topic} is {secret[name]}; ask for sensitive fields to see it"
            )
        if name not in types:
            raise NoSuchColumn(f"{topic} has no column {name!r}; it has {', '.join(types)}")
    return Wanted(pa.schema([pa.field(name, types[name]) for name in names]), secret, masks, topic)


def _secret(record: type[Record], masks: Masks) -> dict[str, str]:
    """The fields that may not be seen, and the key, if it is made of one."""
    stream = stream_of(record)
    found = _by_column(masks.kinds(stream.topic))
    return found | ({"_key": found[stream.key]} if stream.key in found else {})


def _by_column(kinds: dict[str, str]) -> dict[str, str]:
    """A field that holds a record is as sensitive as what is in it; but for what is undeclared
    there: a column has no place for it.
    """
    found: dict[str, str] = {}
    for path, kind in kinds.items():
        name = path.split(".")[0]
        if kind != UNDECLARED:
            found[name] = strictest([kind, found.get(name, PUBLIC)])
    return found
