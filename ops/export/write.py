"""Write a stream to a file and say in a manifest what is in it.

The file appears whole or not at all: it is written beside its place, and renamed. The same bounds
and columns give the same bytes again (by the same version of pyarrow).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ops.export.formats import FORMATS
from ops.export.where import Where
from ops.frames import Reading
from ops.whole import whole, write_whole
from streams.columns.batches import Refused
from streams.errors import NotWritten
from streams.extent import document


def manifest_of(path: Path) -> Path:
    """Where the manifest of a file lies."""
    return path.with_name(f"{path.name}.manifest.json")


def check_target(path: Path, *, force: bool) -> None:
    """NotWritten, if a file is not to be written there; asked before anything is read."""
    if path.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise NotWritten(f"{path.name} does not say how to write it; end its name in {known}")
    try:
        if not path.parent.is_dir():
            raise NotWritten(f"there is no folder {path.parent}")
        if path.is_dir():
            raise NotWritten(f"{path} is a folder; name a file in it")
        there = path.exists() or manifest_of(path).exists()
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise NotWritten.because(path, error) from error
    if there and not force:
        raise NotWritten(f"{path} is there already; --force writes it anew")


def export(
    reading: Reading,
    path: Path,
    *,
    skip_undecodable: bool = False,
    where: Where | None = None,
    details: dict[str, Any] | None = None,
    told: Callable[[int], None] = lambda records: None,
) -> dict[str, Any]:
    """Write the records of a reading, or those of a condition; the manifest. `details` are added to
    it, `told` hears how many records were written.
    """
    refused = Refused()
    where = where.anew() if where else None
    schemas: dict[int, Any] = {}
    records = 0
    with whole(path) as part:
        noted = refused.note if skip_undecodable else None
        batches = reading.batches(noted, schemas, where.keeps if where else None)
        with part.open("wb") as file, FORMATS[path.suffix](file, batches.schema) as write:
            for batch in batches:
                write(batch)
                records += batch.num_rows
                told(batch.num_rows)
        with part.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        more = {"where": where.document() if where else None, **(details or {})}
        manifest = _manifest(reading, path, records, digest, schemas, refused, more)
        write_whole(manifest_of(path), json.dumps(manifest, indent=2) + "\n")
    return manifest


def _manifest(
    reading: Reading,
    path: Path,
    records: int,
    digest: str,
    schemas: dict[int, Any],
    refused: Refused,
    details: dict[str, Any],
) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": digest,
        "records": records,
        **document(reading.extent),
        "columns": {field.name: str(field.type) for field in reading.wanted.schema},
        "masked": reading.wanted.masked,
        "hidden": reading.hidden(schemas),
        "undecodable": asdict(refused),
        "schemas": {str(number): _fingerprint(schemas[number]) for number in sorted(schemas)},
        "code_version": reading.known.code_version,
        "pyarrow": pa.__version__,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **details,
    }


def _fingerprint(schema: Any) -> str:
    """SHA-256 of a schema, however its JSON is ordered."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()
