"""What every peer in Python does with a record: decode, compute, encode, by fastavro.

It looks up no schema and checks no bound, which spares peers work that ours does.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from ops.bench.hop.formula import derived

BOOTSTRAP = os.environ["HOP_BOOTSTRAP"]
GROUP = os.environ["HOP_GROUP"]
IN, OUT = os.environ["HOP_IN"], os.environ["HOP_OUT"]
PREFIX = b"\0" + int(os.environ["HOP_SCHEMA_ID"]).to_bytes(4, "big")
WIRE_BYTES = len(PREFIX)


def _schema(name: str) -> Any:
    """The schema, times being plain numbers of milliseconds: nobody here wants a datetime."""
    path = Path(os.environ["HOP_SCHEMAS"]) / f"{name}.avsc"
    schema = json.loads(path.read_text(encoding="utf-8"))
    for field in schema["fields"]:
        if isinstance(field["type"], dict) and "logicalType" in field["type"]:
            field["type"] = field["type"]["type"]
    return parse_schema(schema)


READING, FEATURE = _schema("hop.event.reading"), _schema("hop.feature.reading")


def hop(value: bytes) -> bytes:
    """The feature of a reading, both in Confluent's wire format."""
    reading = decoded(value)
    return feature_of(reading, reading["noise"])


def decoded(value: bytes) -> Any:
    """The fields of a reading."""
    return schemaless_reader(BytesIO(value[WIRE_BYTES:]), READING, None)


def feature_of(r: Any, noise: float) -> bytes:
    """The feature of a reading, had it this noise."""
    mean, spread, magnitude, surprise = derived(
        r["temperature"], r["humidity"], r["pressure"], r["wind"], r["light"], noise
    )
    feature = {
        "sensor": r["sensor"],
        "site": r["site"],
        "measured_ms": r["measured_ms"],
        "number": r["number"],
        "mean": mean,
        "spread": spread,
        "magnitude": magnitude,
        "surprise": surprise,
    }
    return encoded(FEATURE, feature)


def encoded(schema: Any, fields: Any) -> bytes:
    """A record in the wire format."""
    out = BytesIO()
    out.write(PREFIX)
    schemaless_writer(out, schema, fields)
    return out.getvalue()
