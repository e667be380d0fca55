"""Records to bytes and back: the Confluent wire format (a zero byte, the schema id in four, an
Avro body).

The one door to fastavro. Logical types are for foreign readers; here an instant stays an integer
of milliseconds.

Any producer may write to an event topic, so what is read there is checked to be exactly Avro. A
decoder compiled for the class takes what is written as we would write it. Anything else goes the
slow way: encoding the record again gives the same bytes, or else the exact decoder says what is
wrong, if anything (blocks of arrays may be written in several ways). It is also asked about what is
large, or written by another schema than today's. Derived topics have one writer, this code: there
the length is checked, and the bounds.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import fastavro
import pydantic

from schemas.derive import avro_schema
from schemas.lint import unsafe
from schemas.record import Record
from streams.compiled_decoder import compile_decoder, unlike
from streams.compiled_encoder import Encoder, compile_encoder
from streams.errors import (
    DataError,
    EmptyValue,
    OutOfBounds,
    SubjectMismatch,
    TooLarge,
    TrailingBytes,
    Truncated,
    Undecodable,
    UnknownSchema,
    UnsafeSchema,
    WireFormat,
)
from streams.exact import compile_exact
from streams.plain import with_bytes_defaults, without_logical_types

MAGIC = b"\x00"
VALUE_BYTES_MAX = 1_000_000
LARGE_BYTES_MAX = 8_000_000  # of state: what changelogs take
COMPARED_BYTES_MAX = 4_096  # of a value that is checked by encoding, which remembers texts
VIEW_VALUES_MAX = 100_000  # in a value that a view shows: state may be larger than events
REFUSED_S = 10.0  # before the registry is asked again about a schema id that was refused
REFUSED_MAX = 10_000  # schema ids that are remembered so

Decoder = Callable[[bytes, int], tuple[dict[str, Any], int]]

_read = fastavro.schemaless_reader
_write = fastavro.schemaless_writer


class Registry(Protocol):
    """What a codec asks of a schema registry."""

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of a schema that is registered under a subject; RegistryError when it is not or
        cannot be asked.
        """

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id; UnknownSchema, SubjectMismatch or RegistryError."""

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id, of any subject; UnknownSchema or RegistryError."""


class _Writer(NamedTuple):
    """How to decode what was written under one schema id: fast and lenient, slow and exact."""

    read: Decoder
    exact: Callable[[bytes, int], Any]


class Codec:
    """Encodes and decodes the values of one subject as records of one class.

    `encode(record)` gives the wire format; it is compiled at the first use, when the schema id is
    known. `decode(value)` gives the record of a value, its bounds checked; a DataError says what
    is wrong with it. It is strict for event topics, which are open to any producer.
    """

    def __init__(self, record: type[Record], subject: str, registry: Registry) -> None:
        self.record = record
        self.subject = subject
        self.registry = registry
        self.schema = avro_schema(record)
        self.prefix = b""
        self._parsed = fastavro.parse_schema(without_logical_types(self.schema))
        self._writers: dict[bytes, _Writer] = {}
        self._refused: dict[bytes, tuple[float, type[DataError], str]] = {}
        self.bytes_max = LARGE_BYTES_MAX if record.stream is None else VALUE_BYTES_MAX
        self.encode: Encoder = self._encode_first
        strict = record.stream is not None and record.stream.stage == "event"
        self.decode: Callable[[bytes | None], Any] = (
            self._decode_strictly if strict else self.decode_fast
        )
        self._validate: Callable[[Any], Any] = record.__pydantic_validator__.validate_python
        self.decode_compiled: Callable[[Any], Any] = unlike

    def register(self) -> None:
        """Learn the id under which this codec writes."""
        self.prefix = MAGIC + self.registry.schema_id(self.subject, self.schema).to_bytes(4, "big")
        schema = without_logical_types(self.schema)
        compiled = compile_encoder(self.record, schema, self.prefix)
        self.encode = compiled or self.encode_plainly
        self.decode_compiled = compile_decoder(self.record, schema, self.prefix) or unlike

    def encode_plainly(self, record: Record) -> bytes:
        """The wire format of a record, by fastavro: what the compiled encoder is held to."""
        if not self.prefix:
            self.register()
        buffer = io.BytesIO()
        buffer.write(self.prefix)
        _write(buffer, self._parsed, record.model_dump())
        return buffer.getvalue()

    def _encode_first(self, record: Record) -> bytes:
        self.register()
        return self.encode(record)

    def _decode_strictly(self, value: bytes | None) -> Any:
        """The record of a value that is exactly what Avro allows."""
        try:
            return self.decode_compiled(value)
        except Exception:
            return self._decode_carefully(value)

    def _decode_carefully(self, value: bytes | None) -> Any:
        """The same, the slow way, which says what is wrong.

        fastavro comes first only where it is safe: skipping what another writer's schema has and
        ours has not, it counts to 2**60 without noticing that the value has ended.
        """
        if not value or len(value) > self.bytes_max:
            return self.decode_fast(value)
        if value[:5] != self.prefix or len(value) > COMPARED_BYTES_MAX:
            self._check(value)
            return self.decode_fast(value)
        try:
            record = self.decode_fast(value)
        except (Undecodable, OutOfBounds):
            self._check(value)  # what Avro forbids is named before what the record forbids
            raise
        if self.encode(record) != value:
            self._check(value)
        return record

    def _check(self, value: bytes) -> None:
        writer = self._writer(value[:5])
        try:
            writer.exact(value, 5)
        except DataError as error:
            raise type(error)(f"not an Avro {self.record.__name__}: {error}") from error

    def decode_fast(self, value: bytes | None) -> Any:
        """The record of a value whose writer is trusted to write Avro."""
        if not value:
            raise EmptyValue("the value is empty; a record was expected")
        if len(value) > self.bytes_max:
            raise TooLarge(f"the value has {len(value)} bytes; at most {self.bytes_max} are taken")
        head = value[:5]
        writer = self._writers.get(head) or self._writer(head)
        try:
            fields, end = writer.read(value, 5)
        except MemoryError:
            raise  # ours, not the record's
        except Exception as error:  # decoders raise a dozen kinds on bytes that are not Avro
            kind = Truncated if isinstance(error, EOFError) else Undecodable
            reason = str(error) or type(error).__name__
            raise kind(f"not an Avro {self.record.__name__}: {reason}") from error
        if end != len(value):
            raise TrailingBytes(
                f"not an Avro {self.record.__name__}: it ends at byte {end}, "
                f"the value at {len(value)}"
            )
        try:
            return self._validate(fields)
        except pydantic.ValidationError as error:
            raise OutOfBounds(_first_fault(error)) from error
        except MemoryError:
            raise
        except Exception as error:  # a validator of the record's own, on what it did not foresee
            raise OutOfBounds(f"{type(error).__name__}: {error}") from error

    def _writer(self, head: bytes) -> _Writer:
        """What decodes the values of one schema id. That an id is refused is remembered for a
        while, so that many such values do not mean as many questions to the registry.
        """
        if not self.prefix:
            self.register()
        if head in self._writers:
            return self._writers[head]
        if len(head) < 5 or head[:1] != MAGIC:
            raise WireFormat(
                f"the value begins with {head.hex()}; 00 and a schema id were expected"
            )
        asked_at, kind, text = self._refused.get(head, (-REFUSED_S, DataError, ""))
        if time.monotonic() - asked_at < REFUSED_S:
            raise kind(text)
        try:
            self._writers[head] = self._find_writer(head)
        except DataError as error:
            if len(self._refused) >= REFUSED_MAX:
                self._refused.clear()
            self._refused[head] = (time.monotonic(), type(error), str(error))
            raise
        return self._writers[head]

    def _find_writer(self, head: bytes) -> _Writer:
        """Ask the registry, and resolve a schema that is not today's to it."""
        if head == self.prefix:
            return _Writer(partial(_decode, self._parsed, None), compile_exact(self.schema))
        schema_id = int.from_bytes(head[1:], "big")
        schema = self.registry.writer_schema(self.subject, schema_id)
        parsed = _parsed(schema, f"schema id {schema_id} of {self.subject}")
        reader = None if parsed == self._parsed else with_bytes_defaults(self._parsed)
        return _Writer(partial(_decode, parsed, reader), compile_exact(schema))


class MemoryRegistry:
    """A registry in memory, for the driver: schemas get their ids in the order in which they are
    first used.
    """

    def __init__(self) -> None:
        self._schemas: list[tuple[str, dict[str, Any]]] = []

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        """The id of the schema, a new one if need be."""
        if (subject, schema) not in self._schemas:
            self._schemas.append((subject, schema))
        return self._schemas.index((subject, schema)) + 1

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        """The schema of an id, if it belongs to the subject."""
        schema = self.any_schema(schema_id)
        owner = self._schemas[schema_id - 1][0]
        if owner != subject:
            raise SubjectMismatch(f"schema id {schema_id} belongs to {owner}, not to {subject}")
        return schema

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        """The schema of an id."""
        if not 0 < schema_id <= len(self._schemas):
            raise UnknownSchema(f"no schema has the id {schema_id}")
        return self._schemas[schema_id - 1][1]


def _decode(writer: Any, reader: Any, value: bytes, start: int) -> tuple[dict[str, Any], int]:
    """Decode with fastavro, resolving a foreign writer's schema."""
    buffer = io.BytesIO(value)
    buffer.seek(start)
    fields: Any = _read(buffer, writer, reader)
    return fields, buffer.tell()


def _first_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"field {place}: {fault['msg']}; it is {str(fault['input'])[:80]!r}"


def _parsed(schema: Any, whose: str) -> Any:
    """A schema that the registry holds, which may be anything, made ready to decode by."""
    faults = unsafe(schema)
    if faults:
        raise UnsafeSchema(f"{whose}: {faults[0]}")
    try:
        return fastavro.parse_schema(without_logical_types(schema))
    except Exception as error:
        raise UnsafeSchema(f"{whose} is no Avro: {error}") from error


def decode_any(registry: Registry, value: bytes) -> dict[str, Any]:
    """The fields of any value in the wire format, by its writer's schema; for views."""
    return any_writer(registry, value[:5])[1](value)


def any_writer(registry: Registry, head: bytes) -> tuple[Any, Callable[[bytes], dict[str, Any]]]:
    """The schema that a value begins with, whatever its subject, and what decodes by it."""
    if len(head) < 5 or head[:1] != MAGIC:
        raise WireFormat(f"the value begins with {head.hex()}; 00 and a schema id were expected")
    schema = registry.any_schema(schema_id := int.from_bytes(head[1:], "big"))
    _parsed(schema, f"schema id {schema_id}")
    exact = compile_exact(schema, VIEW_VALUES_MAX)

    def decode(value: bytes) -> dict[str, Any]:
        found = exact(value, 5)
        return found if isinstance(found, dict) else {"value": found}

    return schema, decode
