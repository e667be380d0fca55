"""Schemas as fastavro is given them."""

from __future__ import annotations

from typing import Any


def without_logical_types(schema: Any) -> Any:
    """The same schema, instants as plain longs: the bytes are equal, and no datetime is made."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    return schema


def with_bytes_defaults(schema: Any) -> Any:
    """The same schema for fastavro to read by: Avro writes a default of bytes as a text of their
    numbers, which fastavro would fill in as it stands.
    """
    if isinstance(schema, list):
        return [with_bytes_defaults(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    filled = {k: with_bytes_defaults(v) for k, v in schema.items()}
    kind, default = filled.get("type"), filled.get("default")
    first = kind[0] if isinstance(kind, list) else kind
    if isinstance(default, str) and first == "bytes":
        filled["default"] = default.encode("latin-1")
    return filled
