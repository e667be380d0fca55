"""What is not for everybody's eyes: of a field that may not be seen, its sensitivity is shown
instead, as `‹personal›`.

How sensitive a field is stands in the record's class, and in the schema that its writer registered:
the strictest of both, and of the branches of a union, counts, so a foreign producer need not mark
what we do. Of a declared stream, a field that the class does not know is `undeclared`, and is
hidden, too; so is what was written by a schema that cannot be had, and of a topic that nobody
declares what no schema tells of: a key without a value, bytes that are no record, keys of state.
Where anything is hidden, so are the raw bytes, and all headers and texts that may quote them. What
a processor says of a record may come from any that its flow reads.

This keeps values off screens, out of pipes and out of notebooks. It is no lock: who may read a
topic is for Kafka to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from schemas.compatibility import linked
from schemas.derive import avro_schema
from streams.processor import RecordClass

PUBLIC, UNDECLARED, INTERNAL, PERSONAL = "public", "undeclared", "internal", "personal"
STRICTNESS = (PUBLIC, UNDECLARED, INTERNAL, PERSONAL)
EVERYTHING = frozenset(STRICTNESS)
MASKS_MAX = 1_000  # remembered, by topic and schema
LETTERS, STATES = ".dead_letter", "-changelog"
ORIGIN = "error.record"  # a coordinate; that of an entry ends in a slash and a key
TEXT, PROCESSOR, FLOW = "error.message", "error.processor", "error.flow"
SAFE_HEADERS = frozenset(
    f"error.{name}"
    for name in (
        "class", "processor", "flow", "code_version", "schema_id", "attempt", "appended_ms",
        "deadline_ms", "parent",
    )
)  # fmt: skip


class Declared(Protocol):
    """What masks ask of an outline: record classes by topic, and what `keys_of` says."""

    @property
    def records(self) -> Mapping[str, RecordClass]:
        """The record class of each topic."""

    @property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """How sensitive the keys of internal topics may be."""


class Hidden(str):
    """What stands for something that may not be seen."""

    __slots__ = ()


class FieldKind(NamedTuple):
    """How sensitive a field is, and its types as it was written and as it is declared."""

    kind: str
    written: list[Any]
    declared: list[Any]


@dataclass(frozen=True)
class Mask:
    """What is hidden of the records of one topic and one writer's schema. `key` and `raw` say for
    which sensitivity the key is, and all bytes and texts that may quote a value.
    """

    key: str | None
    raw: str | None
    written: list[Any]
    declared: list[Any]
    may_see: frozenset[str]

    def value(self, value: Any) -> Any:
        """The fields without those that may not be seen."""
        if self.raw is None:
            return value
        return _masked(value, self.written, self.declared, self.may_see)

    def text(self, text: str | None) -> str | None:
        """A text that may quote a value."""
        return text if self.raw is None or text is None else hidden(self.raw)

    def bytes(self, data: bytes) -> bytes | str:
        """Bytes that hold a value."""
        return data if self.raw is None else hidden(self.raw)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers without those that may hold values."""
        if self.raw is None:
            return dict(headers)
        return {n: h if _safe(n, h) else hidden(self.raw) for n, h in headers.items()}


@dataclass(frozen=True)
class Masks:
    """What may be seen, and how sensitive it is: the schemas of declared topics, and the keys of
    internal ones.
    """

    declared: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    may_see: frozenset[str] = frozenset()
    _made: dict[Any, Mask] = field(default_factory=dict, compare=False, repr=False)

    def knows(self, topic: str) -> bool:
        """Whether a loaded package declares a topic, or keeps something in it."""
        return topic in self.declared or topic in self.keys

    def of(
        self,
        topic: str,
        headers: Mapping[str, str],
        schema_id: int | None = None,
        writer: Any = None,
    ) -> Mask:
        """What is hidden of a record; of a dead letter, what is hidden of the record that was
        refused. `writer` is the schema of the id, None if nothing can be decoded by it.
        """
        of_key: list[str] = []  # how sensitive the key may be beyond its field
        others: list[str] = []  # and all else
        letter = topic.endswith(LETTERS)
        if letter:
            topic = headers.get(ORIGIN, "").split("[")[0]
            if headers.get(PROCESSOR):
                others.extend(self.keys.get(headers.get(FLOW, "") + STATES, (UNDECLARED,)))
        if not self.knows(topic) and (letter or writer is None or topic.endswith(STATES)):
            of_key.append(UNDECLARED)
        if writer is None and schema_id is not None:
            others.append(UNDECLARED)
        place = (topic, *of_key, "", *others, None if writer is None else schema_id)
        if place not in self._made:
            if len(self._made) >= MASKS_MAX:
                self._made.clear()
            self._made[place] = self._make(topic, of_key, others, writer)
        return self._made[place]

    def kinds(self, topic: str, writer: Any = None) -> dict[str, str]:
        """The fields of a declared topic, or of a record that was written by some schema, that may
        not be seen, by their paths.
        """
        written = [] if writer is None else [linked(writer)]
        found = _paths([self.declared[topic]] if topic in self.declared else [], "", written)
        return {path: kind for path, kind in found if kind not in self._seen}  # the strictest

    @property
    def _seen(self) -> frozenset[str]:
        return self.may_see | {PUBLIC}

    def _make(self, topic: str, of_key: list[str], others: list[str], writer: Any) -> Mask:
        written = [] if writer is None else [linked(writer)]
        declared = [self.declared[topic]] if topic in self.declared else []
        fields = fields_of(written, declared)
        keys = [s.get("key") for s in (*written, *declared) if isinstance(s, dict)]
        named = [fields[name].kind for name in keys if isinstance(name, str) and name in fields]
        if not named and topic not in self.keys:  # the key may be any field
            named = [kind for _, kind in _paths([], "", written)]
        of_key = [*of_key, *self.keys.get(topic, ()), *named]
        every = [*of_key, *others, *(kind for _, kind in _paths(declared, "", written))]
        return Mask(self._hidden(of_key), self._hidden(every), written, declared, self._seen)

    def _hidden(self, kinds: Iterable[str]) -> str | None:
        kind = strictest(k for k in kinds if k not in self._seen)
        return None if kind == PUBLIC else kind


def masks_of(outline: Declared, may_see: frozenset[str] = frozenset()) -> Masks:
    """The masks of declared topics and of internal ones."""
    declared = {topic: linked(avro_schema(c)) for topic, c in outline.records.items()}
    return Masks(declared, outline.keys, may_see)


def kinds_in(record: RecordClass) -> Iterator[str]:
    """How sensitive the fields of a record are, those within others too."""
    return (kind for _, kind in _paths([linked(avro_schema(record))], ""))


def hidden(kind: str) -> Hidden:
    """What is shown instead.

    >>> hidden("personal")
    '‹personal›'
    """
    return Hidden(f"‹{kind}›")


def strictest(kinds: Iterable[str]) -> str:
    """The most sensitive of some; what nobody knows counts as personal.

    >>> strictest(["public", "internal"]), strictest([])
    ('internal', 'public')
    """
    known = [k if k in STRICTNESS else PERSONAL for k in kinds]
    return max(known, key=STRICTNESS.index, default=PUBLIC)


def fields_of(written: list[Any], declared: list[Any]) -> dict[str, FieldKind]:
    """The fields of records of some linked types, each with its sensitivity."""
    old, known = _by_name(written), _by_name(declared)
    found = {}
    for name in (*known, *(n for n in old if n not in known)):
        wrote, says = old.get(name, []), known.get(name, [])
        kinds = [one.get("sensitivity", PUBLIC) for one in (*wrote, *says)]
        kinds += [UNDECLARED] if known and not says else []
        found[name] = FieldKind(
            strictest(kinds), [o["type"] for o in wrote], [o["type"] for o in says]
        )
    return found


def without_hidden(value: Any) -> Any:
    """A value without what is hidden in it: a filter must find nothing there, not even a mark."""
    if isinstance(value, dict):
        return {k: without_hidden(v) for k, v in value.items() if not isinstance(v, Hidden)}
    if isinstance(value, list):
        return [without_hidden(v) for v in value if not isinstance(v, Hidden)]
    return value


def _masked(value: Any, written: list[Any], declared: list[Any], may: frozenset[str]) -> Any:
    if value is not None and declared and not _alike(value, declared):
        return value if UNDECLARED in may else hidden(UNDECLARED)
    if isinstance(value, list):
        types = _parts(written, "items"), _parts(declared, "items")
        return [_masked(one, *types, may) for one in value]
    if not isinstance(value, dict):
        return value
    fields = fields_of(written, declared)
    values = _parts(written, "values"), _parts(declared, "values")
    entry = FieldKind(UNDECLARED if declared and not values[1] else PUBLIC, *values)
    found = {}
    for name, one in value.items():  # of a record, or entries of a map
        of = fields.get(name, entry)
        may_be_seen = of.kind in may
        found[name] = _masked(one, of.written, of.declared, may) if may_be_seen else hidden(of.kind)
    return found


def _alike(value: Any, declared: list[Any]) -> bool:
    """Whether a value is hidden, or made as one of some types: what is not may hold anything."""
    if isinstance(value, Hidden):
        return True
    if isinstance(value, dict):
        return any(one["type"] == "record" or "values" in one for one in _branches(declared))
    if isinstance(value, list):
        return any("items" in one for one in _branches(declared))
    return any(isinstance(one, str) or one["type"] in ("enum", "fixed") for one in _flat(declared))


def _paths(
    declared: list[Any],
    above: str,
    written: list[Any] | None = None,
    kinds: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, str]]:
    """All fields, those within too, each with its kind and those above: the strictest last."""
    wrote = written or []
    for name, of in fields_of(wrote, declared).items():
        held = kinds | {of.kind}
        yield from ((f"{above}{name}", kind) for kind in sorted(held, key=STRICTNESS.index))
        yield from _paths(of.declared, f"{above}{name}.", of.written, held)
    for part in ("items", "values"):
        if _parts(declared, part) or _parts(wrote, part):
            yield from _paths(_parts(declared, part), above, _parts(wrote, part), kinds)


def _flat(types: list[Any]) -> Iterator[Any]:
    """Types, those of unions one by one; null is none that holds anything."""
    for one in types:
        if isinstance(one, list):
            yield from _flat(one)
        elif one != "null":
            yield one


def _branches(types: list[Any]) -> Iterator[dict[str, Any]]:
    return (one for one in _flat(types) if isinstance(one, dict))


def _by_name(types: list[Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in _branches(types):
        for inner in one["fields"] if one["type"] == "record" else ():
            found.setdefault(inner["name"], []).append(inner)
    return found


def _parts(types: list[Any], part: str) -> list[Any]:
    """The types of the items of lists, or of the values of maps."""
    return [one[part] for one in _branches(types) if part in one]


def _safe(name: str, text: str) -> bool:
    return name in SAFE_HEADERS or (name == ORIGIN and "/" not in text)
