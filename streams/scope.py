"""What a filter or a column may name: the fields of a stream, and what a record says of itself.

A field is named as it is (`probability`, `feature.carrier`) or below `value`; what a record says of
itself (`id`, `key`, `headers`, …) likewise, or below `record`. Where both have a name, the plain
one is the field: whoever reads a stream thinks of its fields, and `record.key` says the other.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from schemas.compatibility import linked
from schemas.derive import avro_schema
from streams.errors import StreamsError
from streams.masking import LETTERS, Masks
from streams.processor import RecordClass
from streams.shown import Shown

VALUE, RECORD, HEADERS = "value", "record", "headers"
OWN = (
    "id", "key", HEADERS, "partition", "offset", "appended_ms", "processor", "code_version",
    "model_version", "schema_id", "parents", "error", "hex",
)  # fmt: skip
NEAR_MAX = 4

Getter = Callable[[Shown], Any]


class UnknownName(StreamsError):
    """A name that is no field of the stream, and nothing that a record says of itself."""


class NothingThere(LookupError):
    """A record has no fields: it is a tombstone, or cannot be decoded."""


@dataclass(frozen=True)
class Scope:
    """The names of one stream, each with how it is read of a record.

    `wholes` are records within the record: a column may show one, a filter names its fields.
    `fields` are the plain names of all that is in a value, in order.
    `open` is a topic that no loaded package declares: below `value` it may have any field.
    `hidden` are names that a column shows masked and a filter may not use, by sensitivity.
    """

    topic: str
    names: dict[str, Getter]
    wholes: dict[str, Getter] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    open: bool = False
    hidden: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Getter:
        """How a column is read; UnknownName tells the likely ones."""
        found = self.names.get(name) or self.wholes.get(name)
        if found is not None:
            return found
        above, _, rest = name.removeprefix(f"{RECORD}.").partition(".")
        if above == HEADERS and rest:
            return partial(_header, rest)
        if self.open and name:
            return partial(_field, name.removeprefix(f"{VALUE}."))
        raise UnknownName(f"{self.unknown(name)}; doa catalog show {self.topic} lists its fields")

    def of_value(self, name: str) -> bool:
        """Whether a column is one of the value, not what the record says of itself."""
        getter = self.column(name)
        return isinstance(getter, partial) and getter.func is _field

    def unknown(self, name: str) -> str:
        """Say that there is no such name, and which are like it."""
        if self.open:
            return (
                f"no loaded package declares {self.topic} (doa --app PACKAGE …), so its fields "
                f"are named below value: value.{name}"
            )
        plain = [n for n in (*self.names, *self.wholes) if not n.startswith(("value.", "record."))]
        near = difflib.get_close_matches(name, plain, NEAR_MAX)
        last = difflib.get_close_matches(name, [n.rsplit(".", 1)[-1] for n in plain], NEAR_MAX)
        near += [n for n in plain if n.rsplit(".", 1)[-1] in last and n not in near][:NEAR_MAX]
        perhaps = f"; perhaps: {', '.join(near)}" if near else ""
        return f"{name!r} is no field of {self.topic}{perhaps}"


def scope_of(topic: str, record: RecordClass | None, masks: Masks) -> Scope:
    """What may be named in a stream; record None stands for a topic that is not declared."""
    own: dict[str, Getter] = {name: partial(_own, name) for name in OWN}
    names = {**own, **{f"{RECORD}.{name}": getter for name, getter in own.items()}}
    key = masks.of(topic, {}).key if masks.knows(topic) or topic.endswith(LETTERS) else None
    hidden = {} if key is None else {"key": key, f"{RECORD}.key": key}
    if record is None:
        return Scope(topic, {**names, VALUE: _value}, open=True, hidden=hidden)
    wholes: dict[str, Getter] = {}
    kinds, declared = masks.kinds(topic), list(paths(linked(avro_schema(record))))
    for path, leaf in declared:
        getter = partial(_field, path)
        for name in (path, f"{VALUE}.{path}"):
            (names if leaf else wholes)[name] = getter
            hidden.pop(name, None)  # a plain name is the field
            if path in kinds:
                hidden[name] = kinds[path]
    fields = tuple(path for path, leaf in declared if leaf)
    return Scope(topic, names, wholes, fields, hidden=hidden)


def paths(schema: Any, above: str = "") -> Iterator[tuple[str, bool]]:
    """The fields of a linked schema, those of records within it too, and whether each is a leaf.

    >>> inner = {"type": "record", "fields": [{"name": "b", "type": "int"}]}
    >>> fields = [{"name": "a", "type": ["null", inner]}, {"name": "c", "type": "string"}]
    >>> list(paths({"type": "record", "fields": fields}))
    [('a', False), ('a.b', True), ('c', True)]
    """
    for one in schema["fields"]:
        path = above + one["name"]
        kinds = one["type"] if isinstance(one["type"], list) else [one["type"]]
        inner = [k for k in kinds if isinstance(k, dict) and k["type"] == "record"]
        yield path, not inner
        for nested in inner:
            yield from paths(nested, f"{path}.")


def _own(name: str, shown: Shown) -> Any:
    found = getattr(shown, name)
    return list(found) if isinstance(found, tuple) else found


def _header(name: str, shown: Shown) -> str | None:
    return shown.headers.get(name)


def _value(shown: Shown) -> dict[str, Any]:
    if shown.value is None:
        raise NothingThere
    return shown.value


def _field(path: str, shown: Shown) -> Any:
    """A field; null where its record is null, or was written before there was such a field."""
    found: Any = _value(shown)
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
