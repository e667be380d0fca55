"""Records to bytes and back: the Confluent wire format (a zero byte, the schema id in four, an
Avro body).

The one door to fastavro. Logical types are for foreign readers; here an instant stays an integer
of milliseconds.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import fastavro
import pydantic

from schemas.derive import avro_schema
from schemas.record import Record
from streams.compiled import Encoder, compile_encoder
from streams.errors import (
    EmptyValue,
    OutOfBounds,
    SubjectMismatch,
    Undecodable,
    UnknownSchema,
    WireFormat,
)

MAGIC = b"\x00"
VALUE_BYTES_MAX = 1_000_000
LARGE_BYTES_MAX = 8_000_000  # of state: what changelogs take

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


class Codec:
    """Encodes and decodes the values of one subject as records of one class.

    `encode(record)` gives the wire format; it is compiled at the first use, when the schema id is
    known.
    """

    def __init__(self, record: type[Record], subject: str, registry: Registry) -> None:
        self.record = record
        self.subject = subject
        self.registry = registry
        self.schema = avro_schema(record)
        self.prefix = b""
        self._parsed = fastavro.parse_schema(without_logical_types(self.schema))
        self._readers: dict[bytes, Decoder] = {}
        self.bytes_max = LARGE_BYTES_MAX if record.stream is None else VALUE_BYTES_MAX
        self.encode: Encoder = self._encode_first
        self._validate: Callable[[Any], Any] = record.__pydantic_validator__.validate_python

    def register(self) -> None:
        """Learn the id under which this codec writes."""
        self.prefix = MAGIC + self.registry.schema_id(self.subject, self.schema).to_bytes(4, "big")
        schema = without_logical_types(self.schema)
        compiled = compile_encoder(self.record, schema, self.prefix)
        self.encode = compiled or self.encode_plainly

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

    def decode(self, value: bytes | None) -> Any:
        """The record of a value, its bounds checked; a DataError says what is wrong with it."""
        if not value:
            raise EmptyValue("the value is empty; a record was expected")
        if len(value) > self.bytes_max:
            raise WireFormat(
                f"the value has {len(value)} bytes; at most {self.bytes_max} are taken"
            )
        head = value[:5]
        read = self._readers.get(head) or self._reader(head)
        try:
            fields, end = read(value, 5)
        except Exception as error:  # decoders raise a dozen kinds on bytes that are not Avro
            reason = str(error) or type(error).__name__
            raise Undecodable(f"not an Avro {self.record.__name__}: {reason}") from error
        if end != len(value):
            raise Undecodable(
                f"the Avro {self.record.__name__} ends at byte {end}, the value at {len(value)}"
            )
        try:
            return self._validate(fields)
        except pydantic.ValidationError as error:
            raise OutOfBounds(_first_fault(error)) from error

    def _reader(self, head: bytes) -> Decoder:
        """The decoder for what one writer wrote; a schema that is not today's is resolved to it."""
        if not self.prefix:
            self.register()
        writer = self._writer(head)
        reader = None if writer is self._parsed else self._parsed
        self._readers[head] = partial(_decode, writer, reader)
        return self._readers[head]

    def _writer(self, head: bytes) -> Any:
        if len(head) < 5 or head[:1] != MAGIC:
            raise WireFormat(
                f"the value begins with {head.hex()}; 00 and a schema id were expected"
            )
        if head == self.prefix:
            return self._parsed
        schema = self.registry.writer_schema(self.subject, int.from_bytes(head[1:], "big"))
        try:
            parsed = fastavro.parse_schema(without_logical_types(schema))
        except Exception as error:  # a registered schema may be anything
            raise Undecodable(
                f"the writer's schema of {self.subject} is no Avro: {error}"
            ) from error
        return self._parsed if parsed == self._parsed else parsed


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


def without_logical_types(schema: Any) -> Any:
    """The same schema, instants as plain longs: the bytes are equal, and no datetime is made."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    return schema


def _first_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"field {place}: {fault['msg']}; it is {str(fault['input'])[:80]!r}"


def decode_any(registry: Registry, value: bytes) -> dict[str, Any]:
    """The fields of any value in the wire format, by its writer's schema, whatever its subject;
    for views.
    """
    if len(value) < 5 or value[:1] != MAGIC:
        raise WireFormat(
            f"the value begins with {value[:5].hex()}; 00 and a schema id were expected"
        )
    schema = without_logical_types(registry.any_schema(int.from_bytes(value[1:5], "big")))
    try:
        fields: Any = _read(io.BytesIO(value[5:]), fastavro.parse_schema(schema), None)
        return dict(fields)
    except Exception as error:
        raise Undecodable(
            f"not an Avro record of its schema: {error or type(error).__name__}"
        ) from error
