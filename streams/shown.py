"""A record as a person sees it: id, value or what is wrong with that, where it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from streams.codec import Registry, any_writer
from streams.dead_letter import Letter, schema_id_of
from streams.errors import DataError, RegistryError
from streams.lineage import HEADER, Origin, Reference, unpack_header, unpack_references
from streams.masking import FLOW, ORIGIN, PROCESSOR, STRICTNESS, TEXT, Mask, Masks, hidden
from streams.merge import Stored
from streams.sensitivity import reason_of

HEX_BYTES_MAX = 64
WRITERS_MAX = 1_000  # schemas whose decoders are kept


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


@dataclass(frozen=True)
class View:
    """What has to be known to show a record: schemas, names by their codes, the namespace, and what
    may not be seen.
    """

    registry: Registry
    names: dict[bytes, str]
    prefix: str = ""
    masks: Masks = field(default_factory=Masks)
    _writers: dict[bytes, tuple[Any, Callable[[bytes], Any]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def show(self, topic: str, partition: int, stored: Stored) -> Shown:
        """Decode what can be decoded; the rest is shown as hex with the reason."""
        name = topic.removeprefix(self.prefix)
        origin = self.origin(stored)
        headers = {k: _text(v) for k, v in stored.headers.items() if k != HEADER}
        mask, value, error = self._decoded(name, headers, stored.value)
        raw = None if error is None else (stored.value or b"")[:HEX_BYTES_MAX].hex()
        key = None if stored.key is None else _text(stored.key)
        return Shown(
            id=f"{name}[{partition}]" + (f"@{stored.offset}" if origin is None else f"#{origin.n}"),
            partition=partition,
            offset=stored.offset,
            key=key if key is None or mask.key is None else hidden(mask.key),
            appended_ms=stored.appended_ms,
            value=value,
            parents=tuple(map(str, self.parents(stored))),
            processor=None if origin is None else origin.processor,
            code_version=None if origin is None else origin.code_version,
            model_version=None if origin is None else origin.model_version,
            schema_id=schema_id_of(stored.value),
            headers=mask.headers(headers),
            error=error,
            hex=mask.text(raw),
        )

    def opened(self, letter: Letter) -> dict[str, Any]:
        """The fields of what was refused, and what its letter quotes of it, as they may be seen."""
        headers = {
            ORIGIN: letter.cause.origin,
            TEXT: letter.text,
            PROCESSOR: letter.processor,
            FLOW: letter.flow,
        }
        topic = letter.id.split("[")[0]
        mask, fields, error = self._decoded(topic, headers, letter.value)
        told = mask.headers(headers)
        return {
            "key": letter.key if letter.key is None or mask.key is None else hidden(mask.key),
            "value": letter.value if letter.value is None else mask.bytes(letter.value),
            "text": told[TEXT],
            "origin": told[ORIGIN],
            "trace": mask.headers({name: _text(data) for name, data in letter.trace.items()}),
            "fields": fields,
            "undecodable": error,
        }

    def unmasked(self) -> View:
        """A view that hides nothing: for comparing, never for showing."""
        return replace(self, masks=Masks(may_see=frozenset(STRICTNESS)))

    def _decoded(
        self, topic: str, headers: dict[str, str], data: bytes | None
    ) -> tuple[Mask, Any, str | None]:
        """What may be seen of a value, and what is wrong with it."""
        writer, value = None, None
        error: DataError | RegistryError | None = None
        try:
            if data:
                writer, decode = self._writer(data[:5])
                value = decode(data)
        except (DataError, RegistryError) as reason:
            error = reason
        mask = self.masks.of(topic, headers, schema_id_of(data), writer)
        return mask, mask.value(value), None if error is None else reason_of(error, mask)

    def _writer(self, head: bytes) -> tuple[Any, Callable[[bytes], Any]]:
        """The schema that values begin with and what decodes by it, made once."""
        if head not in self._writers:
            if len(self._writers) >= WRITERS_MAX:
                self._writers.clear()
            self._writers[head] = any_writer(self.registry, head)
        return self._writers[head]

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
