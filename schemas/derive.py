"""Avro from records: the schema of every stream, derived, committed as `.avsc`, and checked.

pydantic-avro derives the types; names, docs, units and logical types are added here. The files in
`schemas/avro/` are for producers in other languages. Everything here works offline.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from schemas.compatibility import reinterpreted, unreadable
from schemas.lint import unsafe
from schemas.record import Record
from schemas.rules import classes_in, extra_of, is_instant, underivable, undocumented, unkeyed

FOLDER = Path(__file__).parent / "avro"
STATE_NAMESPACE = "state"


def avro_schema(record: type[Record]) -> dict[str, Any]:
    """The Avro schema of a record class, nested records named once.

    A field of unit ms whose name ends in `_ms` is an instant, and says so to foreign readers,
    unless an upper bound before the year 2000 shows that it is a duration.

    >>> from schemas.internal import ClockTick
    >>> avro_schema(ClockTick)["fields"][0]["type"]
    {'type': 'long', 'logicalType': 'timestamp-millis'}
    """
    stream = record.stream
    classes = classes_in(record)
    schema = _decorated(record.avro_schema(), classes, record.__name__)
    named = {"type": "record", "name": record.__name__, "namespace": STATE_NAMESPACE}
    if stream is not None:
        named |= {"namespace": f"{stream.domain}.{stream.stage}", "doc": schema["doc"]}
        named |= {"key": stream.key, "event_time": stream.event_time, "owner": stream.owner}
    return named | schema


def streams_in(modules: Iterable[ModuleType]) -> list[type[Record]]:
    """The record classes of modules that declare a stream, sorted by topic."""
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Record) and value.stream is not None
    }
    return sorted(found, key=lambda record: (_topic(record), record.__name__))


def folder_of(record: type[Record]) -> Path:
    """Where the schema of a stream is committed: `avro/` beside the module that declares it."""
    return Path(sys.modules[record.__module__].__file__ or __file__).parent / "avro"


def avsc_text(record: type[Record]) -> str:
    """The committed form of a schema."""
    return json.dumps(avro_schema(record), indent=2, ensure_ascii=False) + "\n"


def write_avsc(records: Iterable[type[Record]], folder: Path = FOLDER) -> list[Path]:
    """Write the `.avsc` of every stream, and delete those of streams that are no more.

    Returns the files that changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_path(record, folder): avsc_text(record) for record in records}
    changed = [path for path, text in wanted.items() if _text(path) != text]
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8")
    for orphan in set(folder.glob("*.avsc")) - set(wanted):
        orphan.unlink()
        changed.append(orphan)
    return sorted(changed)


def check(records: Iterable[type[Record]], folder: Path = FOLDER) -> list[str]:
    """What is wrong with records and their committed schemas, a sentence each."""
    problems: list[str] = []
    owners: dict[Path, type[Record]] = {}
    for record in records:
        path = _path(record, folder)
        other = owners.setdefault(path, record)
        if other is not record:
            problems.append(
                f"{_topic(record)} is declared by {other.__name__} and by {record.__name__}"
            )
        wrong = underivable(record) or [*undocumented(record), *unkeyed(record)]
        problems += wrong or _committed_problems(record, path)
    for path in sorted(set(folder.glob("*.avsc")) - set(owners)):
        problems.append(f"{path.name} belongs to no stream; run: doa schemas write")
    return problems


def incompatible(record: type[Record], path: Path) -> list[str]:
    """Why today's schema cannot read, or would misread, what the one committed before wrote."""
    before = committed(path)
    if before is None:
        return []
    today = avro_schema(record)
    return [*unreadable(reader=today, writer=before), *reinterpreted(today, before)]


def committed(path: Path) -> dict[str, Any] | None:
    """The schema as git's HEAD has it; the file's where there is no git; None if there is none."""
    git = ["git", "-C", str(path.parent)]
    try:
        found = subprocess.run(
            [*git, "show", f"HEAD:./{path.name}"], capture_output=True, check=False
        )
        if found.returncode == 0:
            schema: dict[str, Any] = json.loads(found.stdout)
            return schema
        if subprocess.run([*git, "rev-parse"], capture_output=True, check=False).returncode == 0:
            return None
    except OSError:
        pass  # no git on this machine: the file itself is what was committed
    text = _text(path)
    return None if text is None else dict(json.loads(text))


def _committed_problems(record: type[Record], path: Path) -> Iterator[str]:
    text = _text(path)
    if text is None:
        yield f"{path.name} is missing; run: doa schemas write"
    elif text != avsc_text(record):
        yield f"{path.name} is stale: {record.__name__} has changed; run: doa schemas write"
    yield from (f"{_topic(record)}: {reason}" for reason in unsafe(avro_schema(record)))
    yield from (f"{_topic(record)}: {reason}" for reason in incompatible(record, path))


def _topic(record: type[Record]) -> str:
    assert record.stream is not None, f"{record.__name__} declares no stream"
    return record.stream.topic


def _path(record: type[Record], folder: Path) -> Path:
    return folder / f"{_topic(record)}.avsc"


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _decorated(schema: Any, classes: dict[str, type[Record]], name: str) -> dict[str, Any]:
    record = classes[name]
    fields = []
    for plain in schema["fields"]:
        info = record.model_fields[plain["name"]]
        extra = extra_of(info)
        kind = _typed(plain["type"], classes)
        kind = _instant(kind) if is_instant(plain["name"], info) else kind
        field = {"name": plain["name"], "type": kind}
        field |= {"default": plain["default"]} if "default" in plain else {}
        field["doc"] = info.description or ""
        # What is not marked is public.
        public = ("sensitivity", "public")
        field |= {k: v for k, v in extra.items() if v is not None and (k, v) != public}
        fields.append(field)
    return {"type": "record", "name": name, "doc": _first_paragraph(record), "fields": fields}


def _typed(kind: Any, classes: dict[str, type[Record]]) -> Any:
    if isinstance(kind, list):
        return [_typed(branch, classes) for branch in kind]
    if isinstance(kind, dict):
        if kind["type"] == "record":
            return _decorated(kind, classes, kind["name"])
        if kind.keys() == {"type"}:
            return _typed(kind["type"], classes)
        parts = ("items", "values")
        return {k: _typed(v, classes) if k in parts else v for k, v in kind.items()}
    return kind


def _instant(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_instant(branch) for branch in kind]
    return {"type": "long", "logicalType": "timestamp-millis"} if kind == "long" else kind


def _first_paragraph(record: type[Record]) -> str:
    return " ".join((record.__doc__ or "").strip().split("\n\n")[0].split())
