"""A record as a person sees it: id, value or what is wrong with that, where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.codec import Registry, decode_any
from streams.dead_letter import schema_id_of
from streams.errors import DataError, RegistryError
from streams.lineage import HEADER, Origin, Reference, unpack_header, unpack_references
from streams.merge import Stored

HEX_BYTES_MAX = 64


@dataclass(frozen=True)
class Shown:
    """One record: its id is `topic[partition]#n`, or `topic[partition]@offset` if it came from
    outside.
    """

    id: str
    partition: int
    offset: int
    key: str | None
    appended_ms: int
    value: dict[str, Any] | None
    parents: tuple[str, ...]
    processor: str | None
    code_version: str | None
    model_version: int | None
    schema_id: int | None
    headers: dict[str, str]
    error: str | None = None
    hex: str | None = None


class View(NamedTuple):
    """What has to be known to show a record: schemas, names by their codes, and the namespace."""

    registry: Registry
    names: dict[bytes, str]
    prefix: str = ""

    def show(self, topic: str, partition: int, stored: Stored) -> Shown:
        """Decode what can be decoded; the rest is shown as hex with the reason."""
        place = f"{topic.removeprefix(self.prefix)}[{partition}]"
        origin = self.origin(stored)
        value, error, raw = None, None, None
        try:
            value = decode_any(self.registry, stored.value) if stored.value else None
        except (DataError, RegistryError) as reason:
            error = f"{getattr(reason, 'code', 'REGISTRY')}: {reason}"
            raw = (stored.value or b"")[:HEX_BYTES_MAX].hex()
        return Shown(
            id=f"{place}@{stored.offset}" if origin is None else f"{place}#{origin.n}",
            partition=partition,
            offset=stored.offset,
            key=None if stored.key is None else _text(stored.key),
            appended_ms=stored.appended_ms,
            value=value,
            parents=tuple(map(str, self.parents(stored))),
            processor=None if origin is None else origin.processor,
            code_version=None if origin is None else origin.code_version,
            model_version=None if origin is None else origin.model_version,
            schema_id=schema_id_of(stored.value),
            headers={k: _text(v) for k, v in stored.headers.items() if k != HEADER},
            error=error,
            hex=raw,
        )

    def origin(self, stored: Stored) -> Origin | None:
        """What the header of a derived record says; None for one of somebody else."""
        try:
            return unpack_header(stored.headers[HEADER], self.names)
        except (KeyError, ValueError):
            return None  # there may be somebody else's header of the same name

    def parents(self, stored: Stored) -> tuple[Reference, ...]:
        """The records and ranges that a record, or a dead letter, was made from."""
        origin = self.origin(stored)
        if origin is not None:
            return origin.parents
        try:
            return unpack_references(stored.headers.get("error.parent", b""), 0, self.names)
        except ValueError:
            return ()


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "0x" + data.hex()
