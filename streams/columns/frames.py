"""Values of a stream become columns that are typed by its schema; what cannot be decoded is told.

What the schema of a writer says is not public is null, as if nothing were there: how sensitive a
field is, is for the stricter of that schema and the record's class to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.lint import unsafe
from schemas.record import Record
from streams.codec import VIEW_VALUES_MAX, Registry
from streams.columns.fetched import Fetched
from streams.columns.fit import check_fit
from streams.columns.places import Flags
from streams.columns.types import COORDINATES, PARENTS, Wanted
from streams.columns.vector import Decoder, Odd
from streams.dead_letter import schema_id_of
from streams.errors import (
    DataError,
    EmptyValue,
    Undecodable,
    UnsafeSchema,
    WireFormat,
)
from streams.exact import compile_exact
from streams.sensitivity import masked_text
from streams.topology import stream_of

WRITERS_MAX = 1_000  # remembered, by what values begin with: of garbage that may be anything
UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)  # of a value and its column

_Part = tuple[list[int], list[pa.Array]]  # rows, and the columns of what stands there


class _Writer(NamedTuple):
    """How values of one schema id are decoded: many at once, if that can be, and one by one.
    `instead` are columns that are not read, with what stands there: defaults of fields that this
    schema does not have, null for what it hides.
    """

    fast: Decoder | None
    exact: Callable[[bytes, int], Any]
    instead: dict[str, Any]


class Frames:
    """Decodes the values of one stream into columns."""

    def __init__(
        self,
        record: type[Record],
        registry: Registry,
        subject: str,
        wanted: Wanted,
        schemas: dict[int, Any] | None = None,
    ) -> None:
        self._stream = stream_of(record)
        self._defaults = {n: default_of(info) for n, info in record.model_fields.items()}
        self._registry = registry
        self._subject = subject
        self._wanted = wanted
        fields = [f for f in wanted.schema if f.name not in COORDINATES and f.name != PARENTS]
        self.schema = pa.schema(fields)
        self._writers: dict[bytes, _Writer | DataError] = {}
        self._keyless = set[bytes]()
        self._schemas = {} if schemas is None else schemas

    def decode(
        self, values: Sequence[bytes | None]
    ) -> tuple[pa.RecordBatch, list[tuple[int, DataError]]]:
        """The fields of values, and which of them cannot be decoded: these are left out."""
        parts: list[_Part] = []
        refused: list[tuple[int, DataError]] = []
        for head, rows in _by_head(values).items():
            writer, left = self._writer(head), rows
            if isinstance(writer, _Writer) and writer.fast is not None:
                arrays, odd = self._at_once(
                    writer, writer.fast, [values[row] or b"" for row in rows]
                )
                marked = list(zip(rows, odd.tolist(), strict=True))
                left = [row for row, is_odd in marked if is_odd]
                kept = [row for row, is_odd in marked if not is_odd] if left else rows
                plain = pa.array(~odd)
                parts.append((kept, [a.filter(plain) for a in arrays] if left else arrays))
            if left:
                parts.append(self._one_by_one(writer, left, values, refused))
        arrays = _in_order(parts, self.schema)
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        return batch, sorted(refused, key=lambda one: one[0])

    def hide_keys(self, fetched: Fetched) -> None:
        """Take those keys away of which the writer of the value says that they are not public."""
        if self._keyless and fetched.keys:
            for row, value in enumerate(fetched.values):
                if (value or b"")[:5] in self._keyless:
                    fetched.keys[row] = None

    def reason(self, value: bytes | None, fault: DataError) -> str:
        """Why a value cannot be decoded; what may quote it is hidden where any of it is."""
        schema_id = schema_id_of(value)
        schema = None if schema_id is None else self._schemas.get(schema_id)
        mask = self._wanted.masks.of(self._wanted.topic, {}, schema_id, schema)
        return masked_text(fault, mask)

    def _at_once(
        self, writer: _Writer, fast: Decoder, values: Sequence[bytes]
    ) -> tuple[list[pa.Array], Flags]:
        found, odd = fast.decode(values)
        for name, value in writer.instead.items():
            found[name] = pa.array([value] * len(values), self.schema.field(name).type)
        return [found[name] for name in self.schema.names], odd

    def _one_by_one(
        self,
        writer: _Writer | DataError,
        rows: list[int],
        values: Sequence[bytes | None],
        refused: list[tuple[int, DataError]],
    ) -> _Part:
        kept: list[int] = []
        found: list[dict[str, Any]] = []
        for row in rows:
            try:
                found.append(self._fields(writer, values[row]))
                kept.append(row)
            except DataError as error:
                refused.append((row, error))
        try:
            return kept, _columns(found, self.schema)
        except Undecodable:
            return self._those_that_fit(kept, found, refused)

    def _those_that_fit(
        self, rows: list[int], found: list[dict[str, Any]], refused: list[tuple[int, DataError]]
    ) -> _Part:
        """Of records that a schema wrote whose fields have other types than ours."""
        fitting: list[tuple[int, dict[str, Any]]] = []
        for row, fields in zip(rows, found, strict=True):
            try:
                _columns([fields], self.schema)
                fitting.append((row, fields))
            except Undecodable as error:
                refused.append((row, error))
        kept = [row for row, _ in fitting]
        return kept, _columns([fields for _, fields in fitting], self.schema)

    def _fields(self, writer: _Writer | DataError, value: bytes | None) -> dict[str, Any]:
        if not value:
            if value is None and self._stream.compacted:
                return {}
            raise EmptyValue("the value is empty; a record was expected")
        if isinstance(writer, DataError):
            raise type(writer)(str(writer))
        fields: dict[str, Any] = writer.exact(value, 5)
        return fields | writer.instead

    def _writer(self, head: bytes) -> _Writer | DataError:
        """How values that begin so are decoded, or why they are not."""
        if head not in self._writers:
            if len(self._writers) >= WRITERS_MAX:
                self._writers.clear()
            try:
                self._writers[head] = self._find_writer(head)
            except DataError as error:
                self._writers[head] = error
        return self._writers[head]

    def _find_writer(self, head: bytes) -> _Writer:
        if len(head) < 5 or head[0]:
            raise WireFormat(
                f"the value begins with {head.hex()}; 00 and a schema id were expected"
            )
        schema_id = int.from_bytes(head[1:], "big")
        schema = self._registry.writer_schema(self._subject, schema_id)
        if faults := unsafe(schema):
            raise UnsafeSchema(f"schema id {schema_id} of {self._subject}: {faults[0]}")
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise UnsafeSchema(f"schema id {schema_id} of {self._subject} is no record")
        exact = compile_exact(schema, VIEW_VALUES_MAX)
        self._schemas[schema_id] = schema
        hidden = self._wanted.hidden(schema_id, schema)
        if "_key" in hidden:
            self._keyless.add(head)
        written = {field["name"] for field in schema["fields"]} - hidden.keys()
        instead = {
            n: None if n in hidden else self._defaults[n]
            for n in self.schema.names
            if n not in written
        }
        plain = pa.schema([field for field in self.schema if field.name not in instead])
        return _Writer(_fast(schema, plain), exact, instead)


def _fast(schema: dict[str, Any], wanted: pa.Schema) -> Decoder | None:
    """A decoder of columns, if the fields are plain and those that are wanted have today's
    types.
    """
    try:
        decoder = Decoder(schema, set(wanted.names))
    except Odd:
        return None
    alike = all(wanted.field(n).type == kind for n, kind in decoder.types.items())
    return decoder if alike else None


def _by_head(values: Sequence[bytes | None]) -> dict[bytes, list[int]]:
    """The rows of values, by the five bytes that say how they were written."""
    heads = {(value or b"")[:5] for value in values}
    if len(heads) == 1:
        return {heads.pop(): list(range(len(values)))}
    found: dict[bytes, list[int]] = {head: [] for head in heads}
    for row, value in enumerate(values):
        found[(value or b"")[:5]].append(row)
    return found


def _in_order(parts: list[_Part], schema: pa.Schema) -> list[pa.Array]:
    """The columns of several parts, in the order of their rows."""
    if len(parts) == 1:
        return parts[0][1]
    order = pa.array(np.argsort(np.array([row for rows, _ in parts for row in rows], np.int64)))
    return [
        pa.chunked_array([arrays[n] for _, arrays in parts], one.type).combine_chunks().take(order)
        for n, one in enumerate(schema)
    ]


def _columns(found: list[dict[str, Any]], schema: pa.Schema) -> list[pa.Array]:
    return [_column([one.get(f.name) for one in found], f) for f in schema]


def _column(cells: list[Any], field: pa.Field) -> pa.Array:
    try:
        check_fit(cells, field.type)
        return pa.array(cells, field.type)
    except UNFIT as error:
        reason = " ".join(str(error).split())
        raise Undecodable(f"{field.name} is no {field.type}: {reason}") from error


def default_of(info: Any) -> Any:
    """What stands for a field that a former schema did not have."""
    default = None if info.is_required() else info.default
    return default.model_dump() if isinstance(default, Record) else default
