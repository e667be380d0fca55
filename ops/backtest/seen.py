"""What may be seen of records that are not the same: they are compared as they are, and shown as
everybody else shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ops.output import in_json
from schemas.record import Record
from streams.codec import MAGIC, Registry, any_writer
from streams.dead_letter import schema_id_of
from streams.errors import DataError
from streams.masking import Mask, Masks, hidden, strictest
from streams.merge import Stored

Registered = Callable[[str], Iterable[int]]


class Sight:
    """Hides what masks hide. The strictest schema counts, of those by which both sides of a record
    were written and those that its topic has in the registry: a change must not make public what
    was written as private, not even in a record that only the change writes. `registered` gives
    the ids of those that a topic has.
    """

    def __init__(self, registry: Registry, masks: Masks, registered: Registered) -> None:
        self._registry = registry
        self._masks = masks
        self._registered = registered
        self._known: dict[str, list[tuple[int | None, Any]]] = {}  # by topic: ids and schemas
        self._writers: dict[bytes, Any] = {}

    def masks(self, topic: str, *sides: Stored) -> list[Mask]:
        """What is hidden of records that were written so."""
        if topic not in self._known:
            heads = (MAGIC + number.to_bytes(4, "big") for number in self._registered(topic))
            self._known[topic] = [(schema_id_of(head), self._writer(head)) for head in heads]
        wrote = [(schema_id_of(side.value), self._writer(side.value)) for side in sides]
        return [self._masks.of(topic, {}, *one) for one in (*wrote, *self._known[topic])]

    def _writer(self, value: bytes | None) -> Any:
        """The schema of a value, asked for once; None of what cannot be decoded."""
        head = (value or b"")[:5]
        if head not in self._writers:
            try:
                self._writers[head] = any_writer(self._registry, head)[0]
            except DataError:
                return None
        return self._writers[head]


def key_of(stored: Stored, masks: Iterable[Mask]) -> str | None:
    """The key of a record as text."""
    if stored.key is None:
        return None
    kinds = [mask.key for mask in masks if mask.key is not None]
    return hidden(strictest(kinds)) if kinds else stored.key.decode("utf-8", "backslashreplace")


def fields_of(record: Record, masks: Iterable[Mask]) -> dict[str, Any]:
    """The fields of a record, as JSON can hold them."""
    value = record.model_dump()
    for mask in masks:
        value = mask.value(value)
    found: dict[str, Any] = in_json(value)
    return found
