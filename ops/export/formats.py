"""How batches of Arrow become bytes of a file: the same batches, the same bytes.

Parquet keeps types as they are. CSV has a column for each field of a record within a record
(`feature.carrier`), and lists as JSON. In both texts instants are ISO 8601, bytes hexadecimal.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BATCHES = 8  # of Parquet: some 131,000 records

Write = Callable[[pa.RecordBatch], None]


@contextmanager
def parquet(file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
    """Write Parquet."""
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def flush() -> None:
            if waiting:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table, row_group_size=table.num_rows or None)
                waiting.clear()

        def write(batch: pa.RecordBatch) -> None:
            waiting.append(batch)
            if len(waiting) == ROW_GROUP_BATCHES:
                flush()

        yield write
        flush()


@contextmanager
def comma_separated(file: BinaryIO, schema: pa.Schema) -> Iterator[Write]:
    """Write CSV with a line of names, by RFC 4180 but for its line ends."""
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(name for field in schema for name in _names(field.name, field.type))

    def write(batch: pa.RecordBatch) -> None:
        columns = [
            column
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
            for column in _flat(array, schema.field(name).type)
        ]
        writer.writerows(zip(*columns, strict=True))

    yield write
    text.detach()


@contextmanager
def json_lines(file: BinaryIO, _: pa.Schema) -> Iterator[Write]:
    """Write a JSON document per line."""

    def write(batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        columns = [_plain_column(array) for array in batch.columns]
        for cells in zip(*columns, strict=True):
            document = dict(zip(names, cells, strict=True))
            file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")

    yield write


FORMATS: dict[str, Callable[..., Any]] = {
    ".parquet": parquet,
    ".csv": comma_separated,
    ".jsonl": json_lines,
}


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value as JSON has it."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {f.name: plain(value[f.name], f.type) for f in kind}
    if pa.types.is_map(kind):
        return {key: plain(inner, kind.item_type) for key, inner in value}
    if pa.types.is_list(kind):
        return [plain(inner, kind.value_type) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has none
    return value


def _plain_column(array: pa.Array) -> list[Any]:
    return [plain(value, array.type) for value in array.to_pylist()]


def _names(name: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _names(f"{name}.{field.name}", field.type)
    else:
        yield name


def _flat(array: pa.Array, kind: pa.DataType) -> Iterator[Iterable[Any]]:
    if pa.types.is_struct(kind):
        for field, inner in zip(kind, array.flatten(), strict=True):
            yield from _flat(inner, field.type)
    elif pa.types.is_nested(kind):
        yield [None if one is None else json.dumps(one) for one in _plain_column(array)]
    elif pa.types.is_boolean(kind):
        yield [None if one is None else str(one).lower() for one in array.to_pylist()]
    else:
        yield _plain_column(array)
