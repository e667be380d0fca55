"""The columns that every stream has: what a record is called, where it lies, when it came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.columns.fetched import Fetched
from streams.columns.places import Buffer, Places, read_unsigned
from streams.columns.types import INSTANT, PARENTS
from streams.lineage import FORMAT, HEADER, unpack_header


def coordinates(
    place: str, partition: int, fetched: Fetched, schema: pa.Schema, names: dict[bytes, str]
) -> dict[str, pa.Array]:
    """Those of them that the schema has. `place` is what ids begin with, `names` are those of
    topics and processors by their codes.
    """
    wanted, count = set(schema.names), len(fetched.offsets)
    found: dict[str, Any] = {}
    headers = [_ours(one) for one in fetched.headers]
    if "_id" in wanted:
        found["_id"] = _ids(place, headers, fetched.offsets)
    if "_key" in wanted:
        found["_key"] = _keys(fetched.keys)
    if "_partition" in wanted:
        found["_partition"] = pa.array(np.full(count, partition, np.int32))
    if "_offset" in wanted:
        found["_offset"] = pa.array(np.array(fetched.offsets, np.int64))
    if "_appended" in wanted:
        found["_appended"] = pa.array(np.array(fetched.appended, "datetime64[ms]"), INSTANT)
    if PARENTS in wanted:
        found[PARENTS] = pa.array([_parents(h, names) for h in headers], pa.list_(pa.string()))
    return found


def _ids(place: str, headers: list[bytes], offsets: list[int]) -> pa.Array:
    """`place#n` where a header of ours says n, and `place@offset` elsewhere."""
    buffer = Buffer(headers, 1)
    odd = buffer.data[buffer.start] != FORMAT
    places = Places(buffer, buffer.start + 1, buffer.end, odd)
    n, at = read_unsigned(places).view(np.int64), np.array(offsets, np.int64)
    foreign = places.odd | (places.at > places.end) | (n > at)
    number = pc.cast(pa.array(np.where(foreign, at, n)), pa.string())
    mark: Any = f"{place}#"
    if foreign.any():
        mark = pc.if_else(pa.array(foreign), f"{place}@", mark)
    return pc.binary_join_element_wise(mark, number, "")


def _keys(keys: list[bytes | None]) -> pa.Array:
    raw = pa.array(keys, pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:  # a foreign producer's key may be any bytes
        return pa.array([None if key is None else _text(key) for key in keys], pa.string())


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return "0x" + key.hex()


def _ours(headers: list[tuple[str, bytes | None]] | None) -> bytes:
    """Our header; nothing, if there is none. Of several, the last one counts."""
    if not headers:
        return b""
    name, value = headers[-1]
    return (value if name == HEADER else dict(headers).get(HEADER)) or b""


def _parents(header: bytes, names: dict[bytes, str]) -> list[str]:
    try:
        return [str(parent) for parent in unpack_header(header, names).parents]
    except (ValueError, IndexError):
        return []
