"""Batches of Arrow of a stream, between bounds, typed by its schema.

What cannot be decoded is never left out unseen: it ends the reading, unless the caller wants to be
told of each instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.lint import unsafe
from schemas.record import Record
from streams.broker import Cluster
from streams.codec import VIEW_VALUES_MAX, Registry
from streams.columns.coordinates import coordinates
from streams.columns.fetched import Fetch, Fetched
from streams.columns.places import Flags
from streams.columns.types import COORDINATES, PARENTS, Wanted
from streams.columns.vector import Decoder, Odd
from streams.errors import DataError, EmptyValue, StreamsError, UnsafeSchema, WireFormat
from streams.exact import compile_exact
from streams.extent import Extent, check_extent
from streams.topology import stream_of

NEEDED = {"_id": "headers", PARENTS: "headers", "_key": "keys", "_appended": "appended"}


class Unreadable(NamedTuple):
    """A record that cannot be decoded, and why."""

    id: str  # topic[partition]@offset
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.id}: {self.code}: {self.reason}"


class CannotRead(StreamsError):
    """A stream holds a record that cannot be decoded, and nobody asked to be told instead."""


class _Writer(NamedTuple):
    """How values of one schema id are decoded: many at once, if that can be, and one by one.
    `absent` are columns that this schema has no field for, with what stands there.
    """

    fast: Decoder | None
    exact: Callable[[bytes, int], Any]
    absent: dict[str, Any]


class Frames:
    """Decodes the values of one stream into columns."""

    def __init__(
        self,
        record: type[Record],
        registry: Registry,
        subject: str,
        schema: pa.Schema,
        schemas: dict[int, Any] | None = None,
    ) -> None:
        self._stream = stream_of(record)
        self._defaults = {n: _default(info) for n, info in record.model_fields.items()}
        self._registry = registry
        self._subject = subject
        names = [n for n in schema.names if n not in COORDINATES and n != PARENTS]
        self.schema = pa.schema([schema.field(name) for name in names])
        self._writers: dict[bytes, _Writer | DataError] = {}
        self._schemas = {} if schemas is None else schemas

    def decode(
        self, values: Sequence[bytes | None]
    ) -> tuple[pa.RecordBatch, list[tuple[int, DataError]]]:
        """The fields of values, and which of them cannot be decoded: these are left out."""
        parts: list[tuple[list[int], pa.RecordBatch]] = []
        refused: list[tuple[int, DataError]] = []
        for head, rows in _by_head(values).items():
            writer, left = self._writer(head), rows
            if isinstance(writer, _Writer) and writer.fast is not None:
                batch, odd = self._at_once(
                    writer, writer.fast, [values[row] or b"" for row in rows]
                )
                marked = list(zip(rows, odd.tolist(), strict=True))
                left = [row for row, is_odd in marked if is_odd]
                kept = [row for row, is_odd in marked if not is_odd] if left else rows
                parts.append((kept, batch.filter(pa.array(~odd)) if left else batch))
            if left:
                chosen = [values[row] for row in left]
                parts.append(self._one_by_one(writer, left, chosen, refused))
        return _in_order(parts, self.schema), sorted(refused, key=lambda one: one[0])

    def _at_once(
        self, writer: _Writer, fast: Decoder, values: Sequence[bytes]
    ) -> tuple[pa.RecordBatch, Flags]:
        found, odd = fast.decode(values)
        for name, default in writer.absent.items():
            found[name] = pa.array([default] * len(values), self.schema.field(name).type)
        arrays = [found[name] for name in self.schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), odd

    def _one_by_one(
        self,
        writer: _Writer | DataError,
        rows: list[int],
        values: Sequence[bytes | None],
        refused: list[tuple[int, DataError]],
    ) -> tuple[list[int], pa.RecordBatch]:
        kept, found = [], []
        for row, value in zip(rows, values, strict=True):
            try:
                found.append(self._fields(writer, value))
                kept.append(row)
            except DataError as error:
                refused.append((row, error))
        return kept, pa.RecordBatch.from_pylist(found, schema=self.schema)

    def _fields(self, writer: _Writer | DataError, value: bytes | None) -> dict[str, Any]:
        if not value:
            if value is None and self._stream.compacted:
                return {}
            raise EmptyValue("the value is empty; a record was expected")
        if isinstance(writer, DataError):
            raise type(writer)(str(writer))
        fields: dict[str, Any] = writer.exact(value, 5)
        return writer.absent | fields

    def _writer(self, head: bytes) -> _Writer | DataError:
        """How values that begin so are decoded, or why they are not."""
        if head not in self._writers:
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
        written = {field["name"] for field in schema["fields"]}
        absent = {n: self._defaults[n] for n in self.schema.names if n not in written}
        exact = compile_exact(schema, VIEW_VALUES_MAX)
        self._schemas[schema_id] = schema
        return _Writer(_fast(schema, self.schema), exact, absent)


def batches(
    cluster: Cluster,
    registry: Registry,
    record: type[Record],
    extent: Extent,
    wanted: Wanted,
    *,
    names: dict[bytes, str] | None = None,
    refused: Callable[[Unreadable], None] | None = None,
    schemas: dict[int, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records of an extent, partition by partition, in batches that are the same each time.

    `names` are what parents are called (`Topology.names`); `refused` hears of each record that
    cannot be decoded: without it the first one raises CannotRead. `schemas` gets those that were
    met, by their ids.
    """
    check_extent(cluster, extent)
    name = cluster.settings.prefix + extent.topic
    frames = Frames(record, registry, f"{name}-value", wanted.schema, schemas)
    needed = {NEEDED[n] for n in wanted.schema.names if n in NEEDED}
    with closing(Fetch(cluster)) as fetch:
        for partition, (first, end) in sorted(extent.partitions.items()):
            place = f"{extent.topic}[{partition}]"
            for fetched in fetch.batches(name, partition, first, end, needed):
                batch, faults = frames.decode(fetched.values)
                for row, fault in faults:
                    told = Unreadable(f"{place}@{fetched.offsets[row]}", fault.code, str(fault))
                    if refused is None:
                        raise CannotRead(f"{told}; ask for undecodable records to be left out")
                    refused(told)
                kept = _without(fetched, {row for row, _ in faults}) if faults else fetched
                columns = coordinates(place, partition, kept, wanted.schema, names or {})
                columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
                arrays = [columns[n] for n in wanted.schema.names]
                yield pa.RecordBatch.from_arrays(arrays, schema=wanted.schema)


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


def _in_order(parts: list[tuple[list[int], pa.RecordBatch]], schema: pa.Schema) -> pa.RecordBatch:
    """One batch of several, in the order of their rows."""
    if len(parts) == 1:
        return parts[0][1]
    rows = np.concatenate([np.asarray(rows, np.int64) for rows, _ in parts])
    whole = pa.Table.from_batches([batch for _, batch in parts], schema)
    return whole.take(pa.array(np.argsort(rows))).combine_chunks().to_batches()[0]


def _default(info: Any) -> Any:
    """What stands for a field that a former schema did not have."""
    default = None if info.is_required() else info.default
    return default.model_dump() if isinstance(default, Record) else default


def _without(fetched: Fetched, rows: set[int]) -> Fetched:
    left = [row for row in range(len(fetched.values)) if row not in rows]
    return Fetched(
        **{n: [one[row] for row in left] if one else [] for n, one in vars(fetched).items()}
    )
